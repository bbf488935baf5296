use super::super::{GlobalMemory, Run, SharedMemory};
use super::{ALL, ZEROS, row, row64, site, values};
use crate::vm::access::{Lanes, Wide};
use crate::vm::counters::Counters;
use crate::vm::fault::{Fault, FaultKind};

/// 4 KiB of global memory where each byte is its address modulo 251, but the last 64 nothing.
struct Bench {
    global: GlobalMemory,
    base: u64,
    shared: SharedMemory,
    counters: Counters,
}

impl Bench {
    fn new() -> Self {
        let global = GlobalMemory::new(1 << 20);
        let base = global.alloc(4096).unwrap();
        let bytes: Vec<u8> = (0..4032u32).map(|i| (i % 251) as u8).collect();
        global.write(base, &bytes).unwrap();
        let mut shared = SharedMemory::new();
        shared.reset(&[0..4096], 64, false);
        Self { global, base, shared, counters: Counters::default() }
    }

    fn issue(
        &mut self,
        warp: u32,
        mask: u32,
        to: u32,
        from: u64,
        bytes: u32,
        source: u32,
    ) -> Result<(), Fault> {
        let launch = self.global.launch(1, Run::Serial).unwrap();
        self.shared.copy_issue(
            site(0, warp, 5),
            mask,
            &row(to, bytes),
            &row64(self.base + from, bytes as u64),
            bytes,
            &[source; 32],
            &mut launch.view(),
            &mut self.counters,
        )
    }

    fn read(&mut self, warp: u32, mask: u32, at: u32) -> Result<Lanes<Wide>, Fault> {
        let mut out = ZEROS;
        let at = row(at, 16);
        self.shared.load(site(0, warp, 6), mask, &at, 16, &mut out, &mut self.counters)?;
        Ok(out)
    }

    fn write(&mut self, warp: u32, mask: u32, at: u32) -> Result<(), Fault> {
        let at = row(at, 16);
        self.shared.store(site(0, warp, 7), mask, &at, 16, &values(), &mut self.counters)
    }
}

fn expected(from: usize, lane: usize, source: usize) -> Wide {
    std::array::from_fn(|word| {
        let byte = |i: usize| {
            let at = 4 * word + i;
            if at < source { ((from + 16 * lane + at) % 251) as u8 } else { 0 }
        };
        u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    })
}

#[test]
fn a_copy_lands_at_the_wait() {
    let mut bench = Bench::new();
    bench.issue(0, ALL, 0, 64, 16, 16).unwrap();
    bench.shared.copy_commit(0, ALL);
    bench.shared.copy_wait(0, ALL, 0);
    let out = bench.read(0, 1, 0).unwrap();
    assert_eq!(out[0], expected(64, 0, 16));
    bench.shared.barrier(0b11);
    let out = bench.read(1, ALL, 0).unwrap();
    (0..32).for_each(|lane| assert_eq!(out[lane], expected(64, lane, 16)));
    assert_eq!(bench.counters.global_read_bytes, 512);
    assert_eq!(bench.counters.global_read_sectors, 16);
}

#[test]
fn what_is_not_copied_is_zero() {
    for source in [0, 1, 6, 12] {
        let mut bench = Bench::new();
        bench.issue(0, ALL, 0, 64, 16, source).unwrap();
        bench.shared.copy_commit(0, ALL);
        bench.shared.copy_wait(0, ALL, 0);
        bench.shared.barrier(0b11);
        let out = bench.read(1, ALL, 0).unwrap();
        (0..32).for_each(|lane| assert_eq!(out[lane], expected(64, lane, source as usize)));
        assert_eq!(bench.counters.global_read_bytes, 32 * source as u64);
        assert_eq!(bench.counters.global_read_sectors, if source == 0 { 0 } else { 16 });
    }
}

#[test]
fn an_access_before_the_wait_is_named() {
    let mut bench = Bench::new();
    bench.issue(0, ALL, 0, 0, 16, 16).unwrap();
    bench.shared.copy_commit(0, ALL);
    for fault in [
        bench.read(0, 1 << 4, 0).unwrap_err(),
        bench.write(0, 1 << 4, 0).unwrap_err(),
        bench.issue(0, 1 << 4, 0, 0, 16, 16).unwrap_err(),
    ] {
        assert_eq!((fault.kind, fault.lane), (FaultKind::PendingCopy, 4));
        assert_eq!(fault.other, Some((site(0, 0, 5), 4, true)));
    }
    bench.write(0, ALL, 512).unwrap();
    // The wait of another warp, or for fewer groups, is not the wait.
    bench.shared.copy_wait(1, ALL, 0);
    bench.shared.copy_wait(0, ALL, 1);
    bench.shared.barrier(0b11);
    assert_eq!(bench.read(0, 1, 0).unwrap_err().kind, FaultKind::PendingCopy);
}

#[test]
fn groups_land_oldest_first() {
    let mut bench = Bench::new();
    for stage in 0..3 {
        bench.issue(0, ALL, 512 * stage, 512 * stage as u64, 16, 16).unwrap();
        bench.shared.copy_commit(0, ALL);
    }
    bench.issue(0, ALL, 1536, 1536, 16, 16).unwrap();
    for stage in 0..3 {
        bench.shared.copy_wait(0, ALL, 2 - stage);
        let out = bench.read(0, 1, 512 * stage).unwrap();
        assert_eq!(out[0], expected(512 * stage as usize, 0, 16));
        let fault = bench.read(0, 1, 512 * (stage + 1)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::PendingCopy);
    }
    bench.shared.copy_commit(0, ALL);
    bench.shared.copy_wait(0, ALL, 0);
    bench.read(0, 1, 1536).unwrap();
}

#[test]
fn lanes_have_their_own_groups() {
    let mut bench = Bench::new();
    bench.issue(0, 0b01, 0, 0, 16, 16).unwrap();
    bench.shared.copy_commit(0, 0b01);
    bench.issue(0, 0b11, 512, 0, 16, 16).unwrap();
    bench.shared.copy_commit(0, 0b11);
    bench.shared.copy_wait(0, 0b11, 1);
    bench.read(0, 0b01, 0).unwrap();
    assert_eq!(bench.read(0, 0b01, 512).unwrap_err().kind, FaultKind::PendingCopy);
    assert_eq!(bench.read(0, 0b10, 512).unwrap_err().kind, FaultKind::PendingCopy);
    bench.shared.copy_wait(0, 0b10, 0);
    bench.read(0, 0b10, 512).unwrap();
    assert_eq!(bench.read(0, 0b01, 512).unwrap_err().kind, FaultKind::PendingCopy);
}

#[test]
fn other_threads_need_a_barrier_after_the_wait() {
    let mut bench = Bench::new();
    bench.issue(0, ALL, 0, 0, 16, 16).unwrap();
    bench.shared.copy_commit(0, ALL);
    bench.shared.barrier(0b11);
    bench.shared.copy_wait(0, ALL, 0);
    let fault = bench.read(1, 1 << 2, 0).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Race);
    assert_eq!(fault.other, Some((site(0, 0, 5), 2, true)));
    bench.shared.barrier(0b11);
    bench.read(1, ALL, 0).unwrap();
}

#[test]
fn a_copy_over_what_is_being_read_is_named() {
    let mut bench = Bench::new();
    bench.write(0, ALL, 0).unwrap();
    bench.shared.barrier(0b11);
    bench.read(1, ALL, 0).unwrap();
    let fault = bench.issue(0, 1 << 2, 0, 0, 16, 16).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Race);
    assert_eq!(fault.other, Some((site(0, 1, 6), 2, false)));
    bench.shared.barrier(0b11);
    bench.issue(0, ALL, 0, 0, 16, 16).unwrap();
}

#[test]
fn narrow_copies_are_told_apart() {
    let mut bench = Bench::new();
    bench.issue(0, ALL, 0, 0, 4, 4).unwrap();
    bench.issue(0, ALL, 256, 0, 8, 8).unwrap();
    bench.shared.copy_commit(0, ALL);
    bench.shared.copy_wait(0, 0b1, 0);
    let counters = &mut Counters::default();
    let mut out = ZEROS;
    bench.shared.load(site(0, 0, 1), 1, &row(256, 0), 8, &mut out, counters).unwrap();
    assert_eq!(out[0], [0x0302_0100, 0x0706_0504, 0, 0]);
    bench.shared.load(site(0, 0, 1), 1, &row(0, 0), 4, &mut out, counters).unwrap();
    for at in [4, 264] {
        let fault =
            bench.shared.load(site(0, 0, 1), 1, &row(at, 0), 4, &mut out, counters).unwrap_err();
        assert_eq!(fault.kind, FaultKind::PendingCopy);
    }
}

#[test]
fn the_source_of_a_copy_is_checked() {
    let mut bench = Bench::new();
    let fault = bench.issue(0, 1, 0, 4090, 4, 4).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Misaligned);
    let fault = bench.issue(0, 0b01, 0, 4080, 16, 16).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::Uninitialised, 0));
    let fault = bench.issue(0, 0b110, 0, 4080, 16, 16).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::OutOfBounds, 1));
    // With nothing to read, any source will do.
    bench.issue(0, ALL, 0, 1 << 40, 16, 0).unwrap();
}

#[test]
fn a_block_does_not_inherit_copies() {
    let mut bench = Bench::new();
    bench.issue(0, ALL, 0, 0, 16, 16).unwrap();
    bench.shared.reset(&[0..4096], 64, false);
    bench.write(0, ALL, 0).unwrap();
    bench.shared.copy_commit(0, ALL);
    bench.shared.copy_wait(0, ALL, 0);
    assert_eq!(bench.read(0, 1, 0).unwrap()[0], values()[0]);
}
