//! Places for the instances of one WASI 0.3 app. A reused instance keeps its place between requests, and gives
//! it up as soon as a request on another thread finds none free.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// Told once for each request that finds no place.
    wanted: Arc<Notify>,
}

/// The right to one instance; given back on drop.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), wanted: Arc::default() })
    }

    /// A place, or nothing within `wait_max`.
    ///
    /// There are as many places as the app may have requests at once, so whoever comes with a request and finds
    /// none waits for an instance that idles, and goes now, or tidies up, and then idles.
    pub(crate) async fn take(&self, wait_max: Duration) -> Option<Place> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.wanted.notify_one();
                tokio::time::timeout(wait_max, self.free.clone().acquire_owned()).await.ok()?.ok()?
            }
        };
        Some(Place { _permit: permit })
    }

    /// What an instance asks while it idles.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { wanted: self.wanted.clone(), waiting: None }
    }
}

/// Whether the place of an idle instance is wanted.
pub(crate) struct Wanted {
    wanted: Arc<Notify>,
    waiting: Option<Pin<Box<OwnedNotified>>>,
}

impl Wanted {
    /// Ready when the instance should go. Only for instances that idle: what it takes is meant for one of them.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(self.wanted.clone().notified_owned()));
        waiting.as_mut().poll(cx)
    }

    /// An instance that has work again leaves the word, if it was told, to another one that idles.
    pub(crate) fn pass_on(&mut self) {
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_idle_instance_gives_its_place_to_whoever_finds_none() {
        let places = Places::new(2);
        let (busy, idle) = (places.take(SOON).await.unwrap(), places.take(SOON).await.unwrap());
        assert!(places.take(Duration::from_millis(1)).await.is_none(), "nobody was there to hear of it");
        // The one that was not heard is made up for by the next one to idle, once.
        poll_fn(|cx| places.wanted().poll(cx)).await;

        let (mut of_busy, mut of_idle) = (places.wanted(), places.wanted());
        poll_fn(|cx| {
            // Both idle, the first one asks first, and so hears first.
            assert!(of_busy.poll(cx).is_pending() && of_idle.poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let instances = async {
            // Then it gets a request of its own.
            tokio::time::timeout(SOON, async {
                while places.free.available_permits() > 0 {
                    tokio::task::yield_now().await;
                }
                tokio::task::yield_now().await;
                of_busy.pass_on();
                poll_fn(|cx| of_idle.poll(cx)).await;
                drop(idle);
            })
            .await
        };
        let (place, heard) = tokio::join!(places.take(SOON), instances);
        heard.expect("the other one hears of it");
        assert!(place.is_some());
        drop(busy);
    }
}
