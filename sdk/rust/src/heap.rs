//! The app's memory: for instances that live for one request and touch as few pages as they can.
//!
//! The allocator of C writes to both ends of its memory and keeps books on every block; that alone makes a small app's
//! fresh instance 3 % slower, because the server has to restore each page that was touched. This one hands out memory from
//! front to back, and keeps what is given back in a list for each size. Sizes grow by quarters (16, 32, 48, 64, 80, 96, 112, 128,
//! 160, ...), so at most a fifth of a block is unused. Blocks are never joined: an instance that is used for many requests
//! keeps its largest amount of each size.

use std::alloc::Layout;
use std::ptr;

/// What every block is a multiple of, and aligned to.
const GRAIN: usize = 16;
/// Sizes below this are multiples of the grain; above it there are four to each doubling.
const LINEAR_MAX: usize = 4 * GRAIN;
const LINEAR_MAX_LOG2: u32 = LINEAR_MAX.ilog2();
/// Free blocks that are asked whether they are aligned as wanted. The first one is, but for the few types that want more
/// than the grain.
const LOOKED_AT_MAX: usize = 8;
/// Up to 2 GiB, the largest a layout can be where pointers have 32 bits.
const CLASSES: usize = 4 + 4 * (30 - LINEAR_MAX_LOG2 as usize + 1);

/// Memory from `next` to `limit`, and what was given back.
pub(crate) struct Heap {
    next: usize,
    limit: usize,
    /// The first free block of each size; each block starts with the address of the one after it.
    free: [usize; CLASSES],
}

/// More memory, of at least so many bytes: where it starts and how long it is.
pub(crate) type Source = fn(usize) -> Option<(usize, usize)>;

impl Heap {
    pub(crate) const fn new() -> Self {
        Self { next: 0, limit: 0, free: [0; CLASSES] }
    }

    /// Null when there is no more memory.
    ///
    /// # Safety
    /// What the source gives is nobody else's, and stays so.
    #[inline(never)]
    pub(crate) unsafe fn allocate(&mut self, layout: Layout, more: Source) -> *mut u8 {
        let class = class_of(layout.size());
        let Some(mut link) = self.free.get_mut(class).map(ptr::from_mut) else { return ptr::null_mut() };
        for _ in 0..LOOKED_AT_MAX {
            // SAFETY: it is the list's start or a free block, which starts with the address of the next one.
            let block = unsafe { *link };
            if block == 0 {
                break;
            }
            let next = block as *mut usize;
            if block.is_multiple_of(layout.align()) {
                // SAFETY: as above.
                unsafe { *link = *next };
                return block as *mut u8;
            }
            link = next;
        }
        let (size, align) = (size_of(class), layout.align().max(GRAIN));
        loop {
            let start = self.next.next_multiple_of(align);
            match start.checked_add(size) {
                Some(end) if end <= self.limit => {
                    self.next = end;
                    return start as *mut u8;
                }
                _ => {}
            }
            let Some(needed) = size.checked_add(align) else { return ptr::null_mut() };
            let Some((start, length)) = more(needed) else { return ptr::null_mut() };
            // SAFETY: the source's memory is ours.
            unsafe { self.begin(start, length) };
        }
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// It was allocated here with this size, and is not used any more.
    #[inline(never)]
    pub(crate) unsafe fn free(&mut self, block: *mut u8, size: usize) {
        let (address, class) = (block as usize, class_of(size));
        if address + size_of(class) == self.next {
            self.next = address;
            return;
        }
        // SAFETY: nobody uses the block, and it holds at least an address.
        unsafe { *(block as *mut usize) = self.free[class] };
        self.free[class] = address;
    }

    /// Whether a block can be of another size where it is; the last one can grow.
    pub(crate) fn resize(&mut self, block: *mut u8, old: usize, new: usize) -> bool {
        let (address, old, new) = (block as usize, size_of(class_of(old)), class_of(new));
        if new >= CLASSES {
            return false;
        }
        let new = size_of(new);
        if old == new {
            return true;
        }
        match address.checked_add(new) {
            Some(end) if address + old == self.next && end <= self.limit => {
                self.next = end;
                true
            }
            _ => false,
        }
    }

    /// Goes on in other memory, unless it follows what is there.
    ///
    /// # Safety
    /// The memory is nobody else's, and stays so.
    unsafe fn begin(&mut self, start: usize, length: usize) {
        if start != self.limit {
            // SAFETY: what is left of the memory before was never handed out.
            unsafe { self.free_rest() };
            self.next = start.next_multiple_of(GRAIN);
        }
        self.limit = start + length;
    }

    /// # Safety
    /// What lies between `next` and `limit` is not used.
    unsafe fn free_rest(&mut self) {
        while self.limit - self.next >= GRAIN {
            let mut class = class_of(self.limit - self.next);
            if size_of(class) > self.limit - self.next {
                class -= 1;
            }
            // SAFETY: the block is within what is left.
            unsafe { *(self.next as *mut usize) = self.free[class] };
            self.free[class] = self.next;
            self.next += size_of(class);
        }
    }
}

/// The smallest size that holds so many bytes.
const fn class_of(size: usize) -> usize {
    if size <= LINEAR_MAX {
        return size.saturating_sub(1) / GRAIN;
    }
    let last = size - 1;
    let log2 = last.ilog2();
    let quarter = (last >> (log2 - 2)) & 3;
    4 + 4 * (log2 - LINEAR_MAX_LOG2) as usize + quarter
}

const fn size_of(class: usize) -> usize {
    if class < 4 {
        return (class + 1) * GRAIN;
    }
    let log2 = LINEAR_MAX_LOG2 as usize + (class - 4) / 4;
    (1 << log2) + ((class % 4 + 1) << (log2 - 2))
}

#[cfg(test)]
mod tests;
