use super::super::{Atomic, AtomicOp, AtomicType, SharedMemory};
use super::{ALL, ZEROS, row, site, values};
use crate::vm::access::{Lanes, Wide};
use crate::vm::counters::Counters;
use crate::vm::fault::{Fault, FaultKind};

fn load(
    memory: &mut SharedMemory,
    mask: u32,
    at: &Lanes<u32>,
    bytes: u32,
) -> Result<Lanes<Wide>, Fault> {
    let mut out = ZEROS;
    memory.load(site(0, 0, 1), mask, at, bytes, &mut out, &mut Counters::default())?;
    Ok(out)
}

fn store(memory: &mut SharedMemory, mask: u32, at: &Lanes<u32>, bytes: u32) -> Result<(), Fault> {
    memory.store(site(0, 0, 2), mask, at, bytes, &values(), &mut Counters::default())
}

#[test]
fn lanes_get_what_lanes_stored_at_every_width() {
    let mut memory = SharedMemory::new();
    memory.reset(&[0..512], 32, false);
    for bytes in [16, 8, 4, 2, 1, 16] {
        memory.barrier(1);
        let at = row(0, bytes);
        store(&mut memory, ALL, &at, bytes).unwrap();
        let out = load(&mut memory, ALL, &at, bytes).unwrap();
        for (lane, value) in values().iter().enumerate() {
            for word in 0..4 {
                let left = (bytes as usize).saturating_sub(4 * word).min(4);
                let kept = value[word] & u32::MAX.checked_shr(32 - 8 * left as u32).unwrap_or(0);
                assert_eq!(out[lane][word], kept, "{bytes} bytes, lane {lane}, word {word}");
            }
        }
    }
}

#[test]
fn bounds_are_those_of_the_variables() {
    let mut memory = SharedMemory::new();
    memory.reset(&[0..100, 128..256], 32, false);
    assert!(store(&mut memory, ALL, &row(128, 4), 4).is_ok());
    assert!(store(&mut memory, 1, &row(96, 0), 4).is_ok());
    for (address, bytes) in [(100, 4), (96, 8), (124, 4), (256, 4), (u32::MAX - 3, 4)] {
        let fault = store(&mut memory, 0b100, &row(address, 0), bytes).unwrap_err();
        assert_eq!((fault.kind, fault.lane), (FaultKind::OutOfBounds, 2), "{address}");
    }
    let fault = load(&mut memory, ALL, &row(130, 0), 4).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Misaligned);
    memory.reset(&[], 32, false);
    assert!(store(&mut memory, 1, &row(0, 0), 4).is_err());
}

#[test]
fn a_read_of_what_nothing_wrote_in_this_block_is_named() {
    let mut memory = SharedMemory::new();
    memory.reset(&[0..256], 32, false);
    store(&mut memory, ALL >> 1, &row(0, 4), 4).unwrap();
    assert!(load(&mut memory, ALL >> 1, &row(0, 4), 4).is_ok());
    let fault = load(&mut memory, ALL, &row(0, 4), 4).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::Uninitialised, 31));
    memory.reset(&[0..256], 32, false);
    assert_eq!(load(&mut memory, 1, &row(0, 4), 4).unwrap_err().kind, FaultKind::Uninitialised);
}

#[test]
fn atomics_are_no_race_among_themselves() {
    let mut memory = SharedMemory::new();
    memory.reset(&[0..64], 96, false);
    let zero = [[0; 4]; 32];
    let counters = &mut Counters::default();
    memory.store(site(0, 0, 0), 1, &row(8, 0), 4, &zero, counters).unwrap();
    memory.barrier(0b111);
    let add = Atomic { op: AtomicOp::Add, ty: AtomicType::U32 };
    let atomic = |memory: &mut SharedMemory, warp| {
        let (at, one, counters) = (row(8, 0), [1; 32], &mut Counters::default());
        let mut old = [0; 32];
        memory
            .atomic(site(0, warp, 3), ALL, &at, add, &one, &[0; 32], &mut old, counters)
            .map(|()| old[31])
    };
    let sums = [0, 1, 2].map(|warp| atomic(&mut memory, warp).unwrap());
    assert_eq!(sums, [31, 63, 95]);
    // The last one was of warp 2; the others are not forgotten.
    let fault = memory
        .load(site(0, 2, 4), 1 << 31, &row(8, 0), 4, &mut ZEROS.clone(), counters)
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Race);
    let (other, _, wrote) = fault.other.unwrap();
    assert!(other.pc == 3 && other.warp < 2 && wrote);
    memory.barrier(0b111);
    let mut out = ZEROS;
    memory.load(site(0, 2, 4), ALL, &row(8, 0), 4, &mut out, counters).unwrap();
    assert_eq!(out[0][0], 96);
    assert_eq!(atomic(&mut memory, 0).unwrap_err().kind, FaultKind::Race);
}
