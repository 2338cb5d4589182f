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
use tokio::sync::oneshot;

use super::Ingress;
use super::watch::Watches;
use super::{connection, cork};

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
    /// Bound, not listening yet, with the thread that waits for each.
    unopened: Vec<(Socket, oneshot::Sender<StdListener>)>,
}

impl Shards {
    /// Begins to accept. Until then the port is ours and connections are refused: a balancer that learns from
    /// failures alone takes a refusal for what it is, and would take an answer of 503 for the app's.
    pub fn open(&mut self) -> io::Result<()> {
        // Another node may have begun to listen here while this one was loading.
        refuse_taken(self.address)?;
        for (socket, thread) in self.unopened.drain(..) {
            socket.listen(BACKLOG)?;
            // A thread that does not wait has met the end of the node.
            let _ = thread.send(socket.into());
        }
        Ok(())
    }

    /// True when every thread has finished its connections; they end after `closing` is cancelled.
    pub fn are_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

/// Binds the port `count` times and starts a thread for each; `Shards::open` lets clients in.
pub fn serve(ingress: &Arc<Ingress>, address: SocketAddr, count: usize) -> io::Result<Shards> {
    refuse_taken(address)?.listen(1)?;
    let first = bind(address)?;
    // With port 0 the kernel chose one, which the others share.
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(bind(address)?);
    }
    let (mut handles, mut threads, mut unopened) = (Vec::new(), Vec::new(), Vec::new());
    for (number, socket) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Look at the sockets often: one poll of a guest may take long.
            .event_interval(31)
            .build()?;
        handles.push(runtime.handle().clone());
        let ingress = ingress.clone();
        let (sender, receiver) = oneshot::channel();
        unopened.push((socket, sender));
        let thread = std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            runtime.block_on(async {
                // Without a listener the node ends before it has begun.
                if let Ok(listener) = receiver.await {
                    run(ingress, listener).await;
                }
            });
            // Dropping the runtime ends what the grace period did not wait for.
        })?;
        threads.push(thread);
    }
    Ok(Shards { address, handles, threads, unopened })
}

/// A shared port would silently give half of the connections to another process; so it is first bound alone.
fn refuse_taken(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
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
    tokio::spawn(cork::flush_each_turn());
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
    for (stream, address) in taken_by_the_kernel(listener) {
        // The limit on connections is for a node that goes on; these few are the last ones.
        let Ok(permit) = ingress.connections.clone().acquire_many_owned(0).await else { break };
        connections.spawn(connection::serve(ingress.clone(), watches.clone(), stream, address, permit));
    }
    while connections.join_next().await.is_some() {}
    sweep.abort();
    cork::flush();
    ingress.access_log.flush();
}

/// Closes the listener. Connections that the kernel has taken by then would be reset with it, and with them requests
/// that nobody may repeat; so they are accepted first.
fn taken_by_the_kernel(listener: TcpListener) -> Vec<(tokio::net::TcpStream, SocketAddr)> {
    let mut taken = Vec::new();
    // Asked of the kernel itself: the runtime may not know of the newest ones yet.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, address)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(stream));
            taken.extend(stream.map(|stream| (stream, address)));
        }
    }
    taken
}

type Accepted = (tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(ingress: &Ingress, listener: &TcpListener) -> io::Result<Accepted> {
    let (stream, address) = listener.accept().await?;
    // One connection per thread waits here, the others in the kernel's backlog. A place that is taken before
    // there is a connection would be lost to the other threads.
    let permit = ingress.connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((stream, address, permit))
}
