//! One client connection, HTTP/1.1 or h2c, from its first byte to its last.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::watch::{Activity, SEND_STALL, Watch, Watches};
use super::{Ingress, service};

/// Header fields of one request; browsers send about twenty.
const HEADERS_MAX: usize = 100;

/// Requests in progress on one h2c connection.
const STREAMS_MAX: u32 = 128;

/// Small answers leave in one piece: the kernel takes that sooner than a list of a head and a body.
const FLAT_BYTES_MAX: usize = 1_024;

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
    let mut closing = std::pin::pin!(ingress.lifecycle.parting.cancelled());
    let (mut is_closing, mut is_ending) = (false, false);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = watch.expired() => {
                if watch.is_busy() {
                    // A request came just after the sweep.
                    continue;
                }
                if is_ending || watch.is_in_head() {
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
        if poll.is_ready() {
            self.watch.received();
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
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        if slices.len() > 1 && bytes <= FLAT_BYTES_MAX {
            let mut flat = [0; FLAT_BYTES_MAX];
            let mut end = 0;
            for slice in slices {
                flat[end..end + slice.len()].copy_from_slice(slice);
                end += slice.len();
            }
            return self.poll_write(cx, &flat[..end]);
        }
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch.sent(&poll);
        poll
    }
}
