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
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::OwnedSemaphorePermit;

use super::caller::Caller;
use super::cork::Sender;
use super::watch::{Activity, SEND_STALL, Watch, Watches};
use super::{Ingress, service};

/// Header fields of one request; browsers send about twenty.
const HEADERS_MAX: usize = 100;

/// Requests in progress on one h2c connection.
const STREAMS_MAX: u32 = 128;

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
    let peer = ingress.forwarding.peer(address);
    let caller = Arc::new(Caller { ingress: ingress.clone(), peer });
    let io = ClientIo::new(stream, watch.clone());
    let service = {
        let watch = watch.clone();
        service_fn(move |request: Request<Incoming>| {
            let activity = Activity::start(&watch, request.version());
            let caller = caller.clone();
            // Boxed, because hyper moves it twice and it holds a whole guest.
            Box::pin(async move {
                Ok::<_, std::convert::Infallible>(service::handle(caller, activity, request).await)
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
    if ingress.lifecycle.parting.is_cancelled() {
        // It comes after all were called.
        watch.call();
    }
    let (mut is_closing, mut is_ending) = (false, false);
    let ended = loop {
        tokio::select! {
            // What the client has sent by now is read before it is told to send nothing more.
            biased;
            ended = connection.as_mut() => break ended,
            () = watch.attention() => {
                if !is_closing && ingress.lifecycle.parting.is_cancelled() {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                if !watch.is_expired(&ingress.timeouts) {
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

/// The client's socket as hyper uses it: notices the first byte of each request's head, and sends behind the cork.
struct ClientIo {
    receiver: TokioIo<OwnedReadHalf>,
    sender: Arc<Sender>,
    watch: Arc<Watch>,
}

impl ClientIo {
    fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        let (receiver, sender) = stream.into_split();
        Self { receiver: TokioIo::new(receiver), sender: Arc::new(Sender::new(sender)), watch }
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.receiver).poll_read(cx, buffer);
        if poll.is_ready() {
            self.watch.received();
        }
        poll
    }
}

impl Write for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.sender.poll_sent(cx);
        self.watch.set_full(poll.is_pending());
        poll
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.sender.poll_shutdown(cx);
        self.watch.set_full(poll.is_pending());
        poll
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = self.sender.poll_send(cx, slices);
        self.watch.sent(&poll);
        poll
    }
}
