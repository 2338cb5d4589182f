//! What browsers talk to: a proxy in front of the node. It forwards everything as it is, adds a script to pages that
//! are shown, and answers in the node's place only where there is nothing to forward.

mod forward;
mod page;
mod plain;
mod service;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::state::SharedState;
use service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type ProxyBody = UnsyncBoxBody<Bytes, BoxError>;

/// The port of a node, where people expect apps.
const PORT: u16 = 8100;
/// How many ports above it are tried when nobody asked for one.
const PORTS_MAX: u16 = 20;
/// Browsers open six; load tests some hundred.
const CONNECTIONS_MAX: usize = 1_024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// An open port.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    pub address: SocketAddr,
    /// The usual address, if somebody else has it.
    pub instead_of: Option<SocketAddr>,
}

#[derive(Debug, thiserror::Error)]
pub enum PortTaken {
    #[error("{0} is taken: end what listens there, or give another address with --listen")]
    Asked(SocketAddr),
    #[error("{0} and the {PORTS_MAX} ports after it are taken: give a free address with --listen")]
    Usual(SocketAddr),
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

impl Port {
    /// Opens the port that was asked for; otherwise the usual one, or the next free one after it.
    pub async fn open(asked: Option<SocketAddr>) -> Result<Self, PortTaken> {
        if let Some(address) = asked {
            return match TcpListener::bind(address).await {
                Ok(listener) => Self::of(listener, address, None),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(PortTaken::Asked(address)),
                Err(error) => Err(PortTaken::Other(address, error)),
            };
        }
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        for port in PORT..=PORT + PORTS_MAX {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match TcpListener::bind(address).await {
                Ok(listener) => return Self::of(listener, address, (port != PORT).then_some(usual)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(PortTaken::Other(address, error)),
            }
        }
        Err(PortTaken::Usual(usual))
    }

    fn of(
        listener: TcpListener,
        asked: SocketAddr,
        instead_of: Option<SocketAddr>,
    ) -> Result<Self, PortTaken> {
        let address = listener.local_addr().map_err(|error| PortTaken::Other(asked, error))?;
        Ok(Self { listener, address, instead_of })
    }
}

/// Serves until it is dropped, and its connections with it.
pub async fn serve(port: Port, state: SharedState) {
    let service = Arc::new(Service::new(state, port.address.ip().is_loopback()));
    let mut connections = JoinSet::new();
    loop {
        // In this order: ended connections make room.
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
            continue;
        }
        match port.listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, service.clone()));
            }
            // Out of file descriptors, or a client that was faster than us: both pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    // A browser that closes a page in the middle of an answer is nothing to speak of.
    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
}
