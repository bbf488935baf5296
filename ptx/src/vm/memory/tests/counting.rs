use super::super::{GlobalMemory, GlobalView, Run, SharedMemory};
use super::{ALL, ZEROS, row, row64, site, values};
use crate::vm::access::Lanes;
use crate::vm::counters::Counters;

fn sectors(mask: u32, at: impl Fn(u64) -> u64, bytes: u32) -> (u64, u64) {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(1 << 16).unwrap();
    memory.zero(base, 1 << 16).unwrap();
    let launch = memory.launch(1, Run::Serial).unwrap();
    let addresses = std::array::from_fn(|lane| base + at(lane as u64));
    let mut counters = Counters::default();
    let mut view = launch.view();
    view.load(site(0, 0, 0), mask, &addresses, bytes, &mut ZEROS.clone(), &mut counters).unwrap();
    view.store(site(0, 0, 0), mask, &addresses, bytes, &values(), &mut counters).unwrap();
    assert_eq!(counters.global_read_bytes, counters.global_written_bytes);
    assert_eq!(counters.global_read_sectors, counters.global_written_sectors);
    (counters.global_read_bytes, counters.global_read_sectors)
}

#[test]
fn sectors_of_a_warp_are_counted_once_each() {
    assert_eq!(sectors(ALL, |lane| 4 * lane, 4), (128, 4));
    assert_eq!(sectors(ALL, |lane| 16 * lane, 16), (512, 16));
    assert_eq!(sectors(ALL, |lane| 4 * lane + 4, 4), (128, 5));
    assert_eq!(sectors(ALL, |_| 64, 4), (128, 1));
    assert_eq!(sectors(ALL, |lane| 128 * lane, 4), (128, 32));
    assert_eq!(sectors(ALL, |lane| 128 * (lane % 4), 4), (128, 4));
    assert_eq!(sectors(ALL, |lane| 4 * (31 - lane), 4), (128, 4));
    assert_eq!(sectors(0b101, |lane| 2 * lane, 2), (4, 1));
    assert_eq!(sectors(0, |lane| lane, 2), (0, 0));
}

/// Reads and writes of two blocks, repeated; the second launch forgets the first.
#[test]
fn sectors_of_a_launch_are_counted_once_each() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc_zeroed(1 << 16).unwrap();
    let once = |accesses: &dyn Fn(&mut GlobalView<'_>, &mut Counters)| {
        let launch = memory.launch(2, Run::Serial).unwrap();
        accesses(&mut launch.view(), &mut Counters::default());
        launch.distinct_sectors()
    };
    let load = |view: &mut GlobalView<'_>, c: &mut Counters, block, at: u64| {
        view.load(site(block, 0, 0), ALL, &row64(base + at, 4), 4, &mut ZEROS.clone(), c).unwrap();
    };
    let store = |view: &mut GlobalView<'_>, c: &mut Counters, block, mask, at: u64| {
        view.store(site(block, 0, 0), mask, &row64(base + at, 4), 4, &values(), c).unwrap();
    };
    let read_by_both = once(&|view, c| {
        for block in [0, 1, 0] {
            load(view, c, block, 0);
        }
        load(view, c, 0, 8000);
    });
    assert_eq!(read_by_both, (8, 0));
    // Of the last 16 bytes that are written each block writes a half.
    let updated = once(&|view, c| {
        load(view, c, 0, 4096);
        store(view, c, 0, ALL >> 2, 4096 + 80);
        store(view, c, 1, 0b11, 4096 + 80 + 120);
    });
    assert_eq!(updated, (4, 5));
    assert_eq!(once(&|_, _| {}), (0, 0));
}

fn conflicts(mask: u32, at: Lanes<u32>, bytes: u32) -> u64 {
    let mut memory = SharedMemory::new();
    memory.reset(&[0..1 << 16], 32, false);
    let mut counters = Counters::default();
    let same = [[7; 4]; 32];
    memory.store(site(0, 0, 0), mask, &at, bytes, &same, &mut counters).unwrap();
    assert_eq!(counters.shared_accesses, 1);
    counters.shared_bank_conflicts
}

#[test]
fn conflicts_of_banks() {
    assert_eq!(conflicts(ALL, row(0, 4), 4), 0);
    assert_eq!(conflicts(ALL, row(0, 0), 4), 0);
    assert_eq!(conflicts(ALL, row(0, 132), 4), 0);
    assert_eq!(conflicts(ALL, row(0, 8), 4), 1);
    assert_eq!(conflicts(ALL, row(0, 128), 4), 31);
    assert_eq!(conflicts(0xff, row(0, 128), 4), 7);
    assert_eq!(conflicts(ALL, std::array::from_fn(|lane| lane as u32 % 2 * 128), 4), 1);
    assert_eq!(conflicts(ALL, row(0, 2), 2), 0);
    assert_eq!(conflicts(ALL, row(0, 1), 1), 0);
    assert_eq!(conflicts(ALL, row(0, 64), 2), 15);
    // 8 bytes: two phases of 16 lanes.
    assert_eq!(conflicts(ALL, row(0, 8), 8), 0);
    assert_eq!(conflicts(ALL, row(0, 16), 8), 2);
    // 16 bytes: four phases of 8 lanes, as the rows of ldmatrix.
    assert_eq!(conflicts(ALL, row(0, 16), 16), 0);
    assert_eq!(conflicts(ALL, row(0, 144), 16), 0);
    assert_eq!(conflicts(ALL, row(0, 128), 16), 28);
    assert_eq!(conflicts(ALL, row(0, 64), 16), 12);
    let swizzled = |lane: u32| 64 * lane + 16 * (lane / 2 % 4);
    assert_eq!(conflicts(ALL, std::array::from_fn(|lane| swizzled(lane as u32)), 16), 0);
    assert_eq!(conflicts(0xff, row(0, 128), 16), 7);
}

#[test]
fn addresses_of_lanes_that_are_off_do_not_count() {
    let mut at = row(0, 4);
    at[7] = 128;
    assert_eq!(conflicts(ALL & !(1 << 7), at, 4), 0);
    assert_eq!(conflicts(0, [u32::MAX; 32], 4), 0);
    assert_eq!(sectors(1, |lane| if lane == 0 { 0 } else { 1 << 50 }, 4), (4, 1));
    assert_eq!(row64(3, 2)[31], 65);
}
