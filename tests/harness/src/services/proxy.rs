//! A wire between a node and a service that a test can cut, block or slow down, for that node alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::announcements::{is_announcement, message_length};
use super::background::Background;
use super::{Announcements, Port};
use crate::eventually;

/// Bytes under way in one direction of a connection; a sender waits while there are more, as on a real wire.
const UNDER_WAY_BYTES_MAX: usize = 4 << 20;

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Pass,
    /// Everything arrives, this much later, in both directions.
    DelayMs(u64),
    /// Nothing arrives any more; connections stay open, and new ones are accepted.
    Hang,
    /// Connections are closed, new ones as soon as they are accepted.
    Cut,
    /// Connections are closed, and nobody listens.
    Refuse,
    /// Only what Redis pushes to subscribers is touched. For a proxy made by [`FaultProxy::to_redis`].
    Announcements(Announcements),
}

/// A proxy for TCP; ended when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: Port,
    shared: Arc<Shared>,
    _server: Background,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    speaks_redis: bool,
    link: watch::Sender<Link>,
    /// What the listener has done so far: whether it is open.
    listens: watch::Sender<bool>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    open: AtomicU64,
    to_service: AtomicU64,
    from_service: AtomicU64,
    announcements: AtomicU64,
}

impl FaultProxy {
    /// A wire to a service, which may be down; it passes everything at first.
    pub async fn to(target: SocketAddr) -> Self {
        Self::start(target, false).await
    }

    /// A wire to Redis, on which announcements can be told from answers.
    pub async fn to_redis(target: SocketAddr) -> Self {
        Self::start(target, true).await
    }

    async fn start(target: SocketAddr, speaks_redis: bool) -> Self {
        let port = Port::claim();
        let (link, listens) = (watch::Sender::new(Link::Pass), watch::Sender::new(false));
        let counters = Counters::default();
        let shared = Arc::new(Shared { target, speaks_redis, link, listens, counters });
        let (address, serving) = (port.address(), shared.clone());
        let server = Background::start("fault-proxy", move || serve(address, serving));
        let proxy = Self { port, shared, _server: server };
        proxy.set(Link::Pass).await;
        proxy
    }

    /// What a node is told instead of the service's address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Changes what the wire does; it does so when this returns.
    pub async fn set(&self, link: Link) {
        assert!(
            self.shared.speaks_redis || !matches!(link, Link::Announcements(_)),
            "only a proxy to Redis knows announcements"
        );
        self.shared.link.send_replace(link);
        let refuses = link == Link::Refuse;
        let mut listens = self.shared.listens.subscribe();
        eventually("the proxy's listener follows", async || {
            (*listens.borrow_and_update() != refuses).then_some(())
        })
        .await;
        if matches!(link, Link::Refuse | Link::Cut) {
            eventually("the proxy's connections are closed", async || (self.open() == 0).then_some(())).await;
        }
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.counters.accepted.load(Relaxed)
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.shared.counters.open.load(Relaxed)
    }

    /// Bytes carried to the service.
    pub fn bytes_to_service(&self) -> u64 {
        self.shared.counters.to_service.load(Relaxed)
    }

    /// Bytes carried to the node.
    pub fn bytes_from_service(&self) -> u64 {
        self.shared.counters.from_service.load(Relaxed)
    }

    /// Announcements that Redis has sent, whatever became of them here.
    pub fn announcements(&self) -> u64 {
        self.shared.counters.announcements.load(Relaxed)
    }
}

/// Listens whenever the wire is not to refuse.
async fn serve(address: SocketAddr, shared: Arc<Shared>) {
    let mut link = shared.link.subscribe();
    loop {
        shared.listens.send_replace(false);
        // The sender lives in `shared`: waiting never fails.
        let _ = link.wait_for(|link| *link != Link::Refuse).await;
        let listener = TcpListener::bind(address).await.expect("the port is ours");
        shared.listens.send_replace(true);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    shared.counters.accepted.fetch_add(1, Relaxed);
                    tokio::spawn(connection(stream, shared.clone()));
                }
                _ = link.wait_for(|link| *link == Link::Refuse) => break,
            }
        }
    }
}

/// One connection until either side ends it, or the wire is cut.
async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let mut link = shared.link.subscribe();
    let counters = &shared.counters;
    counters.open.fetch_add(1, Relaxed);
    tokio::select! {
        _ = link.wait_for(|link| matches!(link, Link::Cut | Link::Refuse)) => {}
        _ = exchange(client, &shared) => {}
    }
    counters.open.fetch_sub(1, Relaxed);
}

async fn exchange(client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    pass_allowed(shared).await;
    let service = TcpStream::connect(shared.target).await?;
    client.set_nodelay(true)?;
    service.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_service, to_service) = service.into_split();
    let up = Wire { shared, counter: &shared.counters.to_service, reads_messages: false };
    let down = Wire { shared, counter: &shared.counters.from_service, reads_messages: shared.speaks_redis };
    tokio::try_join!(up.carry(from_client, to_service), down.carry(from_service, to_client))?;
    Ok(())
}

async fn pass_allowed(shared: &Shared) {
    let _ = shared.link.subscribe().wait_for(|link| *link != Link::Hang).await;
}

/// One direction of a connection.
struct Wire<'a> {
    shared: &'a Shared,
    counter: &'a AtomicU64,
    /// Carries whole messages of Redis rather than bytes as they come.
    reads_messages: bool,
}

/// Bytes under way, by when they arrive; those of the same moment in the order in which they were sent.
#[derive(Default)]
struct UnderWay {
    pieces: BTreeMap<(Instant, u64), Bytes>,
    bytes: usize,
    sent: u64,
    /// Nothing but announcements overtakes what was sent before.
    latest: Option<Instant>,
}

impl UnderWay {
    fn send(&mut self, piece: Bytes, delay_ms: u64, in_order: bool) {
        let mut due = Instant::now() + Duration::from_millis(delay_ms);
        if in_order {
            due = self.latest.map_or(due, |latest| latest.max(due));
            self.latest = Some(due);
        }
        self.sent += 1;
        self.bytes += piece.len();
        self.pieces.insert((due, self.sent), piece);
    }

    async fn next(&mut self) -> Bytes {
        let Some((&key, _)) = self.pieces.first_key_value() else { return std::future::pending().await };
        tokio::time::sleep_until(key.0).await;
        let piece = self.pieces.remove(&key).unwrap_or_default();
        self.bytes -= piece.len();
        piece
    }
}

impl Wire<'_> {
    /// Carries everything to its end, and the end too.
    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let mut received = BytesMut::new();
        let mut under_way = UnderWay::default();
        let mut ended = false;
        while !(ended && under_way.pieces.is_empty()) {
            let has_room = under_way.bytes < UNDER_WAY_BYTES_MAX;
            tokio::select! {
                count = from.read_buf(&mut received), if !ended && has_room => {
                    ended = count? == 0;
                    self.dispatch(&mut received, &mut under_way, ended);
                }
                piece = under_way.next() => {
                    pass_allowed(self.shared).await;
                    // First, so that whoever has received it finds it counted.
                    self.counter.fetch_add(piece.len() as u64, Relaxed);
                    to.write_all(&piece).await?;
                }
            }
        }
        pass_allowed(self.shared).await;
        to.shutdown().await
    }

    fn dispatch(&self, received: &mut BytesMut, under_way: &mut UnderWay, ended: bool) {
        let link = *self.shared.link.borrow();
        let delay_ms = if let Link::DelayMs(delay_ms) = link { delay_ms } else { 0 };
        while self.reads_messages
            && !received.is_empty()
            && let Some(length) = message_length(received)
        {
            let message = received.split_to(length).freeze();
            if is_announcement(&message) {
                self.announce(message, link, delay_ms, under_way);
            } else {
                under_way.send(message, delay_ms, true);
            }
        }
        if !received.is_empty() && (!self.reads_messages || ended) {
            under_way.send(received.split().freeze(), delay_ms, true);
        }
    }

    fn announce(&self, message: Bytes, link: Link, delay_ms: u64, under_way: &mut UnderWay) {
        let number = self.shared.counters.announcements.fetch_add(1, Relaxed);
        match link {
            Link::Announcements(Announcements::Dropped) => {}
            Link::Announcements(Announcements::Duplicated) => {
                under_way.send(message.clone(), 0, true);
                under_way.send(message, 0, true);
            }
            Link::Announcements(Announcements::LateMs(late_ms)) => under_way.send(message, late_ms, false),
            Link::Announcements(Announcements::EveryOtherLateMs(late_ms)) if number.is_multiple_of(2) => {
                under_way.send(message, late_ms, false);
            }
            _ => under_way.send(message, delay_ms, true),
        }
    }
}
