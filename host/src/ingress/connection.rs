//! One client connection: HTTP/1.1 or h2c, with deadlines for a head that does not come and for idling.
//!
//! The deadlines are kept by one sweep per thread, because a timer per request costs more than it guards.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::stream::Stream;
use super::{Ingress, Timeouts, service};

/// How long a client may take nothing of what it is sent.
const SEND_STALL: Duration = Duration::from_secs(30);

/// Header fields of one request; browsers send about twenty.
const HEADERS_MAX: usize = 100;

/// Requests in progress on one h2c connection.
const STREAMS_MAX: u32 = 128;

const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What a connection is doing, for the sweep.
struct Watch {
    origin: Instant,
    in_flight: AtomicU32,
    /// Bytes of a request's head have come, but not all. Over h2c only for the first request: there, bytes
    /// come without one too.
    in_head: AtomicBool,
    is_h2: AtomicBool,
    /// The kernel takes no more for now; how long that may last is its business, see `SEND_STALL`.
    is_full: AtomicBool,
    /// When the present state began, in milliseconds since `origin`.
    since_ms: AtomicU64,
    expired: Notify,
    /// Answers of guests, over h2c.
    streams: Mutex<Vec<Weak<Stream>>>,
}

/// A request in progress; the connection is not idle while one exists.
pub struct Activity(Arc<Watch>);

/// All connections of one thread.
#[derive(Clone, Default)]
pub struct Watches(Arc<Mutex<Vec<Weak<Watch>>>>);

impl Watch {
    fn enter(&self, in_head: bool) {
        self.in_head.store(in_head, Ordering::Relaxed);
        self.since_ms.store(self.origin.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// An answer that was handed over whole is still being sent, to a client that takes it.
    fn sent(&self, written: &Poll<io::Result<usize>>) {
        self.is_full.store(written.is_pending(), Ordering::Relaxed);
        if matches!(written, Poll::Ready(Ok(1..)))
            && self.in_flight.load(Ordering::Relaxed) == 0
            && !self.in_head.load(Ordering::Relaxed)
        {
            self.enter(false);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Vec<Weak<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_stalled_streams(&self) {
        if self.is_h2.load(Ordering::Relaxed) {
            self.streams().retain(|stream| {
                stream.upgrade().is_some_and(|stream| {
                    stream.end_if_stalled(SEND_STALL);
                    true
                })
            });
        }
    }

    fn is_expired(&self, timeouts: &Timeouts) -> bool {
        if self.in_flight.load(Ordering::Relaxed) > 0 || self.is_full.load(Ordering::Relaxed) {
            return false;
        }
        let allowed = if self.in_head.load(Ordering::Relaxed) { timeouts.header } else { timeouts.idle };
        let now_ms = self.origin.elapsed().as_millis() as u64;
        now_ms.saturating_sub(self.since_ms.load(Ordering::Relaxed)) > allowed.as_millis() as u64
    }
}

impl Activity {
    fn start(watch: &Arc<Watch>, version: Version) -> Self {
        watch.is_h2.store(version == Version::HTTP_2, Ordering::Relaxed);
        watch.in_flight.fetch_add(1, Ordering::Relaxed);
        watch.in_head.store(false, Ordering::Relaxed);
        Self(watch.clone())
    }
}

impl Activity {
    /// Has the sweep look after an answer, too.
    pub fn follow(&self, stream: &Arc<Stream>) {
        self.0.streams().push(Arc::downgrade(stream));
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.0.enter(false);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watches {
    /// Ends expired connections for as long as the thread serves.
    pub async fn sweep(self, ingress: Arc<Ingress>) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            ingress.access_log.flush();
            let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            watches.retain(|watch| match watch.upgrade() {
                Some(watch) => {
                    watch.end_stalled_streams();
                    if watch.is_expired(&ingress.timeouts) {
                        watch.expired.notify_one();
                    }
                    true
                }
                None => false,
            });
        }
    }

    fn watch(&self) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            origin: Instant::now(),
            in_flight: AtomicU32::new(0),
            // A fresh connection owes its first head.
            in_head: AtomicBool::new(true),
            is_h2: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            since_ms: AtomicU64::new(0),
            expired: Notify::new(),
            streams: Mutex::default(),
        });
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.push(Arc::downgrade(&watch));
        watch
    }
}

/// Serves one connection to its end. `permit` is its place among the node's connections.
pub async fn serve(
    ingress: Arc<Ingress>,
    watches: Watches,
    stream: TcpStream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let _permit = permit;
    if let Err(error) = prepare(&stream) {
        tracing::debug!(client.address = %address, "connection not prepared: {error}");
        return;
    }
    let watch = watches.watch();
    let peer = Arc::new(ingress.forwarding.peer(address));
    let io = WatchedIo { stream: TokioIo::new(stream), watch: watch.clone() };
    let service = {
        let (ingress, watch) = (ingress.clone(), watch.clone());
        service_fn(move |request: Request<Incoming>| {
            let activity = Activity::start(&watch, request.version());
            let (ingress, peer) = (ingress.clone(), peer.clone());
            // Boxed, because hyper moves it twice and it holds a whole guest.
            Box::pin(async move {
                Ok::<_, std::convert::Infallible>(service::handle(ingress, peer, activity, request).await)
            })
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(ingress.header_bytes_max)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(ingress.header_bytes_max as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let mut closing = std::pin::pin!(ingress.lifecycle.closing.cancelled());
    let (mut is_closing, mut is_ending) = (false, false);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = watch.expired.notified() => {
                if watch.in_flight.load(Ordering::Relaxed) > 0 {
                    // A request came just after the sweep.
                    continue;
                }
                if is_ending || watch.in_head.load(Ordering::Relaxed) {
                    return;
                }
                // An idle client is told; the next sweep ends what is left.
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = closing.as_mut(), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(client.address = %address, "connection ended: {error}");
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SEND_STALL))
}

/// Notices the first byte of each request's head.
struct WatchedIo {
    stream: TokioIo<TcpStream>,
    watch: Arc<Watch>,
}

impl Read for WatchedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if poll.is_ready()
            && self.watch.in_flight.load(Ordering::Relaxed) == 0
            && !self.watch.in_head.load(Ordering::Relaxed)
            && !self.watch.is_h2.load(Ordering::Relaxed)
        {
            self.watch.enter(true);
        }
        poll
    }
}

impl Write for WatchedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch.sent(&poll);
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch.sent(&poll);
        poll
    }
}
