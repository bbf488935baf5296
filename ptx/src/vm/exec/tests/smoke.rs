//! The shortest way through everything.

use super::run;

#[test]
fn a_kernel_writes_what_its_threads_are() {
    let got = run(70, "mad.lo.s32 %r1, %r31, %r31, 7;\nst.global.u32 [%rd31], %r1;", &[]);
    let want: Vec<u32> = (0..70).map(|t| t * t + 7).collect();
    assert_eq!(got.unwrap_or_default(), want);
}
