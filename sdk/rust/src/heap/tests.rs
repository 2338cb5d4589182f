use super::*;

/// Memory that is not in one piece, as another part of the program may take some of it too.
fn pieces(needed: usize) -> Option<(usize, usize)> {
    let length = needed.max(4_096) + 40;
    let piece: &'static mut [u8] = vec![0xaa_u8; length].leak();
    Some((piece.as_mut_ptr() as usize, length))
}

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn sizes_grow_by_quarters() {
    let mut class = 0;
    for size in 1..100_000 {
        class = class.max(class_of(size));
        assert_eq!(class_of(size), class, "sizes of classes grow");
        assert!(size_of(class) >= size && (class == 0 || size_of(class - 1) < size), "{size}");
        assert!(size <= LINEAR_MAX || size_of(class) <= size + size / 4 + 1, "{size}");
    }
    assert_eq!([0, 3, 4, 7, 8].map(size_of), [16, 64, 80, 128, 160]);
    assert_eq!(class_of((1 << 31) - 1), CLASSES - 1);
    assert!(class_of((1 << 31) + 1) >= CLASSES);
}

#[test]
fn blocks_never_overlap_and_keep_what_they_hold() {
    let (mut heap, mut numbers) = (Heap::new(), Numbers(7));
    let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
    let holds = |&(block, layout, mark): &(*mut u8, Layout, u8)| {
        // SAFETY: the block is live and was filled.
        unsafe { std::slice::from_raw_parts(block, layout.size()) }.iter().all(|byte| *byte == mark)
    };
    for step in 0..20_000_usize {
        let mark = step as u8;
        if live.len() > 200 || (!live.is_empty() && numbers.below(3) == 0) {
            let last_first = numbers.below(2) == 0;
            let index = if last_first { live.len() - 1 } else { numbers.below(live.len()) };
            let (block, layout, old) = live.swap_remove(index);
            assert!(holds(&(block, layout, old)), "step {step}");
            let new = Layout::from_size_align(1 + numbers.below(3_000), layout.align()).unwrap();
            if numbers.below(2) == 0 && heap.resize(block, layout.size(), new.size()) {
                let kept = (block, Layout::from_size_align(layout.size().min(new.size()), 1).unwrap(), old);
                assert!(holds(&kept), "step {step}");
                // SAFETY: the block has the new size.
                unsafe { block.write_bytes(mark, new.size()) };
                live.push((block, new, mark));
            } else {
                // SAFETY: it is live, and forgotten here.
                unsafe { heap.free(block, layout.size()) };
            }
            continue;
        }
        let layout = Layout::from_size_align(1 + numbers.below(3_000), 1 << numbers.below(9)).unwrap();
        // SAFETY: the source leaks what it gives.
        let block = unsafe { heap.allocate(layout, pieces) };
        assert!(!block.is_null() && (block as usize).is_multiple_of(layout.align()));
        // SAFETY: the block is ours.
        unsafe { block.write_bytes(mark, layout.size()) };
        live.push((block, layout, mark));
    }
    assert!(live.iter().all(holds));
}

#[test]
fn what_was_given_back_is_used_again() {
    let mut heap = Heap::new();
    let layout = Layout::from_size_align(100, 8).unwrap();
    let other = Layout::from_size_align(20, 8).unwrap();
    // SAFETY: each block is freed once, with its size.
    unsafe {
        let first = heap.allocate(layout, pieces);
        let second = heap.allocate(other, pieces);
        heap.free(first, layout.size());
        assert_eq!(heap.allocate(layout, pieces), first, "from the list of its size");
        heap.free(second, other.size());
        assert_eq!(heap.allocate(layout, pieces), second, "the last block goes back to the rest");
    }
}

#[test]
fn without_memory_there_is_no_block() {
    let mut heap = Heap::new();
    for size in [1, 1 << 20, isize::MAX as usize - 15] {
        let layout = Layout::from_size_align(size, 16).unwrap();
        // SAFETY: the source gives nothing.
        assert!(unsafe { heap.allocate(layout, |_| None) }.is_null());
    }
}
