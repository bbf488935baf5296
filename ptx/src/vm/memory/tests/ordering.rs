use super::super::SharedMemory;
use super::{ALL, ZEROS, row, site, values};
use crate::vm::access::{Lanes, Wide};
use crate::vm::counters::Counters;
use crate::vm::fault::{Fault, FaultKind};

/// A block of 4 warps and 1 KiB, all of it written and a barrier passed.
fn block(subsets: bool) -> SharedMemory {
    let mut memory = SharedMemory::new();
    memory.reset(&[0..1024], 128, subsets);
    for first in [0, 512] {
        let counters = &mut Counters::default();
        memory.store(site(0, 0, 0), ALL, &row(first, 16), 16, &values(), counters).unwrap();
    }
    memory.barrier(0b1111);
    memory
}

fn read(
    memory: &mut SharedMemory,
    warp: u32,
    mask: u32,
    at: Lanes<u32>,
    bytes: u32,
) -> Result<(), Fault> {
    let counters = &mut Counters::default();
    memory.load(site(0, warp, 10 + warp), mask, &at, bytes, &mut ZEROS.clone(), counters)
}

fn write(
    memory: &mut SharedMemory,
    warp: u32,
    mask: u32,
    at: Lanes<u32>,
    bytes: u32,
) -> Result<(), Fault> {
    let counters = &mut Counters::default();
    memory.store(site(0, warp, 20 + warp), mask, &at, bytes, &values(), counters)
}

/// The other access of a race: instruction, lane, whether it wrote.
fn race(found: Result<(), Fault>) -> (u32, u32, bool) {
    let fault = found.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Race);
    let (site, lane, wrote) = fault.other.unwrap();
    (site.pc, lane, wrote)
}

#[test]
fn a_read_after_a_write_needs_a_barrier() {
    for bytes in [1, 2, 4, 8, 16] {
        let mut memory = block(false);
        write(&mut memory, 1, ALL, row(0, bytes), bytes).unwrap();
        let found = read(&mut memory, 2, 1 << 5, row(0, bytes), bytes);
        assert_eq!(race(found), (21, 5, true), "{bytes} bytes");
        memory.barrier(0b1111);
        read(&mut memory, 2, ALL, row(0, bytes), bytes).unwrap();
    }
}

#[test]
fn a_write_after_a_read_needs_a_barrier() {
    for bytes in [1, 2, 4, 8, 16] {
        let mut memory = block(false);
        read(&mut memory, 1, ALL, row(0, bytes), bytes).unwrap();
        let found = write(&mut memory, 2, 1 << 5, row(0, bytes), bytes);
        assert_eq!(race(found), (11, 5, false), "{bytes} bytes");
        memory.barrier(0b1111);
        write(&mut memory, 2, ALL, row(0, bytes), bytes).unwrap();
    }
}

#[test]
fn a_write_after_a_write_needs_a_barrier() {
    let mut memory = block(false);
    write(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
    assert_eq!(race(write(&mut memory, 2, 1, row(4, 0), 4)), (21, 1, true));
}

#[test]
fn a_byte_beside_is_told_from_the_byte() {
    let mut memory = block(false);
    write(&mut memory, 1, ALL, row(0, 2), 1).unwrap();
    write(&mut memory, 2, ALL, row(1, 2), 1).unwrap();
    assert_eq!(race(read(&mut memory, 1, 1, row(0, 0), 4)), (22, 0, true));
    write(&mut memory, 1, 1, row(512, 0), 4).unwrap();
    write(&mut memory, 2, 1, row(516, 0), 8).unwrap_err();
    write(&mut memory, 2, 1, row(520, 0), 8).unwrap();
    assert_eq!(race(read(&mut memory, 3, 1, row(512, 0), 16)), (21, 0, true));
}

#[test]
fn of_several_readers_one_of_another_thread_is_named() {
    for first in 0..3 {
        let mut memory = block(false);
        for warp in [first, (first + 1) % 3, (first + 2) % 3] {
            read(&mut memory, warp, ALL, row(0, 16), 16).unwrap();
        }
        let (pc, lane, wrote) = race(write(&mut memory, 0, 1 << 3, row(0, 16), 16));
        assert!(pc != 10 && lane == 3 && !wrote);
        memory.barrier(0b1111);
        write(&mut memory, 0, ALL, row(0, 16), 16).unwrap();
    }
}

#[test]
fn a_thread_is_ordered_with_itself() {
    let mut memory = block(false);
    for _ in 0..3 {
        read(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
        write(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
    }
}

#[test]
fn lanes_that_exchange_need_a_barrier_of_the_warp() {
    let swapped = std::array::from_fn(|lane| 4 * (lane as u32 ^ 1));
    let mut memory = block(false);
    write(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
    assert_eq!(race(read(&mut memory, 1, ALL, swapped, 4)), (21, 1, true));
    let mut memory = block(false);
    write(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
    memory.warp_sync(1, ALL);
    read(&mut memory, 1, ALL, swapped, 4).unwrap();
    assert_eq!(race(write(&mut memory, 1, ALL, row(0, 4), 4)), (11, 1, false));
    memory.warp_sync(1, ALL);
    write(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
    // The barrier of one warp orders nothing for another.
    assert_eq!(race(read(&mut memory, 2, 1, row(0, 0), 4)), (21, 0, true));
}

#[test]
fn a_barrier_of_a_part_of_a_warp_orders_that_part() {
    let swapped = std::array::from_fn(|lane| 4 * (lane as u32 ^ 1));
    let mut memory = block(false);
    write(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
    memory.warp_sync(1, 0xffff);
    read(&mut memory, 1, 0xffff, swapped, 4).unwrap();
    assert_eq!(race(read(&mut memory, 1, ALL << 16, swapped, 4)), (21, 17, true));
    // Several readers, all in the part that synchronises.
    let mut memory = block(false);
    read(&mut memory, 1, 0xff, row(0, 0), 4).unwrap();
    memory.warp_sync(1, 0xff);
    write(&mut memory, 1, 1, row(0, 0), 4).unwrap();
    let mut memory = block(false);
    read(&mut memory, 1, 0x1ff, row(0, 0), 4).unwrap();
    memory.warp_sync(1, 0xff);
    assert!(!race(write(&mut memory, 1, 1, row(0, 0), 4)).2);
    // Through a lane that is in both parts.
    let mut memory = block(false);
    write(&mut memory, 1, 1, row(0, 0), 4).unwrap();
    memory.warp_sync(1, 0b011);
    memory.warp_sync(1, 0b110);
    read(&mut memory, 1, 0b100, row(0, 0), 4).unwrap();
    assert_eq!(race(read(&mut memory, 1, 0b1000, row(0, 0), 4)), (21, 0, true));
}

#[test]
fn lanes_may_write_one_value_to_one_place_in_one_store() {
    let same = [[5; 4]; 32];
    for bytes in [1, 4, 8, 16] {
        let mut memory = block(false);
        let counters = &mut Counters::default();
        memory.store(site(0, 1, 3), ALL, &row(32, 0), bytes, &same, counters).unwrap();
        let found = memory.store(site(0, 1, 3), ALL, &row(64, 0), bytes, &values(), counters);
        assert_eq!(race(found), (3, 0, true));
        // Nor in two stores, by two lanes.
        let found = memory.store(site(0, 1, 4), 1 << 9, &row(32, 0), bytes, &same, counters);
        assert!(race(found).2);
    }
}

#[test]
fn a_barrier_of_some_warps_orders_those() {
    let mut memory = block(true);
    write(&mut memory, 0, ALL, row(0, 4), 4).unwrap();
    memory.barrier(0b0011);
    read(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
    assert_eq!(race(read(&mut memory, 2, 1, row(0, 0), 4)), (20, 0, true));
    // From 0 to 1 and from 1 to 2 is from 0 to 2.
    memory.barrier(0b0110);
    read(&mut memory, 2, ALL, row(0, 4), 4).unwrap();
    assert_eq!(race(read(&mut memory, 3, 1, row(0, 0), 4)), (20, 0, true));
}

#[test]
fn readers_are_let_go_warp_by_warp() {
    let mut memory = block(true);
    (1..4).for_each(|warp| read(&mut memory, warp, ALL, row(0, 4), 4).unwrap());
    memory.barrier(0b0011);
    memory.barrier(0b0101);
    assert_eq!(race(write(&mut memory, 0, 1, row(0, 0), 4)), (13, 0, false));
    memory.barrier(0b1001);
    write(&mut memory, 0, ALL, row(0, 4), 4).unwrap();
    // A reader that comes again counts again.
    let mut memory = block(true);
    (1..4).for_each(|warp| read(&mut memory, warp, ALL, row(0, 4), 4).unwrap());
    memory.barrier(0b0111);
    memory.barrier(0b1001);
    read(&mut memory, 2, ALL, row(0, 4), 4).unwrap();
    assert_eq!(race(write(&mut memory, 0, 1, row(0, 0), 4)), (12, 0, false));
}

#[test]
fn without_warps_that_ended_a_barrier_is_whole() {
    let mut memory = block(false);
    memory.exit(3);
    write(&mut memory, 0, ALL, row(0, 4), 4).unwrap();
    memory.barrier(0b0111);
    read(&mut memory, 2, ALL, row(0, 4), 4).unwrap();
}

#[test]
fn blocks_do_not_race_with_each_other() {
    let mut memory = block(false);
    for _ in 0..3 {
        write(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
        read(&mut memory, 1, ALL, row(0, 4), 4).unwrap();
        memory.reset(&[0..1024], 128, false);
        write(&mut memory, 2, ALL, row(0, 16), 16).unwrap();
        memory.reset(&[0..1024], 128, false);
    }
}

#[test]
fn random_accesses_are_judged_as_by_the_clocks_of_every_thread() {
    let mut state = 12345u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let (mut races, mut fine) = (0, 0);
    for round in 0..3000 {
        let subsets = round % 2 == 0;
        let mut memory = block(subsets);
        let mut clocks = vec![[0u32; 128]; 128];
        let mut now = 1;
        // Byte: last accesses as (thread, time, wrote).
        let mut log: Vec<Vec<(usize, u32, bool)>> = vec![Vec::new(); 32];
        let join = |clocks: &mut Vec<[u32; 128]>, threads: &[usize], now: u32| {
            let mut all = [0; 128];
            for &t in threads {
                all.iter_mut().zip(&clocks[t]).for_each(|(a, &b)| *a = b.max(*a));
            }
            threads.iter().for_each(|&t| all[t] = now);
            threads.iter().for_each(|&t| clocks[t] = all);
        };
        for step in 0..40 {
            let (warp, lane) = (random(4) as usize, random(3) as usize);
            match random(8) {
                0 => {
                    let warps = if subsets { random(16) as u32 } else { 15 };
                    now += 1;
                    let threads: Vec<usize> =
                        (0..128).filter(|t| warps >> (t / 32) & 1 == 1).collect();
                    join(&mut clocks, &threads, now);
                    memory.barrier(warps);
                }
                1 => {
                    now += 1;
                    let threads: Vec<usize> = (warp * 32..warp * 32 + 32).collect();
                    join(&mut clocks, &threads, now);
                    memory.warp_sync(warp as u32, ALL);
                }
                _ => {
                    let bytes = [1, 2, 4, 8, 16][random(5) as usize];
                    let at = (random(32) as u32) / bytes * bytes;
                    let wrote = random(2) == 0;
                    let thread = warp * 32 + lane;
                    let touched = at as usize..(at + bytes) as usize;
                    let expected = log[touched.clone()].iter().flatten().any(|&(t, time, w)| {
                        (w || wrote) && t != thread && time >= clocks[thread][t].max(1)
                    });
                    let access = if wrote { write } else { read };
                    let found = access(&mut memory, warp as u32, 1 << lane, row(at, 0), bytes);
                    assert_eq!(found.is_err(), expected, "round {round}, step {step}: {found:?}");
                    if expected {
                        races += 1;
                        break;
                    }
                    fine += 1;
                    log[touched].iter_mut().for_each(|byte| byte.push((thread, now, wrote)));
                }
            }
        }
    }
    assert!(races > 500 && fine > 5000, "{races} races, {fine} without");
}

#[test]
fn the_values_of_tests_differ() {
    let all: std::collections::HashSet<Wide> = values().into_iter().collect();
    assert_eq!(all.len(), 32);
}
