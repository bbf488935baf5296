//! A call with other inputs than its own.

use std::fmt::{self, Display};

use ltm_engine::{Buffer, Device, Result};
use ltm_tests::{Arg, Case, Data, Expected, Format, Inputs, Rounding};

/// A case in which one element of an argument is another.
pub struct Changed<'a> {
    pub case: &'a dyn Case,
    /// Name of the argument.
    pub argument: &'static str,
    /// Elements and what they are instead.
    pub elements: &'a [(usize, f64)],
}

impl Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} at {:?}", self.case, self.argument, self.elements)
    }
}

impl Case for Changed<'_> {
    fn op(&self) -> &'static str {
        self.case.op()
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let mut args = self.case.args(format);
        for arg in args.iter_mut().filter(|arg| arg.name == self.argument) {
            for &(at, value) in self.elements {
                match &mut arg.data {
                    Data::F32(x) => x[at] = value as f32,
                    Data::BF16(x) => x[at] = ltm_engine::bf16::from_f64(value),
                    Data::F64(x) => x[at] = value,
                    Data::I32(x) => x[at] = value as i32,
                }
            }
        }
        args
    }

    fn call(&self, device: &mut dyn Device, buffers: &[Buffer]) -> Result<()> {
        self.case.call(device, buffers)
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        self.case.expected(inputs, rounding)
    }
}
