//! `into += x`.

use ltm_engine::ops::Add;
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::normals;
use crate::{Arg, Case, Expected, Format, Inputs, Rounding};

/// A sum of two vectors.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// Elements.
    pub len: usize,
}

printed!(Sum);

impl Case for Sum {
    fn op(&self) -> &'static str {
        "add"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let n = self.len;
        vec![format.input("x", normals(1, n)), format.updated("into", normals(2, n))]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.add(&Add { x: &b[0], into: &b[1] })
    }

    /// The sum of two f32 numbers in f64, rounded once more, is their sum in f32.
    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let sums = inputs.numbers("x").into_iter().zip(inputs.numbers("into"));
        vec![Expected::exact(sums.map(|(a, b)| (a + b) as f32 as f64).collect())]
    }
}
