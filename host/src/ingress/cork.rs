//! The cork: small answers of one turn of a thread's event loop leave together, at its end.
//!
//! A client on another core sleeps while it waits. Were each answer sent as soon as it is made, the kernel would wake
//! the client for every one, interrupt what that core does, and put it to sleep again; this costs about as much as a
//! guest's run. Sent in a row, one wake-up is enough for all of them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

/// Larger pieces are sent at once: copying them would cost more than it saves.
const PIECE_BYTES_MAX: usize = 1_024;

/// Answers that wait at most. The client begins with these while this thread makes the next ones.
const PIECES_MAX: usize = 16;

/// How long an answer may wait for those after it. Looked at before each guest and with each answer, so it waits longer
/// only for a guest that computes, and that is interrupted.
const HOLD_MAX: Duration = Duration::from_micros(500);

/// What one thread holds back.
#[derive(Default)]
struct Cork {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
    /// Since the first of the pieces waits.
    since: Option<Instant>,
    /// Wakes the task that sends them.
    end_of_turn: Option<Waker>,
}

struct Piece {
    to: Arc<Sender>,
    /// Where it ends in the cork's bytes; it begins where the one before it ends.
    end: usize,
}

thread_local! {
    static CORK: RefCell<Cork> = RefCell::default();
}

/// The sending half of a connection.
pub struct Sender(Mutex<State>);

struct State {
    half: OwnedWriteHalf,
    /// Pieces that wait behind the cork.
    held: usize,
    /// What came from behind the cork and the kernel did not take yet.
    rest: Vec<u8>,
    failed: Option<io::ErrorKind>,
    /// Of the connection, which sends the rest.
    task: Option<Waker>,
}

/// Sends what this thread holds back, at the end of each turn; a task of each thread that serves.
///
/// Whoever holds a piece back first wakes it. It then runs after all tasks that were ready by then, and before any that
/// becomes ready later: also on a thread that never comes to rest.
pub async fn flush_each_turn() {
    poll_fn(|cx| {
        flush();
        CORK.with_borrow_mut(|cork| cork.end_of_turn = Some(cx.waker().clone()));
        Poll::<()>::Pending
    })
    .await;
}

/// Sends what this thread holds back.
pub fn flush() {
    if CORK.with_borrow(|cork| cork.pieces.is_empty()) {
        return;
    }
    // Taken out, because a waker may do anything.
    let (mut pieces, mut bytes) = CORK.with_borrow_mut(|cork| {
        cork.since = None;
        (mem::take(&mut cork.pieces), mem::take(&mut cork.bytes))
    });
    let mut start = 0;
    for piece in pieces.drain(..) {
        piece.to.state().send(&bytes[start..piece.end]);
        start = piece.end;
    }
    bytes.clear();
    // Given back for their room; nothing was held back meanwhile.
    CORK.with_borrow_mut(|cork| (cork.pieces, cork.bytes) = (pieces, bytes));
}

/// Sends what is not to wait for a guest that gets this thread now: all if the guest may be slow, else what has waited
/// for long enough.
pub fn before_guest(may_take_long: bool) {
    let since = CORK.with_borrow(|cork| cork.since);
    if since.is_some_and(|since| may_take_long || since.elapsed() > HOLD_MAX) {
        flush();
    }
}

impl Sender {
    pub fn new(half: OwnedWriteHalf) -> Self {
        Self(Mutex::new(State { half, held: 0, rest: Vec::new(), failed: None, task: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends, or holds back on a thread that runs `flush_each_turn`.
    pub fn poll_send(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        if bytes > PIECE_BYTES_MAX {
            // Large writes take long, and many may follow: nobody waits for them.
            flush();
            ready!(self.poll_sent(cx))?;
            return Pin::new(&mut self.state().half).poll_write_vectored(cx, slices);
        }
        {
            let mut state = self.state();
            ready!(state.poll_rest(cx))?;
            state.held += 1;
            if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                state.task = Some(cx.waker().clone());
            }
        }
        let is_full = CORK.with_borrow_mut(|cork| {
            slices.iter().for_each(|slice| cork.bytes.extend_from_slice(slice));
            cork.pieces.push(Piece { to: self.clone(), end: cork.bytes.len() });
            let Some(end_of_turn) = &cork.end_of_turn else { return true };
            if cork.since.is_none() {
                cork.since = Some(Instant::now());
                end_of_turn.wake_by_ref();
            }
            cork.pieces.len() >= PIECES_MAX || cork.since.is_some_and(|since| since.elapsed() > HOLD_MAX)
        });
        if is_full {
            flush();
        }
        Poll::Ready(Ok(bytes))
    }

    /// Resolves when the kernel has all; what is held back counts as sent.
    pub fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().poll_rest(cx)
    }

    /// Sends what is held back, and resolves when the kernel has it.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state().held > 0 {
            flush();
        }
        self.state().poll_rest(cx)
    }

    /// Sends what is held back, and says that nothing more will come.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.state().half).poll_shutdown(cx)
    }
}

impl State {
    /// Gives a piece to the kernel, or keeps what it does not take for the connection's own task.
    fn send(&mut self, piece: &[u8]) {
        self.held -= 1;
        if self.failed.is_some() {
            return;
        }
        let sent = if self.rest.is_empty() { self.half.try_write(piece) } else { Ok(0) };
        match sent {
            Ok(bytes) if bytes == piece.len() => return,
            Ok(bytes) => self.rest.extend_from_slice(&piece[bytes..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.rest.extend_from_slice(piece),
            Err(error) => self.failed = Some(error.kind()),
        }
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(kind) = self.failed {
            return Poll::Ready(Err(kind.into()));
        }
        while !self.rest.is_empty() {
            let sent = ready!(Pin::new(&mut self.half).poll_write(cx, &self.rest))?;
            self.rest.drain(..sent);
        }
        // Slow clients are rare; their room is not kept.
        self.rest = Vec::new();
        Poll::Ready(Ok(()))
    }
}
