//! Calls of WASI 0.3 components, through wasmtime's `ProxyHandler`: it runs each instance in a task of its
//! own, and gives an instance several requests at a time if the manifest allows reuse.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    ExpirationError, HandlerState, Instance, InstantiationError, Proxy, ProxyHandler, ShouldAccept,
    WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::WasiHttpView;

use crate::admission::Permit;
use crate::body::GuestBody;
use crate::component::Inner;
use crate::error::{CallError, CallErrorKind};
use crate::request::RequestBody;
use crate::state::InstanceState;

/// Requests that one reused instance works on at the same time.
const CONCURRENT_MAX: usize = 16;

/// An instance without a request, or still busy after its last response, is dropped after this.
const IDLE_MAX: Duration = Duration::from_secs(5);

pub(crate) struct P3 {
    handler: ProxyHandler<Handler>,
}

/// Why the instance under a request ended; set before the request learns that it did.
type Outcome = Arc<OnceLock<CallErrorKind>>;

impl P3 {
    pub(crate) fn new(component: Weak<Inner>, pre: ServicePre<InstanceState>) -> Self {
        Self { handler: ProxyHandler::new(Handler { component, pre }) }
    }

    pub(crate) async fn call(
        &self,
        component: &Arc<Inner>,
        request: http::Request<RequestBody>,
        request_id: Arc<str>,
        permit: Permit,
    ) -> Result<http::Response<GuestBody>, CallError> {
        let outcome = Outcome::default();
        let data = RequestData {
            request_id: request_id.clone(),
            outcome: outcome.clone(),
            permit: Mutex::new(Some(permit)),
        };
        let request = request.map(BodyExt::boxed_unsync);
        match self.handler.handle(data, request).await {
            Ok(response) => {
                let (parts, frames) = response.into_parts();
                let body = GuestBody::running(None, None, frames, component.clone(), request_id);
                Ok(http::Response::from_parts(parts, body))
            }
            Err(error) => Err(classify(component, error, outcome.get().copied())),
        }
    }
}

fn classify(component: &Inner, error: wasmtime::Error, outcome: Option<CallErrorKind>) -> CallError {
    if error.is::<ExpirationError>() {
        let detail = format!("no response within {} ms", component.limits.timeout_ms);
        return CallError::new(CallErrorKind::Timeout, detail);
    }
    if let Some(error) = error.downcast_ref::<InstantiationError<RequestData>>() {
        return CallError::from_wasm(&error.error, false);
    }
    match outcome {
        Some(kind) => CallError { kind, detail: format!("{error:?}") },
        // The guest returned an error code instead of a response.
        None => CallError { kind: CallErrorKind::NoResponse, detail: format!("{error:?}") },
    }
}

struct Handler {
    component: Weak<Inner>,
    pre: ServicePre<InstanceState>,
}

struct RequestData {
    request_id: Arc<str>,
    outcome: Outcome,
    /// Taken by the worker, which keeps it until the instance is gone.
    permit: Mutex<Option<Permit>>,
}

impl HandlerState for Handler {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(
        &self,
    ) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let component = self
            .component
            .upgrade()
            .ok_or_else(|| wasmtime::format_err!("the release was dropped"))?;
        let mut store = component.new_store(Arc::from(""));
        let proxy = self.pre.instantiate_async(&mut store).await?;
        let timeout = Duration::from_millis(u64::from(component.limits.timeout_ms));
        Ok(Instance {
            store,
            proxy: Proxy::P3(proxy),
            view: |state| state.http(),
            expiration: Expiration { timeout, timer: None },
            state: Worker { timeout, component, requests: Mutex::default() },
        })
    }
}

/// Ends an instance that is stuck in a host call or a loop, where its requests' own timers cannot.
struct Expiration {
    timeout: Duration,
    timer: Option<(WorkerStatus, Instant, Pin<Box<Sleep>>)>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let known = matches!(&self.timer, Some((s, at, _)) if *s == status && *at == start);
        if !known {
            let allowed = match status {
                // A little more than the request's own timer, which should act first.
                WorkerStatus::Requests => self.timeout + Duration::from_millis(100),
                WorkerStatus::PostReturn => self.timeout,
                WorkerStatus::Idle => IDLE_MAX,
            };
            let sleep = Box::pin(tokio::time::sleep_until((start + allowed).into()));
            self.timer = Some((status, start, sleep));
        }
        match &mut self.timer {
            Some((_, _, sleep)) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

struct Worker {
    component: Arc<Inner>,
    timeout: Duration,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    outcomes: Vec<Outcome>,
    last_request_id: Option<Arc<str>>,
    permits: Vec<Permit>,
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    type RequestData = RequestData;

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        let reuse = self.component.limits.reuse as usize;
        if total_count >= reuse {
            ShouldAccept::Never
        } else if concurrent_count >= CONCURRENT_MAX {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, InstanceState>,
        data: RequestData,
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        store.data_mut().begin_request(data.request_id.clone());
        let permit = data.permit.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        // Only a fresh instance ends with its request; a reused one frees its place in the queue earlier.
        if self.component.limits.reuse <= 1 {
            requests.permits.extend(permit);
        }
        // Requests that were answered hold the only other reference no longer.
        requests.outcomes.retain(|outcome| Arc::strong_count(outcome) > 1);
        requests.outcomes.push(data.outcome);
        requests.last_request_id = Some(data.request_id);
        Box::pin(tokio::time::sleep(self.timeout))
    }

    fn drop(&self, store: Store<InstanceState>, result: Result<(), wasmtime::Error>) {
        let Err(error) = result else {
            return;
        };
        let error = CallError::from_wasm(&error, store.data().memory.refused);
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for outcome in &requests.outcomes {
            let _ = outcome.set(error.kind);
        }
        let request_id = requests.last_request_id.as_deref().unwrap_or_default();
        self.component.report(&error, request_id);
    }
}

