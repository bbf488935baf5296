//! The shortest way through everything.

use super::run;
use crate::vm::VmError;
use crate::vm::fault::FaultKind;

#[test]
fn a_kernel_writes_what_its_threads_are() {
    let got = run(70, "mad.lo.s32 %r1, %r31, %r31, 7;\nst.global.u32 [%rd31], %r1;", &[]);
    let want: Vec<u32> = (0..70).map(|t| t * t + 7).collect();
    assert_eq!(got.unwrap_or_default(), want);
}

/// Each thread of two warps writes its word, then reads that of the thread 32 places away.
fn exchange_through_global_memory(between: &str) -> Result<Vec<u32>, VmError> {
    let body = format!(
        "st.global.u32 [%rd31], %r31;\n{between}\nxor.b32 %r1, %r31, 32;\n\
         mul.wide.u32 %rd1, %r1, 4;\nadd.s64 %rd1, %rd30, %rd1;\nld.global.u32 %r2, [%rd1];\n\
         bar.sync 1;\nst.global.u32 [%rd31], %r2;"
    );
    run(64, &body, &[])
}

#[test]
fn warps_read_what_others_wrote_behind_a_barrier_alone() {
    let swapped: Vec<u32> = (0..64).map(|thread| thread ^ 32).collect();
    assert_eq!(exchange_through_global_memory("bar.sync 0;").unwrap(), swapped);
    match exchange_through_global_memory("") {
        Err(VmError::Fault(report)) => {
            assert_eq!(report.kind, FaultKind::Race);
            assert!(report.detail.contains("no barrier orders the two"), "{}", report.detail);
            let (other, wrote) = report.other.expect("the writer");
            assert!(wrote && other.text.starts_with("st.global"), "{}", other.text);
        }
        other => panic!("{other:?}"),
    }
}
