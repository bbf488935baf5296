use super::super::{Atomic, AtomicOp, AtomicType, GlobalMemory, MemoryError, MemoryUse, Run};
use super::{ALL, ZEROS, row64, site, values};
use crate::vm::access::{Lanes, Wide};
use crate::vm::counters::Counters;
use crate::vm::fault::{Fault, FaultKind};

fn load(
    memory: &GlobalMemory,
    mask: u32,
    at: &Lanes<u64>,
    bytes: u32,
) -> Result<Lanes<Wide>, Fault> {
    let launch = memory.launch(1, Run::Serial).unwrap();
    let mut out = ZEROS;
    launch.view().load(site(0, 0, 7), mask, at, bytes, &mut out, &mut Counters::default())?;
    Ok(out)
}

fn store(memory: &GlobalMemory, mask: u32, at: &Lanes<u64>, bytes: u32) -> Result<(), Fault> {
    let launch = memory.launch(1, Run::Serial).unwrap();
    let counters = &mut Counters::default();
    launch.view().store(site(0, 0, 8), mask, at, bytes, &values(), counters)
}

#[test]
fn the_host_reads_back_what_it_wrote_at_any_alignment() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(300).unwrap();
    assert_eq!(base % 256, 0);
    memory.zero(base, 300).unwrap();
    let mut expected = vec![0; 300];
    for (first, count) in [(0, 300), (1, 7), (63, 66), (130, 1), (255, 45), (5, 0)] {
        let bytes: Vec<u8> = (0..count).map(|i| (first * 3 + i * 7 + 1) as u8).collect();
        memory.write(base + first as u64, &bytes).unwrap();
        expected[first..first + count].copy_from_slice(&bytes);
        let mut read = vec![0; 300];
        memory.read(base, &mut read).unwrap();
        assert_eq!(read, expected);
        let mut part = vec![0; count];
        memory.read(base + first as u64, &mut part).unwrap();
        assert_eq!(part, bytes);
    }
    memory.zero(base + 3, 130).unwrap();
    expected[3..133].fill(0);
    let mut read = vec![0; 300];
    memory.read(base, &mut read).unwrap();
    assert_eq!(read, expected);
    memory.copy(base + 10, base + 150, 141).unwrap();
    expected.copy_within(150..291, 10);
    memory.read(base, &mut read).unwrap();
    assert_eq!(read, expected);
}

#[test]
fn a_copy_takes_along_what_is_not_initialised() {
    let memory = GlobalMemory::new(1 << 20);
    let (from, to) = (memory.alloc(64).unwrap(), memory.alloc(64).unwrap());
    memory.write(from + 8, &[1; 8]).unwrap();
    memory.zero(to, 64).unwrap();
    memory.copy(to, from, 64).unwrap();
    assert!(memory.initialised(to + 8, 8).unwrap());
    assert!(!memory.initialised(to, 9).unwrap());
    memory.zero(from, 64).unwrap();
    memory.copy(to, from, 64).unwrap();
    assert!(memory.initialised(to, 64).unwrap());
}

#[test]
fn the_host_is_refused_what_is_not_its_own() {
    let memory = GlobalMemory::new(1024);
    let base = memory.alloc(600).unwrap();
    // 600 bytes take three granules of 256, which leaves one.
    assert_eq!(memory.alloc(257), Err(MemoryError::Budget { asked: 257, used: 768, budget: 1024 }));
    assert!(memory.alloc(u64::MAX).is_err());
    assert!(memory.write(base + 599, &[0; 2]).is_err());
    assert!(memory.read(base - 1, &mut [0]).is_err());
    assert!(memory.zero(base, u64::MAX).is_err());
    assert!(memory.free(base + 1).is_err());
    memory.free(base).unwrap();
    assert_eq!(memory.free(base), Err(MemoryError::NotAllocated { address: base }));
    assert_eq!(memory.usage(), MemoryUse { used: 0, peak: 768, allocations: 1 });
    assert!(memory.alloc(1000).unwrap() > base);
    assert_eq!(memory.usage(), MemoryUse { used: 1024, peak: 1024, allocations: 2 });
    assert!(memory.launch(1 << 28, Run::Serial).is_err());
}

#[test]
fn lanes_get_what_lanes_stored_at_every_width() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(512).unwrap();
    for bytes in [1, 2, 4, 8, 16] {
        let at = row64(base, bytes as u64);
        store(&memory, ALL, &at, bytes).unwrap();
        let out = load(&memory, ALL, &at, bytes).unwrap();
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
fn later_lanes_overwrite_earlier_ones() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(64).unwrap();
    let at = std::array::from_fn(|lane| base + 32 * (lane as u64 % 2));
    store(&memory, ALL, &at, 4).unwrap();
    let out = load(&memory, 0b11, &at, 4).unwrap();
    assert_eq!([out[0][0], out[1][0]], [values()[30][0], values()[31][0]]);
}

#[test]
fn one_byte_outside_is_out_of_bounds() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(128).unwrap();
    memory.zero(base, 128).unwrap();
    assert!(load(&memory, ALL, &row64(base, 4), 4).is_ok());
    let fault = load(&memory, ALL, &row64(base + 4, 4), 4).unwrap_err();
    assert_eq!((fault.kind, fault.lane, fault.site.pc), (FaultKind::OutOfBounds, 31, 7));
    assert!(fault.detail.contains("0 bytes past the end of an allocation of 128 bytes"));
    let fault = store(&memory, 1, &row64(base - 4, 4), 4).unwrap_err();
    assert!(fault.detail.contains("4 bytes before"), "{}", fault.detail);
    let odd = memory.alloc(6).unwrap();
    memory.zero(odd, 6).unwrap();
    assert!(load(&memory, 1, &row64(odd + 4, 0), 2).is_ok());
    let fault = load(&memory, 1, &row64(odd + 4, 0), 4).unwrap_err();
    assert!(fault.detail.contains("across the end"), "{}", fault.detail);
    let fault = load(&memory, 1, &row64(64, 0), 4).unwrap_err();
    assert!(fault.detail.contains("null pointer"));
    memory.free(odd).unwrap();
    let fault = load(&memory, 1, &row64(odd, 0), 4).unwrap_err();
    assert!(fault.detail.contains("freed"));
    assert!(load(&memory, 1, &row64(u64::MAX - 3, 0), 4).is_err());
}

#[test]
fn a_wrong_alignment_is_named() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(1024).unwrap();
    memory.zero(base, 1024).unwrap();
    assert!(load(&memory, ALL, &row64(base + 8, 16), 8).is_ok());
    let fault = load(&memory, ALL << 3, &row64(base + 8, 16), 16).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::Misaligned, 3));
}

#[test]
fn a_read_of_what_nothing_wrote_is_named() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(128).unwrap();
    memory.write(base, &[1; 40]).unwrap();
    assert!(load(&memory, (1 << 10) - 1, &row64(base, 4), 4).is_ok());
    let fault = load(&memory, ALL, &row64(base, 4), 4).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::Uninitialised, 10));
    assert!(fault.detail.contains("byte 40 "));
    store(&memory, ALL, &row64(base, 4), 4).unwrap();
    assert!(load(&memory, ALL, &row64(base, 4), 4).is_ok());
    assert!(memory.initialised(base, 128).unwrap());
}

#[test]
fn atomics_take_turns_in_lane_order() {
    let memory = GlobalMemory::new(1 << 20);
    let base = memory.alloc(16).unwrap();
    memory.zero(base, 16).unwrap();
    let launch = memory.launch(1, Run::Serial).unwrap();
    let add = Atomic { op: AtomicOp::Add, ty: AtomicType::U32 };
    let mut old = [0; 32];
    let at = row64(base + 4, 0);
    let counters = &mut Counters::default();
    launch
        .view()
        .atomic(site(0, 0, 0), ALL, &at, add, &row64(1, 1), &[0; 32], &mut old, counters)
        .unwrap();
    let sums: Lanes<u64> = std::array::from_fn(|lane| (1..=lane as u64).sum());
    assert_eq!(old, sums);
    let mut read = [0; 16];
    memory.read(base, &mut read).unwrap();
    assert_eq!(read[4..8], 528u32.to_le_bytes());
    assert_eq!((read[0..4].to_vec(), read[8..].to_vec()), (vec![0; 4], vec![0; 8]));
}

#[test]
fn operations_of_atomics() {
    use AtomicOp::*;
    use AtomicType::*;
    let apply = |op, ty, old, operand| Atomic { op, ty }.apply(old, operand, 7);
    assert_eq!(apply(Add, U32, 0xffff_ffff, 2), 1);
    assert_eq!(apply(Min, S32, 0xffff_ffff, 2), 0xffff_ffff);
    assert_eq!(apply(Min, U32, 0xffff_ffff, 2), 2);
    assert_eq!(apply(Max, S64, u64::MAX, 2), 2);
    assert_eq!(apply(Max, F32, 1.5f32.to_bits() as u64, (-2f32).to_bits() as u64), 0x3fc0_0000);
    assert_eq!(apply(Add, F64, 1.5f64.to_bits(), 2f64.to_bits()), 3.5f64.to_bits());
    assert_eq!(apply(CompareExchange, U32, 7, 9), 9);
    assert_eq!(apply(CompareExchange, U32, 8, 9), 8);
    assert_eq!((apply(Increment, U32, 4, 4), apply(Increment, U32, 3, 4)), (0, 4));
    assert_eq!((apply(Decrement, U32, 0, 4), apply(Decrement, U32, 3, 4)), (4, 2));
    assert_eq!(apply(Exchange, U64, 1, 2), 2);
    assert_eq!((apply(And, U32, 6, 3), apply(Or, U32, 6, 3), apply(Xor, U32, 6, 3)), (2, 7, 5));
}

/// More than any machine of today has: nothing of it is there before something touches it.
#[test]
fn what_nothing_touches_takes_no_memory() {
    let memory = GlobalMemory::new(1 << 50);
    let untouched = [memory.alloc(1 << 46).unwrap(), memory.alloc_zeroed(1 << 46).unwrap()];
    assert_eq!(memory.usage().used, 1 << 47);
    for block in untouched {
        memory.free(block).unwrap();
    }
    assert_eq!(memory.usage(), MemoryUse { used: 0, peak: 1 << 47, allocations: 2 });
}

#[test]
fn zeroed_memory_is_zero_and_known() {
    let memory = GlobalMemory::new(1 << 20);
    let (zeroed, undefined) = (memory.alloc_zeroed(70).unwrap(), memory.alloc(70).unwrap());
    let mut bytes = [1; 70];
    memory.read(zeroed, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 70]);
    assert!(memory.initialised(zeroed, 70).unwrap());
    assert!(!memory.initialised(undefined, 1).unwrap());
    let out = load(&memory, 1, &row64(zeroed, 4), 4).unwrap();
    assert_eq!(out[0], [0; 4]);
    assert!(load(&memory, 1, &row64(undefined, 4), 4).is_err());
}
