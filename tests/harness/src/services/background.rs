//! Servers inside the test's process run on threads of their own: a test that blocks must not look like a
//! service that hangs.

use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

/// A future that runs on a thread of its own until this is dropped; so do the tasks that it has spawned.
#[derive(Debug)]
pub(super) struct Background {
    /// Dropping it ends the future.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub fn start<F: Future<Output = ()>>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime of one thread is made");
            runtime.block_on(async {
                tokio::select! {
                    () = work() => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run).expect("a thread is started");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends by itself unless it panicked, and then it has said so.
            let _ = thread.join();
        }
    }
}
