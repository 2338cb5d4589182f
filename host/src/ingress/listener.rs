//! The app port: one thread per core, each with a listener and an async runtime of its own.
//!
//! The kernel spreads connections over the listeners (SO_REUSEPORT); a request then stays on one thread,
//! whose caches and instance slots stay warm.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::Ingress;
use super::connection;
use super::watch::Watches;

/// Connections that the kernel holds until we accept them.
const BACKLOG: i32 = 4096;

/// After an error such as too many open files, accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The serving threads.
pub struct Shards {
    pub address: SocketAddr,
    /// Runtimes of the data plane, for work that has to run beside requests.
    pub handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
}

impl Shards {
    /// True when every thread has finished its connections; they end after `closing` is cancelled.
    pub fn are_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

/// Binds the port `count` times and starts a thread for each.
pub fn serve(ingress: &Arc<Ingress>, address: SocketAddr, count: usize) -> io::Result<Shards> {
    refuse_taken(address)?;
    let first = bind(address)?;
    // With port 0 the kernel chose one, which the others share.
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(bind(address)?);
    }
    let (mut handles, mut threads) = (Vec::new(), Vec::new());
    for (number, listener) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Look at the sockets often: one poll of a guest may take long.
            .event_interval(31)
            .build()?;
        handles.push(runtime.handle().clone());
        let ingress = ingress.clone();
        let thread = std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            runtime.block_on(run(ingress, listener));
            // Dropping the runtime ends what the grace period did not wait for.
        })?;
        threads.push(thread);
    }
    Ok(Shards { address, handles, threads })
}

/// A shared port would silently give half of the connections to another process; so it is first bound alone.
fn refuse_taken(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn run(ingress: Arc<Ingress>, listener: StdListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("a serving thread could not start: {error}");
            return;
        }
    };
    let watches = Watches::default();
    let sweep = tokio::spawn(watches.clone().sweep(ingress.clone()));
    let mut connections = tokio::task::JoinSet::new();
    {
        let mut accepting = std::pin::pin!(accept(&ingress, &listener));
        loop {
            // Kept over rounds: it may hold a connection that waits for its place.
            let accepted = tokio::select! {
                accepted = accepting.as_mut() => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                () = ingress.lifecycle.closing.cancelled() => break,
            };
            accepting.set(accept(&ingress, &listener));
            match accepted {
                Ok((stream, address, permit)) => {
                    connections.spawn(connection::serve(
                        ingress.clone(),
                        watches.clone(),
                        stream,
                        address,
                        permit,
                    ));
                }
                Err(error) => {
                    tracing::warn!("accepting a connection failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    sweep.abort();
    ingress.access_log.flush();
}

type Accepted = (tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(ingress: &Ingress, listener: &TcpListener) -> io::Result<Accepted> {
    let (stream, address) = listener.accept().await?;
    // One connection per thread waits here, the others in the kernel's backlog. A place that is taken before
    // there is a connection would be lost to the other threads.
    let permit = ingress.connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((stream, address, permit))
}
