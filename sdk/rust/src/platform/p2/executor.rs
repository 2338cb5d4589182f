//! Runs one future to its end, on the one thread there is.
//!
//! wstd's executor does the same for all of its users and costs each instance 2 us, a tenth of a small app: it makes a task, a map and
//! random keys, and imports what a timer needs, whether somebody waits or not. Here, who waits brings along what waiting
//! needs. With the feature `wstd` its executor runs the app, and everything that is built on wstd works in handlers.

#[cfg(feature = "wstd")]
pub(super) use wstd::runtime::{AsyncPollable as Waitable, WaitFor as Wait, block_on};

#[cfg(not(feature = "wstd"))]
pub(super) use own::{Wait, Waitable, block_on};

#[cfg(not(feature = "wstd"))]
mod own {
    use std::cell::{Cell, RefCell};
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::rc::Rc;
    use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

    use wasip2::io::poll::{Pollable, poll};

    thread_local! {
        /// Whether the future wants to be polled again without waiting for anything.
        static WOKEN: Cell<bool> = const { Cell::new(false) };
        /// Waits for the first of those below. Set by the first who waits, so that others are linked without it.
        static WAIT: Cell<Option<fn()>> = const { Cell::new(None) };
        static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
        static LAST_ID: Cell<u64> = const { Cell::new(0) };
    }

    struct Waiting {
        id: u64,
        waitable: Waitable,
        waker: Waker,
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let mut cx = Context::from_waker(&WAKER);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            // Written only if it says something else: what is not touched need not be restored for the next request.
            if WOKEN.get() {
                WOKEN.set(false);
                continue;
            }
            match WAIT.get() {
                Some(wait) => {
                    wait();
                    // Whoever was woken is polled now anyway.
                    WOKEN.set(false);
                }
                None => panic!("the app waits for something that cannot happen"),
            }
        }
    }

    fn wait() {
        // Wakers may run code of others, which may come back here.
        let waiting = WAITING.take();
        assert!(!waiting.is_empty(), "the app waits for something that cannot happen");
        let pollables: Vec<&Pollable> = waiting.iter().map(|waiting| &*waiting.waitable.0).collect();
        let ready = poll(&pollables);
        for index in ready {
            if let Some(waiting) = waiting.get(index as usize) {
                waiting.waker.wake_by_ref();
            }
        }
        WAITING.with_borrow_mut(|added| added.extend(waiting));
    }

    /// Something that the server tells when it is ready.
    #[derive(Clone)]
    pub(crate) struct Waitable(Rc<Pollable>);

    impl Waitable {
        pub(crate) fn new(pollable: Pollable) -> Self {
            Self(Rc::new(pollable))
        }

        pub(crate) fn wait_for(&self) -> Wait {
            LAST_ID.set(LAST_ID.get() + 1);
            Wait { id: LAST_ID.get(), waitable: self.clone(), is_waiting: false }
        }
    }

    /// Ready when the waitable is.
    pub(crate) struct Wait {
        id: u64,
        waitable: Waitable,
        is_waiting: bool,
    }

    impl Wait {
        fn stop(&mut self) {
            if self.is_waiting {
                self.is_waiting = false;
                WAITING.with_borrow_mut(|all| all.retain(|waiting| waiting.id != self.id));
            }
        }
    }

    impl Future for Wait {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.stop();
            if self.waitable.0.ready() {
                return Poll::Ready(());
            }
            let waiting = Waiting { id: self.id, waitable: self.waitable.clone(), waker: cx.waker().clone() };
            WAITING.with_borrow_mut(|all| all.push(waiting));
            WAIT.set(Some(wait));
            self.is_waiting = true;
            Poll::Pending
        }
    }

    impl Drop for Wait {
        fn drop(&mut self) {
            self.stop();
        }
    }

    /// There is one future to wake, so a waker is nothing but a flag's name.
    static WAKER: Waker = {
        const VTABLE: RawWakerVTable = RawWakerVTable::new(|_| RAW, |_| wake(), |_| wake(), |_| ());
        const RAW: RawWaker = RawWaker::new(std::ptr::null(), &VTABLE);
        // SAFETY: the functions do not touch the pointer and keep nothing, so all that is asked of them holds.
        #[allow(unsafe_code)]
        unsafe {
            Waker::from_raw(RAW)
        }
    };

    fn wake() {
        WOKEN.set(true);
    }
}
