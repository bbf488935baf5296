//! Wrong kernels: what the checks of the virtual GPU find in them, and that the report names the
//! kernel, the block, the thread, and the lines of the PTX and of the CUDA source.

use ltm_ptx::Arg;
use ltm_ptx::vm::fault::FaultKind;
use ltm_ptx::vm::{Config, FaultReport, Place, VirtualGpu, VmError};

const SOURCE: &str = include_str!("wrong/kernels/wrong.cu");
pub const PTX: &str = include_str!("wrong/compiled/sm_80/wrong.ptx");

/// An argument of a wrong kernel.
#[derive(Clone, Copy, Debug)]
pub enum With {
    /// Floats that hold 1, 2, ...
    Written(usize),
    /// Floats that nothing has written.
    Fresh(usize),
    /// Words of zero.
    Zeros(usize),
    /// A number.
    U32(u32),
    /// A number.
    F32(f32),
}

/// Addresses and numbers for a launch.
pub fn arguments(gpu: &VirtualGpu, with: &[With]) -> Vec<Arg> {
    let pointer = |bytes: &[u8], written: bool| {
        let address = gpu.alloc(bytes.len()).expect("memory");
        if written {
            gpu.write(address, bytes).expect("the allocation holds it");
        }
        Arg::Pointer(address)
    };
    let arg = |with: &With| match *with {
        With::Written(n) => {
            let numbers: Vec<u8> = (1..=n).flat_map(|i| (i as f32).to_le_bytes()).collect();
            pointer(&numbers, true)
        }
        With::Fresh(n) => pointer(&vec![0; 4 * n], false),
        With::Zeros(n) => pointer(&vec![0; 4 * n], true),
        With::U32(x) => Arg::U32(x),
        With::F32(x) => Arg::F32(x),
    };
    with.iter().map(arg).collect()
}

/// A line of the source by its mark, from 1.
fn marked(name: &str) -> u32 {
    let mark = format!("// fault: {name}");
    let line = SOURCE.lines().position(|line| line.trim_end().ends_with(&mark));
    line.unwrap_or_else(|| panic!("no line is marked {name}")) as u32 + 1
}

/// Launches a wrong kernel, on one thread and on two, and returns the report of its fault.
fn fault(kernel: &str, grid: u32, block: u32, with: &[With]) -> FaultReport {
    let reports = [1, 2].map(|threads| {
        let gpu = VirtualGpu::new(Config { threads, budget: 100_000, ..Config::default() });
        let program = gpu.load(PTX).expect("the text is well-formed");
        let args = arguments(&gpu, with);
        match gpu.launch(&program, kernel, [grid, 1, 1], [block, 1, 1], 0, &args) {
            Err(VmError::Fault(report)) => *report,
            other => panic!("{kernel}: expected a fault, got {other:?}"),
        }
    });
    assert_eq!(reports[0], reports[1], "{kernel} depends on the number of threads");
    let [report, _] = reports;
    assert_eq!(report.kernel, kernel);
    assert!(!report.detail.is_empty(), "{report}");
    names_its_lines(&report.place);
    if let Some((place, _)) = &report.other {
        names_its_lines(place);
    }
    let text = report.to_string();
    for part in [kernel, "block (", "thread (", "PTX line ", "wrong.cu:"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    report
}

/// The text of the place is the line of the PTX that it names.
fn names_its_lines(place: &Place) {
    let line = PTX.lines().nth(place.line as usize - 1).map(str::trim);
    assert_eq!(line, Some(place.text.as_str()));
}

/// The source line of a place.
fn source(place: &Place) -> u32 {
    let (file, line) = place.source.as_ref().expect("compiled with line numbers");
    assert_eq!(file, "wrong.cu", "without the folder that it was compiled in");
    *line
}

/// The kernel is caught at its mark, in this thread of the first block.
fn caught(kernel: &str, kind: FaultKind, thread: u32, grid: u32, block: u32, with: &[With]) {
    let report = fault(kernel, grid, block, with);
    assert_eq!(report.kind, kind, "{report}");
    assert_eq!(source(&report.place), marked(kernel), "{report}");
    assert_eq!(report.place.block, [0, 0, 0], "{report}");
    assert_eq!(report.place.thread, [thread, 0, 0], "{report}");
}

/// The kernel is caught between its two marks, whichever of them comes second.
fn races(kernel: &str, kind: FaultKind, block: u32, with: &[With]) {
    let report = fault(kernel, 1, block, with);
    assert_eq!(report.kind, kind, "{report}");
    let (other, _) = report.other.as_ref().unwrap_or_else(|| panic!("one side only: {report}"));
    let mut lines = [source(&report.place), source(other)];
    lines.sort_unstable();
    assert_eq!(lines, [marked(kernel), marked(&format!("{kernel}_read"))], "{report}");
    let warp = |place: &Place| place.thread[0] / 32;
    assert_ne!(warp(&report.place), warp(other), "{report}");
}

#[test]
fn accesses_beyond_an_allocation() {
    use With::*;
    let n = 100;
    let kind = FaultKind::OutOfBounds;
    caught("read_beyond", kind, 100, 1, 128, &[Written(n), Fresh(n + 1), U32(n as u32)]);
    caught("write_beyond", kind, 100, 1, 128, &[Written(n), Fresh(n), U32(n as u32)]);
    caught("read_before", kind, 0, 1, 32, &[Written(32), Fresh(32)]);
    caught("shared_beyond", kind, 63, 1, 64, &[Written(64), Fresh(64)]);
}

/// A block other than the first is named too.
#[test]
fn the_block_is_named() {
    use With::*;
    let report = fault("write_beyond", 4, 32, &[Written(100), Fresh(100), U32(100)]);
    assert_eq!((report.place.block, report.place.thread), ([3, 0, 0], [4, 0, 0]), "{report}");
}

#[test]
fn memory_that_was_given_back() {
    let gpu = VirtualGpu::new(Config::default());
    let program = gpu.load(PTX).expect("the text is well-formed");
    let args = arguments(&gpu, &[With::Written(32), With::Fresh(32), With::U32(32)]);
    let Arg::Pointer(x) = args[0] else { unreachable!("the first argument is an address") };
    gpu.free(x).expect("allocated");
    match gpu.launch(&program, "write_beyond", [1; 3], [32, 1, 1], 0, &args) {
        Err(VmError::Fault(report)) => assert_eq!(report.kind, FaultKind::OutOfBounds, "{report}"),
        other => panic!("expected a fault, got {other:?}"),
    }
}

#[test]
fn misaligned_accesses() {
    use With::*;
    caught("misaligned", FaultKind::Misaligned, 0, 1, 32, &[Written(132), Fresh(32)]);
}

#[test]
fn reads_of_what_nothing_wrote() {
    use With::*;
    caught("uninitialised", FaultKind::Uninitialised, 0, 1, 32, &[Fresh(32)]);
    caught("uninitialised_shared", FaultKind::Uninitialised, 63, 1, 64, &[Fresh(64)]);
}

#[test]
fn missing_barriers() {
    use With::*;
    let with = [Written(128), Fresh(64)];
    races("missing_barrier", FaultKind::Race, 64, &with);
    races("missing_second_barrier", FaultKind::Race, 64, &with);
}

#[test]
fn blocks_that_collide() {
    let report = fault("blocks_collide", 2, 32, &[With::Fresh(32)]);
    assert_eq!(report.kind, FaultKind::GlobalRace, "{report}");
    assert_eq!(source(&report.place), marked("blocks_collide"), "{report}");
}

#[test]
fn copies_that_are_not_awaited() {
    use With::*;
    let with = [Written(256), Fresh(64)];
    caught("copy_not_awaited", FaultKind::PendingCopy, 0, 1, 32, &with);
    caught("wait_too_weak", FaultKind::PendingCopy, 0, 1, 32, &with);
}

/// A copy is visible to the thread that waited for it; to others after a barrier.
#[test]
fn copies_of_another_warp() {
    use With::*;
    let report = fault("wait_without_barrier", 1, 64, &[Written(256), Fresh(64)]);
    let kinds = [FaultKind::Race, FaultKind::PendingCopy, FaultKind::Uninitialised];
    assert!(kinds.contains(&report.kind), "{report}");
    let lines = ["wait_without_barrier", "wait_without_barrier_read"].map(marked);
    assert!(lines.contains(&source(&report.place)), "{report}");
}

#[test]
fn barriers_that_not_all_threads_reach() {
    use With::*;
    let with = [Written(64), Fresh(64)];
    let report = fault("half_a_warp_waits", 1, 32, &with);
    assert_eq!(report.kind, FaultKind::Barrier, "{report}");
    assert_eq!(source(&report.place), marked("half_a_warp_waits"), "{report}");
    let report = fault("one_warp_waits_again", 1, 64, &with);
    assert!([FaultKind::Barrier, FaultKind::Deadlock].contains(&report.kind), "{report}");
    assert_eq!(source(&report.place), marked("one_warp_waits_again"), "{report}");
}

#[test]
fn shuffles_from_absent_lanes() {
    use With::*;
    let report = fault("shuffle_from_absent_lanes", 1, 32, &[Written(32), Fresh(32)]);
    assert_eq!(report.kind, FaultKind::InactiveLane, "{report}");
    assert_eq!(source(&report.place), marked("shuffle_from_absent_lanes"), "{report}");
}

/// 2^20 rows of 2^12: the product is 2^32, and every access lies inside the buffer.
#[test]
fn indices_that_wrap() {
    use With::*;
    let with = [Written(32), Fresh(32), U32(1 << 20), U32((1 << 12) + 1)];
    caught("index_wraps", FaultKind::IndexOverflow, 0, 1, 32, &with);
}

#[test]
fn loops_without_end() {
    use With::*;
    let report = fault("endless_loop", 1, 32, &[Zeros(1), Fresh(32)]);
    assert_eq!(report.kind, FaultKind::Budget, "{report}");
    assert_eq!(source(&report.place), marked("endless_loop"), "{report}");
}

#[test]
fn warps_that_wait_for_each_other() {
    let report = fault("crossed_barriers", 1, 64, &[With::Fresh(64)]);
    assert_eq!(report.kind, FaultKind::Deadlock, "{report}");
    let lines = ["crossed_barriers", "crossed_barriers_other"].map(marked);
    assert!(lines.contains(&source(&report.place)), "{report}");
}

#[test]
fn traps() {
    let gpu = VirtualGpu::new(Config::default());
    let program = gpu.load(PTX).expect("the text is well-formed");
    let args = arguments(&gpu, &[With::Written(32), With::Fresh(32)]);
    gpu.launch(&program, "trapped", [1; 3], [32, 1, 1], 0, &args).expect("no number is negative");
    let Arg::Pointer(x) = args[0] else { unreachable!("the first argument is an address") };
    gpu.write(x + 4 * 5, &(-1f32).to_le_bytes()).expect("inside");
    match gpu.launch(&program, "trapped", [1; 3], [32, 1, 1], 0, &args) {
        Err(VmError::Fault(report)) => {
            assert_eq!(report.kind, FaultKind::Trap, "{report}");
            assert_eq!(source(&report.place), marked("trapped"), "{report}");
            assert_eq!(report.place.thread, [5, 0, 0], "{report}");
        }
        other => panic!("expected a fault, got {other:?}"),
    }
}

/// A fault ends its launch, not the device: the next kernel runs.
#[test]
fn the_device_survives_a_fault() {
    use With::*;
    let gpu = VirtualGpu::new(Config { threads: 1, budget: 100_000, ..Config::default() });
    let program = gpu.load(PTX).expect("the text is well-formed");
    let bad = arguments(&gpu, &[Written(100), Fresh(100), U32(100)]);
    for _ in 0..3 {
        gpu.launch(&program, "write_beyond", [1; 3], [128, 1, 1], 0, &bad).expect_err("a fault");
    }
    let good = arguments(&gpu, &[Written(100), Fresh(100), U32(100), F32(2.0)]);
    gpu.launch(&program, "scale", [4, 1, 1], [32, 1, 1], 128, &good).expect("a right launch");
    let Arg::Pointer(out) = good[1] else { unreachable!("the second argument is an address") };
    let mut bytes = [0; 400];
    gpu.read(out, &mut bytes).expect("inside");
    for (i, x) in bytes.as_chunks::<4>().0.iter().enumerate() {
        assert_eq!(f32::from_le_bytes(*x), 2.0 * (i + 1) as f32);
    }
}
