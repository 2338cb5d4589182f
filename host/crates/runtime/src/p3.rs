//! Calls of WASI 0.3 components, through wasmtime's `ProxyHandler`: it runs each instance in a task of its
//! own, and gives an instance several requests at a time if the manifest allows reuse.
//!
//! A request and the task of its instance are joined by one channel. The task tells through it how the
//! instance ended; the request, by letting it go, that nobody waits for the guest any longer.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    ExpirationError, HandlerState, Instance, InstantiationError, Proxy, ProxyHandler, ShouldAccept,
    WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use crate::admission::Permit;
use crate::body::{GuestBody, GuestRun};
use crate::config::ConfigSnapshot;
use crate::context::Context as CallContext;
use crate::cpu::CpuMeter;
use crate::error::{CallError, CallErrorKind, Ending};
use crate::places::{Place, Places, Wanted};
use crate::request::RequestBody;
use crate::state::InstanceState;

/// Requests that one reused instance works on at the same time.
const CONCURRENT_MAX: usize = 16;

/// A reused instance without a request is dropped after this.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// A trap reaches the request a moment before the instance's end does, which knows more.
const END_WAIT: Duration = Duration::from_secs(1);

/// An instance stays on the thread of its first request, and so do the requests that share it: waking
/// another thread costs more than a hello. Threads beyond this number share.
const HANDLERS: usize = 16;

pub(crate) struct P3 {
    handlers: Vec<ProxyHandler<Handler>>,
}

/// Numbers the threads that serve, from 0.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// How an instance ended; for a failure, why.
type End = Result<(), CallError>;

impl P3 {
    pub(crate) fn new(component: &Arc<CallContext>, pre: &ServicePre<InstanceState>) -> Self {
        let concurrency = component.limits.concurrency as usize;
        let places = Places::new(concurrency);
        let handler = |_| {
            let (places, component) = (places.clone(), component.clone());
            ProxyHandler::new(Handler { places, component, pre: pre.clone() })
        };
        // Threads that outnumber the instances would only take them from each other.
        Self { handlers: (0..concurrency.clamp(1, HANDLERS)).map(handler).collect() }
    }

    pub(crate) async fn call(
        &self,
        component: &Arc<CallContext>,
        request: http::Request<RequestBody>,
        https: bool,
        request_id: Arc<str>,
        permit: Permit,
    ) -> Result<http::Response<GuestBody>, CallError> {
        let request = with_authority(request, https)?.map(BodyExt::boxed_unsync);
        let (sender, mut end) = oneshot::channel();
        // A fresh instance has the permit until it is gone; a reused one lives on without its requests, and has it until
        // it has begun, because a request whose client has left still waits for its instance.
        let permit = Arc::new(permit);
        let of_request = (component.limits.reuse > 1).then(|| permit.clone());
        let data = RequestData { request_id: request_id.clone(), permit, end: sender };
        match self.handlers[thread_number() % self.handlers.len()].handle(data, request).await {
            Ok(response) => {
                let (parts, frames) = response.into_parts();
                let guest: GuestRun = Box::pin(async move {
                    let _permit = of_request;
                    // Without a word, the instance ended well.
                    end.await.unwrap_or(Ok(()))
                });
                let body =
                    GuestBody::running(Some(guest), VecDeque::new(), frames, component.clone(), request_id);
                Ok(http::Response::from_parts(parts, body))
            }
            Err(error) => Err(self.classify(component, error, &mut end).await),
        }
    }

    async fn classify(
        &self,
        component: &CallContext,
        error: wasmtime::Error,
        end: &mut oneshot::Receiver<End>,
    ) -> CallError {
        if error.is::<ExpirationError>() {
            return timed_out(component);
        }
        if let Some(error) = error.downcast_ref::<InstantiationError<RequestData>>() {
            if error.error.is::<ExpirationError>() {
                return timed_out(component);
            }
            if error.error.is::<TooManyInstances>() {
                return CallError::new(CallErrorKind::Overloaded, &error.error);
            }
            return CallError::from_wasm(&error.error, &Ending::default());
        }
        if let Some(code) = error.downcast_ref::<ErrorCode>() {
            let detail = format!("answered with the error {code:?} instead of a response");
            return CallError::new(CallErrorKind::NoResponse, detail);
        }
        match tokio::time::timeout(END_WAIT, end).await {
            Ok(Ok(Err(error))) => error,
            _ => CallError::from_wasm(&error, &Ending::default()),
        }
    }
}

fn timed_out(component: &CallContext) -> CallError {
    CallError::timed_out(component.limits.timeout_ms)
}

/// Guests learn scheme and host from the request's URI; over HTTP/1.1 both come from elsewhere.
fn with_authority(
    mut request: http::Request<RequestBody>,
    https: bool,
) -> Result<http::Request<RequestBody>, CallError> {
    let bad = |detail: &str| CallError::new(CallErrorKind::BadRequest, detail);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if parts.authority.is_none() {
        let host = request.headers().get(HOST).ok_or_else(|| bad("the request names no host"))?;
        let authority = Authority::try_from(host.as_bytes());
        parts.authority = Some(authority.map_err(|_| bad("the request's host is malformed"))?);
    }
    parts.scheme = Some(if https { Scheme::HTTPS } else { Scheme::HTTP });
    // A URI with a scheme has a path.
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() =
        http::Uri::from_parts(parts).map_err(|_| bad("the request's address is malformed"))?;
    Ok(request)
}

struct Handler {
    /// As many as the app may have requests at once, over all threads.
    places: Arc<Places>,
    component: Arc<CallContext>,
    pre: ServicePre<InstanceState>,
}

struct RequestData {
    request_id: Arc<str>,
    /// A fresh instance keeps it until it is gone.
    permit: Arc<Permit>,
    end: oneshot::Sender<End>,
}

impl HandlerState for Handler {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let component = self.component.clone();
        let timeout = Duration::from_millis(u64::from(component.limits.timeout_ms));
        // Reused instances outlive their requests, and so the requests' permits do not bound them.
        let place = self.places.take(timeout).await.ok_or_else(|| {
            wasmtime::Error::new(TooManyInstances { concurrency: component.limits.concurrency })
        })?;
        component.pace.begin();
        let cpu = CpuMeter::new();
        let mut store = component.new_store(Arc::from(""), cpu.clone());
        // Nobody else ends an instance that never comes to be.
        let proxy = tokio::time::timeout(timeout, self.pre.instantiate_async(&mut store))
            .await
            .map_err(|_| wasmtime::Error::new(ExpirationError))??;
        let requests = Arc::new(Mutex::new(Requests::default()));
        let reused = component.limits.reuse > 1;
        let config = store.data().config.clone();
        Ok(Instance {
            store,
            proxy: Proxy::P3(proxy),
            view: |state| state.http(),
            expiration: Expiration {
                timeout,
                reused,
                timer: None,
                wanted: self.places.wanted(),
                cpu,
                seen: Duration::ZERO,
                component: component.clone(),
                requests: requests.clone(),
            },
            state: Worker { timeout, component, config, requests, _place: place },
        })
    }
}

/// Instances that tidy up have used up what the app may have, for as long as a request may take.
#[derive(Debug, thiserror::Error)]
#[error("the app has as many instances as it may have requests at once, {concurrency}")]
struct TooManyInstances {
    concurrency: u32,
}

/// The requests of one instance that somebody still waits for.
#[derive(Default)]
struct Requests {
    waiting: Vec<Waiting>,
    permits: Vec<Arc<Permit>>,
    /// A request got no answer in time; the guest may be stuck in it.
    stuck: bool,
    expired: bool,
}

struct Waiting {
    request_id: Arc<str>,
    end: oneshot::Sender<End>,
}

/// Ends an instance that nobody waits for, or that is stuck in a host call or a loop, where its requests'
/// own timers cannot.
struct Expiration {
    timeout: Duration,
    reused: bool,
    timer: Option<(WorkerStatus, Instant, Pin<Box<Sleep>>)>,
    /// Somebody else's request wants the place of an instance that idles.
    wanted: Wanted,
    cpu: CpuMeter,
    /// What the clock showed when the instance last gave way.
    seen: Duration,
    component: Arc<CallContext>,
    requests: Arc<Mutex<Requests>>,
}

impl WorkerExpiration for Expiration {
    /// Called whenever the instance gives way.
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        self.cpu.pause();
        let used = self.cpu.used();
        // A run shorter than a tick is not measured.
        if let Some(run) = used.checked_sub(self.seen).filter(|run| !run.is_zero()) {
            self.component.pace.took(run);
        }
        self.seen = used;
        // Many may have the thread one after the other, and nobody is told before each.
        self.component.pace.begin();
        let (someone_waits, stuck) = {
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.waiting.retain_mut(|request| request.end.poll_closed(cx).is_pending());
            (!requests.waiting.is_empty(), requests.stuck)
        };
        let allowed = match status {
            WorkerStatus::Idle if self.wanted.poll(cx).is_ready() => return Poll::Ready(()),
            WorkerStatus::Idle => IDLE_MAX,
            // A little more than the request's own timer, which should act first.
            WorkerStatus::Requests if someone_waits => self.timeout + Duration::from_millis(100),
            // Whoever reads the body knows how long its next piece may take.
            WorkerStatus::PostReturn if someone_waits => return Poll::Pending,
            // A fresh instance's reader has given it time to tidy up, or has left early.
            WorkerStatus::PostReturn if self.reused && !stuck => self.timeout,
            WorkerStatus::Requests | WorkerStatus::PostReturn => return Poll::Ready(()),
        };
        let known = matches!(&self.timer, Some((s, at, _)) if *s == status && *at == start);
        if !known {
            let sleep = Box::pin(tokio::time::sleep_until((start + allowed).into()));
            self.timer = Some((status, start, sleep));
        }
        let Some((_, _, sleep)) = &mut self.timer else {
            return Poll::Pending;
        };
        let poll = sleep.as_mut().poll(cx);
        if poll.is_ready() {
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).expired = true;
        }
        poll
    }
}

struct Worker {
    _place: Place,
    component: Arc<CallContext>,
    config: Option<ConfigSnapshot>,
    timeout: Duration,
    requests: Arc<Mutex<Requests>>,
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    type RequestData = RequestData;

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        let reuse = self.component.limits.reuse as usize;
        if total_count >= reuse || !self.component.is_current(self.config.as_ref()) {
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
        self.component.pace.begin();
        let cpu = store.data().cpu.clone();
        cpu.reset();
        store.data_mut().begin_request(data.request_id.clone(), cpu);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if self.component.limits.reuse <= 1 {
            requests.permits.push(data.permit);
        }
        requests.waiting.push(Waiting { request_id: data.request_id, end: data.end });
        let (timeout, requests) = (self.timeout, self.requests.clone());
        Box::pin(async move {
            tokio::time::sleep(timeout).await;
            requests.lock().unwrap_or_else(PoisonError::into_inner).stuck = true;
        })
    }

    fn drop(&self, store: Store<InstanceState>, result: Result<(), wasmtime::Error>) {
        let Err(error) = result else {
            return;
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let ending = store.data().ending();
        let expired = requests.expired;
        for request in requests.waiting.drain(..) {
            let error =
                if expired { timed_out(&self.component) } else { CallError::from_wasm(&error, &ending) };
            // The request reports it, if it has not just left.
            if let Err(Err(error)) = request.end.send(Err(error)) {
                tracing::debug!(
                    request.id = &*request.request_id,
                    "an instance without a client ended: {error}"
                );
            }
        }
    }
}
