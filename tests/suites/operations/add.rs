//! `into += x`.

use ltm_engine::ops::Add;
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::normals;
use ltm_tests::{Arg, Case, Expected, refuses, verify};

#[derive(Clone, Copy, Debug)]
struct Sum {
    len: usize,
}

printed!(Sum);

impl Case for Sum {
    fn op(&self) -> &'static str {
        "add"
    }

    fn args(&self) -> Vec<Arg> {
        let n = self.len;
        vec![Arg::input("x", normals(1, n)), Arg::updated("into", normals(2, n))]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.add(&Add { x: &b[0], into: &b[1] })
    }

    fn expected(&self) -> Vec<Expected> {
        let sums = normals(1, self.len).into_iter().zip(normals(2, self.len));
        vec![Expected::exact(sums.map(|(a, b)| (a + b) as f64).collect())]
    }
}

#[test]
fn sums_are_correct() {
    verify([0, 1, 7, 16_383, 16_385, 40_001].map(|len| Sum { len }));
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Sum { len: 33 });
}
