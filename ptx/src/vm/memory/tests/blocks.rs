use super::super::{Atomic, AtomicOp, AtomicType, GlobalMemory, LaunchMemory, Run};
use super::{ALL, ZEROS, row64, site, values};
use crate::vm::access::Lanes;
use crate::vm::counters::Counters;
use crate::vm::fault::{Fault, FaultKind};

fn memory() -> (GlobalMemory, u64) {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(1 << 16).unwrap();
    memory.zero(base, 1 << 16).unwrap();
    (memory, base)
}

/// One access of one block.
struct Step {
    block: u64,
    mask: u32,
    at: Lanes<u64>,
    bytes: u32,
    write: bool,
}

fn read(block: u64, mask: u32, at: Lanes<u64>, bytes: u32) -> Step {
    Step { block, mask, at, bytes, write: false }
}

fn write(block: u64, mask: u32, at: Lanes<u64>, bytes: u32) -> Step {
    Step { block, mask, at, bytes, write: true }
}

fn run(launch: &LaunchMemory, steps: &[Step]) -> Result<(), Fault> {
    let counters = &mut Counters::default();
    let mut view = launch.view();
    for (pc, step) in steps.iter().enumerate() {
        let site = site(step.block, 0, pc as u32);
        if step.write {
            view.store(site, step.mask, &step.at, step.bytes, &values(), counters)?;
        } else {
            view.load(site, step.mask, &step.at, step.bytes, &mut ZEROS.clone(), counters)?;
        }
    }
    Ok(())
}

/// What every way of running says.
fn verdict(steps: &[Step]) -> Option<Fault> {
    let (memory, base) = memory();
    let moved: Vec<Step> =
        steps.iter().map(|s| Step { at: s.at.map(|a| a + base), ..*s }).collect();
    let all = [Run::Parallel, Run::Serial, Run::Named].map(|how| {
        let launch = memory.launch(100, how).unwrap();
        let found = run(&launch, &moved).err();
        launch.roll_back();
        found
    });
    assert_eq!(all[0].is_some(), all[2].is_some());
    assert_eq!(all[1].is_some(), all[2].is_some());
    let [_, _, named] = all;
    named
}

#[test]
fn blocks_that_keep_apart_are_fine() {
    // Halves of one word, rows whose ends share 16 bytes, everybody reads the same input.
    let halves = |block| row64(2 * block, 4);
    let odd = |block: u64| row64(4096 + 66 * block, 2);
    let mut steps = Vec::new();
    for block in 0..4 {
        steps.push(read(block, ALL, row64(8192, 16), 16));
        steps.push(read(block, ALL, row64(8192 + 2 * block, 2), 2));
    }
    for block in 0..2 {
        steps.push(write(block, ALL, halves(block), 2));
        steps.push(read(block, ALL, halves(block), 2));
    }
    for block in 0..8 {
        steps.push(read(block, ALL, odd(block), 2));
        steps.push(write(block, ALL, odd(block), 2));
        steps.push(write(block, 1, row64(4096 + 66 * block + 64, 0), 2));
        steps.push(write(block, ALL, odd(block), 2));
    }
    assert_eq!(verdict(&steps), None);
}

#[test]
fn two_blocks_that_write_a_byte_are_named() {
    let steps = [write(3, ALL, row64(0, 4), 4), write(5, 0b110, row64(122, 2), 2)];
    let fault = verdict(&steps).unwrap();
    assert_eq!((fault.kind, fault.site, fault.lane), (FaultKind::GlobalRace, site(5, 0, 1), 1));
    assert_eq!(fault.other, Some((site(3, 0, 0), 31, true)));
    assert!(fault.detail.contains("byte 124 "), "{}", fault.detail);
}

#[test]
fn a_read_of_what_another_block_wrote_is_named() {
    let steps = [write(1, ALL, row64(0, 16), 16), read(2, 1 << 9, row64(0, 16), 16)];
    let fault = verdict(&steps).unwrap();
    assert_eq!((fault.kind, fault.lane), (FaultKind::GlobalRace, 9));
    assert_eq!(fault.other, Some((site(1, 0, 0), 9, true)));
}

#[test]
fn a_write_of_what_another_block_read_is_named() {
    let steps = [read(1, ALL, row64(0, 16), 16), write(2, 1 << 9, row64(0, 16), 16)];
    let fault = verdict(&steps).unwrap();
    assert_eq!(fault.other, Some((site(1, 0, 0), 9, false)));
    // Also where the writer is one of several readers, and the first of them.
    let steps = [
        read(1, ALL, row64(0, 16), 16),
        read(2, ALL, row64(0, 16), 16),
        write(2, 1, row64(0, 16), 16),
    ];
    let fault = verdict(&steps).unwrap();
    assert_eq!(fault.other, Some((site(1, 0, 0), 0, false)));
    let steps = [write(7, 1, row64(0, 16), 16), read(7, 1, row64(0, 16), 16)];
    assert_eq!(verdict(&steps), None);
}

#[test]
fn a_byte_beside_is_told_from_the_byte() {
    for (first, second, race) in [(0, 1, false), (1, 1, true), (3, 2, false), (15, 15, true)] {
        for way in 0..3 {
            let a = if way == 1 { read } else { write };
            let b = if way == 2 { read } else { write };
            let steps = [a(1, 1, row64(first, 0), 1), b(2, 1, row64(second, 0), 1)];
            assert_eq!(verdict(&steps).is_some(), race, "{first} {second} {way}");
        }
    }
}

#[test]
fn launches_do_not_race_with_each_other() {
    let (memory, base) = memory();
    for block in 0..3 {
        let launch = memory.launch(3, Run::Serial).unwrap();
        run(&launch, &[write(block, ALL, row64(base, 4), 4)]).unwrap();
        run(&launch, &[read(block, ALL, row64(base, 4), 4)]).unwrap();
    }
}

#[test]
fn atomics_race_with_plain_accesses_only() {
    let (memory, base) = memory();
    let add = Atomic { op: AtomicOp::Add, ty: AtomicType::U32 };
    let atomic = |launch: &LaunchMemory, block| {
        let (at, one) = (row64(base, 0), [1; 32]);
        let counters = &mut Counters::default();
        let mut old = [0; 32];
        launch.view().atomic(site(block, 0, 9), ALL, &at, add, &one, &[0; 32], &mut old, counters)
    };
    for how in [Run::Parallel, Run::Serial, Run::Named] {
        for plain in [read, write] {
            let launch = memory.launch(9, how).unwrap();
            (0..4).for_each(|block| atomic(&launch, block).unwrap());
            let fault = run(&launch, &[plain(1, 1, row64(base, 0), 4)]).unwrap_err();
            assert_eq!(fault.kind, FaultKind::GlobalRace);
            let launch = memory.launch(9, how).unwrap();
            run(&launch, &[plain(1, 1, row64(base, 0), 4)]).unwrap();
            atomic(&launch, 1).unwrap();
            run(&launch, &[plain(1, 1, row64(base, 0), 4)]).unwrap();
            assert_eq!(atomic(&launch, 2).unwrap_err().kind, FaultKind::GlobalRace);
        }
    }
}

#[test]
fn a_launch_is_undone() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(10_000).unwrap();
    memory.write(base, &[9; 100]).unwrap();
    let launch = memory.launch(2, Run::Parallel).unwrap();
    run(&launch, &[write(0, ALL, row64(base, 4), 4)]).unwrap();
    run(&launch, &[write(1, ALL, row64(base + 4000, 16), 16)]).unwrap();
    assert!(memory.initialised(base + 4000, 512).unwrap());
    launch.roll_back();
    let mut read = [0; 100];
    memory.read(base, &mut read).unwrap();
    assert_eq!(read, [9; 100]);
    assert!(!memory.initialised(base + 100, 1).unwrap());
    assert!(!memory.initialised(base + 4000, 1).unwrap());
}

#[test]
fn a_race_is_found_on_any_number_of_cpu_threads() {
    for racing in [false, true] {
        for _ in 0..20 {
            let (memory, base) = memory();
            let launch = memory.launch(64, Run::Parallel).unwrap();
            let faults: usize = std::thread::scope(|scope| {
                let spawn = |thread: u64| {
                    let launch = &launch;
                    scope.spawn(move || {
                        let mut faults = 0;
                        for block in (thread..64).step_by(4) {
                            // Neighbours share 16 bytes, and with `racing` one of its bytes.
                            let wide = if racing && block == 31 { 2 } else { 1 };
                            let steps: Vec<Step> = (0..13 + wide - 1)
                                .map(|i| write(block, 1, row64(base + 13 * block + i, 0), 1))
                                .collect();
                            faults += run(launch, &steps).is_err() as usize;
                        }
                        faults
                    })
                };
                let threads: Vec<_> = (0..4).map(spawn).collect();
                threads.into_iter().map(|t| t.join().unwrap()).sum()
            });
            assert_eq!(faults > 0, racing);
        }
    }
}
