//! Calls of WASI 0.2 components: instantiate, call and drop as one future, which the task of the
//! client's connection polls. A client that leaves drops the future, and the guest with it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use crate::admission::Permit;
use crate::body::{GuestBody, GuestRun};
use crate::context::Context as CallContext;
use crate::cpu::CpuMeter;
use crate::error::{CallError, CallErrorKind};
use crate::request::RequestBody;
use crate::state::InstanceState;

/// An instance that waits for its next request longer than this is dropped at the next chance.
const IDLE_MAX: Duration = Duration::from_secs(60);

pub(crate) struct P2 {
    component: Arc<CallContext>,
    pre: ProxyPre<InstanceState>,
    /// Instances that may serve again, newest last; empty unless the manifest allows reuse.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    instance: Instance,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

struct Instance {
    store: Store<InstanceState>,
    proxy: Proxy,
    served: u32,
}

type Answer = Result<http::Response<WasiBody>, ErrorCode>;

impl P2 {
    pub(crate) fn new(component: Arc<CallContext>, pre: ProxyPre<InstanceState>) -> Self {
        Self { component, pre, idle: Mutex::default() }
    }

    /// Runs the guest for one request until it has answered with headers.
    pub(crate) async fn call(
        this: &Arc<Self>,
        request: http::Request<RequestBody>,
        https: bool,
        request_id: Arc<str>,
        permit: Permit,
    ) -> Result<http::Response<GuestBody>, CallError> {
        let (sender, mut receiver) = oneshot::channel();
        let component = &this.component;
        let visit =
            Visit { request, https, request_id: request_id.clone(), permit, sender, cpu: CpuMeter::new() };
        let mut guest: Option<GuestRun> = Some(Box::pin(metered(this.clone(), visit)));
        let answer = poll_fn(|cx| {
            // The guest first: most have finished when they give way, and then the body is whole.
            if let Some(run) = &mut guest
                && let Poll::Ready(result) = run.as_mut().poll(cx)
            {
                guest = None;
                if let Err(error) = result {
                    return Poll::Ready(Err(error));
                }
            }
            match Pin::new(&mut receiver).poll(cx) {
                Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
                Poll::Ready(Err(_)) => {
                    Poll::Ready(Err(CallError::new(CallErrorKind::NoResponse, "returned without a response")))
                }
                Poll::Pending => Poll::Pending,
            }
        });
        let mut answer = std::pin::pin!(answer);
        // Most guests answer at once, and then no timer has to be made.
        let answer: Answer = match futures_util::future::poll_immediate(answer.as_mut()).await {
            Some(answer) => answer?,
            None => {
                let wall = Duration::from_millis(u64::from(component.limits.timeout_ms));
                match tokio::time::timeout(wall, answer).await {
                    Ok(answer) => answer?,
                    Err(_) => {
                        return Err(CallError::timed_out(component.limits.timeout_ms));
                    }
                }
            }
        };
        let response = answer.map_err(|code| {
            let detail = format!("answered with the error {code:?} instead of a response");
            CallError::new(CallErrorKind::NoResponse, detail)
        })?;
        let (parts, frames) = response.into_parts();
        let body = body(component, guest, frames, request_id)?;
        Ok(http::Response::from_parts(parts, body))
    }

    fn take_idle(&self, component: &CallContext) -> Option<Instance> {
        loop {
            let newest = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_back()?;
            if component.is_current(newest.instance.store.data().config.as_ref()) {
                return Some(newest.instance);
            }
        }
    }

    fn put_idle(&self, component: &CallContext, instance: Instance) {
        // An idle instance holds a slot of the pool, of which only some may be held so.
        let Ok(permit) = component.idle_slots.clone().try_acquire_owned() else {
            return;
        };
        let expired = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push_back(Idle { instance, since: Instant::now(), _permit: permit });
            let fresh = idle.iter().position(|idle| idle.since.elapsed() < IDLE_MAX).unwrap_or(0);
            idle.drain(..fresh).collect::<Vec<_>>()
        };
        drop(expired);
    }
}

/// The body of an answer: whole, if the guest has finished and wrote at most one piece.
fn body(
    component: &Arc<CallContext>,
    guest: Option<GuestRun>,
    mut frames: WasiBody,
    request_id: Arc<str>,
) -> Result<GuestBody, CallError> {
    let running = |guest, ahead, frames| {
        Ok(GuestBody::running(guest, ahead, frames, component.clone(), request_id.clone()))
    };
    if guest.is_some() {
        return running(guest, VecDeque::new(), frames);
    }
    // The guest is gone, so whatever it wrote is here, and asking for it does not wait.
    let mut ahead = VecDeque::new();
    while ahead.len() < 2 {
        match frames.frame().now_or_never() {
            Some(Some(Ok(frame))) => ahead.push_back(frame),
            // Nothing has been sent yet, so the client can still be told; once the head is on its way, a
            // broken body would end the connection before anything reaches the client.
            Some(Some(Err(error))) => {
                let detail = format!("left the response's body unfinished: {error:?}");
                return Err(CallError::new(CallErrorKind::NoResponse, detail));
            }
            Some(None) if ahead.is_empty() => return Ok(GuestBody::Whole(None)),
            Some(None) if ahead.len() == 1 && ahead[0].is_data() => {
                let only = ahead.pop_front().and_then(|frame| frame.into_data().ok());
                return Ok(GuestBody::Whole(only));
            }
            Some(None) | None => break,
        }
    }
    running(None, ahead, frames)
}

/// Lets the clock run whenever the guest does, and only then; who else has the thread is told before.
async fn metered(this: Arc<P2>, visit: Visit) -> Result<(), CallError> {
    let (cpu, pace) = (visit.cpu.clone(), &this.component.pace);
    let mut run = pin!(run(&this, visit));
    let mut has_begun = false;
    poll_fn(|cx| {
        if has_begun {
            pace.go_on()
        } else {
            pace.begin()
        }
        has_begun = true;
        let before = cpu.used();
        cpu.resume();
        let poll = run.as_mut().poll(cx);
        cpu.pause();
        pace.took(cpu.used().saturating_sub(before));
        poll
    })
    .await
}

/// One request on its way into a guest.
struct Visit {
    request: http::Request<RequestBody>,
    https: bool,
    request_id: Arc<str>,
    permit: Permit,
    sender: oneshot::Sender<Answer>,
    cpu: CpuMeter,
}

/// A guest's whole run for one request.
async fn run(this: &P2, visit: Visit) -> Result<(), CallError> {
    let component = &this.component;
    let Visit { request, https, request_id, permit, sender, cpu } = visit;
    // Moved in, so that it is given back when the instance is gone.
    let _permit = permit;
    let reuse = component.limits.reuse;
    let reused = if reuse > 1 { this.take_idle(component) } else { None };
    let mut instance = match reused {
        Some(mut instance) => {
            instance.store.data_mut().begin_request(request_id, cpu);
            instance
        }
        None => {
            let mut store = component.new_store(request_id, cpu);
            let proxy = this
                .pre
                .instantiate_async(&mut store)
                .await
                .map_err(|error| CallError::from_wasm(&error, &store.data().ending()))?;
            Instance { store, proxy, served: 0 }
        }
    };
    let store = &mut instance.store;
    let scheme = if https { Scheme::Https } else { Scheme::Http };
    let mut http = store.data_mut().http();
    let request = http
        .new_incoming_request(scheme, request)
        .map_err(|error| CallError::new(CallErrorKind::BadRequest, error))?;
    let outparam =
        http.new_response_outparam(sender).map_err(|error| CallError::new(CallErrorKind::Host, error))?;
    let result =
        instance.proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, outparam).await;
    if let Err(error) = result {
        return Err(CallError::from_wasm(&error, &store.data().ending()));
    }
    instance.served += 1;
    if instance.served < reuse && component.is_current(instance.store.data().config.as_ref()) {
        this.put_idle(component, instance);
    }
    Ok(())
}
