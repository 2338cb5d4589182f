//! What an object store does on a bad day.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpRequest, HttpResponse, StdError};
use tokio::sync::watch;

/// A way to answer wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Fault {
    /// An error instead of an answer: 500, 503.
    Status(u16),
    /// The connection breaks in the middle of the answer's body.
    BrokenBody,
    /// The answer ends well after half of the object, as if that were all of it.
    HalfBody,
    /// What was asked for is done, and the answer is lost.
    AnswerLost,
    /// No answer, ever.
    Hang,
    /// An answer after this long.
    DelayMs(u64),
}

/// The fault that is on, if any.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rule: Mutex<Option<Rule>>,
    /// Counts how often faults were taken back: what hangs waits for that.
    healed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Rule {
    fault: S3Fault,
    method: Option<Method>,
    left: u64,
}

impl Faults {
    pub fn set(&self, fault: S3Fault, method: Option<Method>, left: u64) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = Some(Rule { fault, method, left });
    }

    pub fn clear(&self) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.healed.send_modify(|times| *times += 1);
    }

    /// The fault for a request, which is counted.
    fn take(&self, method: &Method) -> Option<S3Fault> {
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rule.as_mut()?;
        if rule.left == 0 || rule.method.as_ref().is_some_and(|only| only != method) {
            return None;
        }
        rule.left -= 1;
        Some(rule.fault)
    }
}

/// An answer, right or wrong; an error closes the connection.
pub(super) async fn answer(
    faults: &Faults,
    service: &S3Service,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    // Before anything else happens: a fault taken back meanwhile releases this request too.
    let mut healed = faults.healed.subscribe();
    match faults.take(request.method()) {
        None => service.call(request).await,
        Some(S3Fault::DelayMs(delay_ms)) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            service.call(request).await
        }
        Some(S3Fault::Hang) => {
            let _ = healed.changed().await;
            Err(gone())
        }
        Some(S3Fault::AnswerLost) => {
            service.call(request).await?;
            Err(gone())
        }
        Some(S3Fault::Status(status)) => {
            // Read to its end, as a store does: else the client sees a broken upload rather than the status.
            let _ = request.into_body().collect().await;
            Ok(refusal(status))
        }
        Some(S3Fault::BrokenBody) => halved(service.call(request).await?, true).await,
        Some(S3Fault::HalfBody) => halved(service.call(request).await?, false).await,
    }
}

fn refusal(status: u16) -> HttpResponse {
    let code = if status == 503 { "SlowDown" } else { "InternalError" };
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code></Error>");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("a test answers with a status that exists");
    response
}

async fn halved(response: HttpResponse, breaks: bool) -> Result<HttpResponse, HttpError> {
    let (mut head, body) = response.into_parts();
    let whole = body.collect().await.map_err(HttpError::new)?.to_bytes();
    let half = whole.slice(..whole.len() / 2);
    let promised = if breaks { whole.len() } else { half.len() };
    if !whole.is_empty() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(promised));
    }
    let body =
        if breaks { Body::http_body(Broken { half: Some(half), whole: promised }) } else { half.into() };
    Ok(Response::from_parts(head, body))
}

fn gone() -> HttpError {
    HttpError::new("a fault of the test".into())
}

/// Half of what was promised, then an error.
struct Broken {
    half: Option<Bytes>,
    whole: usize,
}

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        match self.half.take() {
            Some(half) => Poll::Ready(Some(Ok(Frame::data(half)))),
            None => Poll::Ready(Some(Err("a fault of the test".into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.whole as u64)
    }
}
