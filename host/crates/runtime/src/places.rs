//! Places for the instances of one WASI 0.3 app. A reused instance keeps its place between requests, and gives
//! it up as soon as a request on another thread finds none free.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

pub(crate) struct Places {
    free: Arc<Semaphore>,
    demand: Mutex<Demand>,
    /// Told to all idle instances whenever one more request waits.
    more_wait: Arc<Notify>,
}

/// How many idle instances have to go: as many as requests wait for, less those that are going.
#[derive(Default)]
struct Demand {
    waiting: usize,
    going: usize,
}

/// The right to one instance; given back on drop.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count));
        Arc::new(Self { free, demand: Mutex::default(), more_wait: Arc::default() })
    }

    /// A place, or nothing within `wait_max`.
    ///
    /// There are as many places as the app may have requests at once, so whoever comes with a request and finds
    /// none waits for an instance that idles, and goes now, or tidies up, and then idles.
    pub(crate) async fn take(&self, wait_max: Duration) -> Option<Place> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::begin(self);
                tokio::time::timeout(wait_max, self.free.clone().acquire_owned()).await.ok()?.ok()?
            }
        };
        Some(Place { _permit: permit })
    }

    /// What an instance asks while it idles.
    pub(crate) fn wanted(self: &Arc<Self>) -> Wanted {
        Wanted { places: self.clone(), more_wait: None, goes: false }
    }

    fn demand(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request that waits, until it has a place, or has left.
struct Waiting<'a>(&'a Places);

impl<'a> Waiting<'a> {
    fn begin(places: &'a Places) -> Self {
        places.demand().waiting += 1;
        places.more_wait.notify_waiters();
        Self(places)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.demand().waiting -= 1;
    }
}

/// Whether the place of an idle instance is wanted.
pub(crate) struct Wanted {
    places: Arc<Places>,
    more_wait: Option<Pin<Box<OwnedNotified>>>,
    goes: bool,
}

impl Wanted {
    /// Ready when the instance should go, and then it has to. Only for instances that idle.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Listens before it looks, so that nobody who comes in between is missed.
            let more_wait = self
                .more_wait
                .get_or_insert_with(|| Box::pin(self.places.more_wait.clone().notified_owned()));
            let heard = more_wait.as_mut().poll(cx);
            if self.goes || self.goes_now() {
                return Poll::Ready(());
            }
            if heard.is_pending() {
                return Poll::Pending;
            }
            self.more_wait = None;
        }
    }

    fn goes_now(&mut self) -> bool {
        let mut demand = self.places.demand();
        self.goes = demand.waiting > demand.going;
        demand.going += usize::from(self.goes);
        self.goes
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.places.demand().going -= usize::from(self.goes);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::task::yield_now;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn poll(wanted: &mut Wanted) -> Poll<()> {
        poll_fn(|cx| Poll::Ready(wanted.poll(cx))).await
    }

    #[tokio::test]
    async fn as_many_idle_instances_go_as_requests_wait() {
        let places = Places::new(3);
        let mut instances = Vec::new();
        for _ in 0..3 {
            instances.push((places.wanted(), places.take(SOON).await.unwrap()));
        }
        // One idles, two tidy up.
        assert!(poll(&mut instances[0].0).await.is_pending());
        let requests = [0, 1].map(|_| {
            tokio::spawn({
                let places = places.clone();
                async move { places.take(SOON).await }
            })
        });
        while places.demand().waiting < 2 {
            yield_now().await;
        }
        let mut rest = instances.split_off(1);
        for (mut wanted, place) in instances {
            tokio::time::timeout(SOON, poll_fn(|cx| wanted.poll(cx))).await.expect("it hears of them");
            drop((wanted, place));
        }
        let (mut wanted, place) = rest.remove(0);
        assert!(poll(&mut wanted).await.is_ready(), "the second request is not forgotten");
        drop((wanted, place));
        for request in requests {
            assert!(request.await.unwrap().is_some());
        }
        assert!(poll(&mut rest[0].0).await.is_pending(), "nobody waits any more");
    }

    #[tokio::test]
    async fn requests_that_have_left_are_not_made_room_for() {
        let places = Places::new(1);
        let _place = places.take(SOON).await.unwrap();
        assert!(places.take(Duration::from_millis(1)).await.is_none());
        assert!(poll(&mut places.wanted()).await.is_pending());
    }
}
