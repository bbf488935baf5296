//! How the numbers of a case are stored, and which numbers they are.

use std::fmt::Display;

use ltm_engine::{DType, bf16};

use crate::{Arg, Data, Role};

/// Storage type of activations and weights, and whether they are small integers, whose products
/// and sums are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// f32 or bf16.
    pub storage: DType,
    /// Integers from -2 to 2.
    pub whole: bool,
}

impl Format {
    /// Random numbers in f32.
    pub const F32: Self = Self { storage: DType::F32, whole: false };
    /// Random numbers in bf16.
    pub const BF16: Self = Self { storage: DType::BF16, whole: false };

    /// The same with small integers.
    pub const fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// The numbers that an f32 argument holds in place of `values`.
    pub fn single(self, values: Vec<f32>) -> Vec<f32> {
        match self.whole {
            true => values.into_iter().map(|x| x.round().clamp(-2.0, 2.0)).collect(),
            false => values,
        }
    }

    /// The numbers that an argument in the storage type holds in place of `values`.
    pub fn stored(self, values: Vec<f32>) -> Vec<f32> {
        let values = self.single(values);
        match self.storage {
            DType::BF16 => values.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect(),
            _ => values,
        }
    }

    fn arg(self, name: &'static str, values: Vec<f32>, role: Role) -> Arg {
        let values = self.single(values);
        let data = match self.storage {
            DType::BF16 => Data::BF16(values.into_iter().map(bf16::from_f32).collect()),
            _ => Data::F32(values),
        };
        Arg { name, data, role }
    }

    /// Numbers in the storage type that are read.
    pub fn input(self, name: &'static str, values: Vec<f32>) -> Arg {
        self.arg(name, values, Role::Input)
    }

    /// Numbers in the storage type that are read and written.
    pub fn updated(self, name: &'static str, values: Vec<f32>) -> Arg {
        self.arg(name, values, Role::Output)
    }

    /// Numbers in the storage type that are written. They start as NaN, which survives in
    /// whatever reads them.
    pub fn overwritten(self, name: &'static str, len: usize) -> Arg {
        self.updated(name, vec![f32::NAN; len])
    }
}

impl Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.storage, if self.whole { " integers" } else { "" })
    }
}
