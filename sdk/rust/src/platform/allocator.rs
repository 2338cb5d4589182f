//! The heap as Rust's allocator, in memory that only it uses.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::cell::{Cell, UnsafeCell};
use std::ptr;

use crate::App;
use crate::heap::Heap;

/// Enough for most requests, and part of the memory that an instance starts with: growing it takes the server longer than a
/// small app takes to answer.
const FIRST_BYTES: usize = 64 << 10;
/// What an instance grows by, at least.
const GROWTH_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = 64 << 10;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    heap: UnsafeCell::new(Heap::new()),
    first_is_taken: Cell::new(false),
    app: Cell::new(None),
    first: UnsafeCell::new([0; FIRST_BYTES]),
};

/// The books, the app and the first memory lie together, so that a small request touches one page.
#[repr(C, align(16))]
struct Allocator {
    heap: UnsafeCell<Heap>,
    first_is_taken: Cell<bool>,
    app: Cell<Option<&'static App>>,
    first: UnsafeCell<[u8; FIRST_BYTES]>,
}

// SAFETY: an instance has one thread.
unsafe impl Sync for Allocator {}

/// Where the instance's app is kept.
pub(super) fn app() -> &'static Cell<Option<&'static App>> {
    &ALLOCATOR.app
}

impl Allocator {
    #[allow(clippy::mut_from_ref)]
    fn heap(&self) -> &mut Heap {
        // SAFETY: an instance has one thread, and no function of the heap calls back.
        unsafe { &mut *self.heap.get() }
    }
}

// SAFETY: the heap hands out blocks that do not overlap, of at least the size and with the alignment of their layouts.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the source gives is used by nobody else.
        unsafe { self.heap().allocate(layout, more) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back what it got.
        unsafe { self.heap().free(block, layout.size()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.heap().resize(block, layout.size(), size) {
            return block;
        }
        // SAFETY: the caller gives a size that is possible, and a block that is its own.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

/// First the memory that is there from the start, then what the server grants.
fn more(needed: usize) -> Option<(usize, usize)> {
    if needed <= FIRST_BYTES && !ALLOCATOR.first_is_taken.replace(true) {
        return Some((ALLOCATOR.first.get() as usize, FIRST_BYTES));
    }
    // Near the limit of its memory an app gets what it needs, if not more.
    [needed.max(GROWTH_BYTES), needed].into_iter().find_map(|bytes| {
        let pages = bytes.div_ceil(PAGE_BYTES);
        let start = memory_grow(0, pages);
        (start != usize::MAX).then(|| (start * PAGE_BYTES, pages * PAGE_BYTES))
    })
}
