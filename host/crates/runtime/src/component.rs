//! A loaded component, ready to answer requests.

use std::sync::Arc;

use crate::admission::Admission;
use crate::body::GuestBody;
use crate::context::Context;
use crate::error::{CallError, CallErrorKind};
use crate::p2::P2;
use crate::p3::P3;
use crate::request::RequestBody;

/// A loaded component. Clones share it; the last one to go frees its memory.
#[derive(Clone)]
pub struct Component(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    admission: Arc<Admission>,
    proxy: Proxy,
}

/// A component's way of being called, by the version of `wasi:http` that it exports.
pub(crate) enum Proxy {
    P2(Arc<P2>),
    P3(P3),
}

impl Component {
    pub(crate) fn new(context: Arc<Context>, admission: Arc<Admission>, proxy: Proxy) -> Self {
        Self(Arc::new(Inner { context, admission, proxy }))
    }

    /// Gives the component one request and returns when it has answered with headers.
    ///
    /// `request_id` is for logs. Must be called on a runtime of the data plane: the guest computes in the
    /// caller's task. Failures have been reported and counted when they are returned.
    pub async fn call(
        &self,
        request: http::Request<RequestBody>,
        https: bool,
        request_id: Arc<str>,
    ) -> Result<http::Response<GuestBody>, CallError> {
        let Inner { context, admission, proxy } = &*self.0;
        let body_fate = request.body().fate();
        let result = match admission.admit().await {
            Err(refused) => Err(refused),
            Ok(permit) => match proxy {
                Proxy::P2(p2) => P2::call(p2, request, https, request_id.clone(), permit).await,
                Proxy::P3(p3) => p3.call(context, request, https, request_id.clone(), permit).await,
            },
        };
        let result = match result {
            Ok(response) if response.status().is_informational() => {
                // It would end the connection, or be taken for the head of another answer.
                let detail = format!("answered with the interim status {}", response.status());
                Err(CallError::new(CallErrorKind::NoResponse, detail))
            }
            Err(error)
                if error.kind == CallErrorKind::Timeout && body_fate.is_some_and(|fate| fate.awaited()) =>
            {
                Err(CallError { kind: CallErrorKind::ClientTimeout, ..error })
            }
            result => result,
        };
        if let Err(error) = &result {
            context.report(error, &request_id);
        }
        result
    }

    /// The whole report of a failed call: what happened, and where in the source, which may take some seconds to find out.
    ///
    /// Must be called on the control plane's runtime: a child process is asked.
    pub async fn explain(&self, error: &CallError) -> String {
        self.0.context.explain(error).await
    }

    /// Requests that have an instance, and requests that wait for one.
    pub fn load(&self) -> (u32, u32) {
        (self.0.admission.running(), self.0.admission.waiting())
    }
}
