//! The description of one call of one operation.

use std::fmt::Display;

use ltm_engine::{Buffer, DType, Device, Result, bf16};

use crate::{Derivative, Format, Inputs, Rounding};

/// Contents of an argument.
#[derive(Clone, Debug)]
pub enum Data {
    /// Numbers.
    F32(Vec<f32>),
    /// Numbers in bfloat16.
    BF16(Vec<bf16>),
    /// Sums and norms.
    F64(Vec<f64>),
    /// Tokens and indices.
    I32(Vec<i32>),
}

impl Data {
    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::BF16(_) => DType::BF16,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
        }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(x) => x.len(),
            Data::BF16(x) => x.len(),
            Data::F64(x) => x.len(),
            Data::I32(x) => x.len(),
        }
    }

    /// True for no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As f64, which holds every element type exactly.
    pub fn widened(&self) -> Vec<f64> {
        match self {
            Data::F32(x) => crate::numbers::widen(x),
            Data::BF16(x) => x.iter().map(|x| x.to_f64()).collect(),
            Data::F64(x) => x.clone(),
            Data::I32(x) => x.iter().map(|&x| x as f64).collect(),
        }
    }

    /// As they lie in memory.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Data::F32(x) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Data::BF16(x) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Data::F64(x) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Data::I32(x) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        }
    }

    /// The inverse of [`Data::bytes`] for a type.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Self {
        let (twos, fours) = (bytes.as_chunks::<2>().0, bytes.as_chunks::<4>().0);
        let eights = bytes.as_chunks::<8>().0;
        match dtype {
            DType::F32 => Data::F32(fours.iter().map(|&b| f32::from_ne_bytes(b)).collect()),
            DType::BF16 => Data::BF16(twos.iter().map(|&b| bf16::from_ne_bytes(b)).collect()),
            DType::F64 => Data::F64(eights.iter().map(|&b| f64::from_ne_bytes(b)).collect()),
            DType::I32 => Data::I32(fours.iter().map(|&b| i32::from_ne_bytes(b)).collect()),
        }
    }
}

/// What an operation does with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads it.
    Input,
    /// Writes it, whether or not it reads it before.
    Output,
}

/// A buffer argument, named as in the argument structure of the operation.
#[derive(Clone, Debug)]
pub struct Arg {
    /// Name.
    pub name: &'static str,
    /// Contents before the call.
    pub data: Data,
    /// Direction.
    pub role: Role,
}

impl Arg {
    /// Numbers that are read.
    pub fn input(name: &'static str, values: Vec<f32>) -> Self {
        Self { name, data: Data::F32(values), role: Role::Input }
    }

    /// Integers that are read.
    pub fn integers(name: &'static str, values: Vec<i32>) -> Self {
        Self { name, data: Data::I32(values), role: Role::Input }
    }

    /// Numbers that are read and written.
    pub fn updated(name: &'static str, values: Vec<f32>) -> Self {
        Self { name, data: Data::F32(values), role: Role::Output }
    }

    /// Numbers that are written. They start as NaN, which survives in whatever reads them.
    pub fn overwritten(name: &'static str, len: usize) -> Self {
        Self::updated(name, vec![f32::NAN; len])
    }

    /// f64 numbers that are written.
    pub fn overwritten_f64(name: &'static str, len: usize) -> Self {
        Self { name, data: Data::F64(vec![f64::NAN; len]), role: Role::Output }
    }

    /// Integers that are written.
    pub fn overwritten_i32(name: &'static str, len: usize) -> Self {
        Self { name, data: Data::I32(vec![i32::MIN; len]), role: Role::Output }
    }
}

/// What one output must hold after the call.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Computed in f64.
    pub values: Vec<f64>,
    /// Distance that the CPU is allowed, in roundings of f32 at the size of the value plus that
    /// of the terms.
    pub roundings: f64,
    /// Size of the terms that a small value is a difference of: the root mean square of the
    /// whole output, unless a case knows better.
    pub terms: f64,
}

impl Expected {
    /// Values with a number of roundings.
    pub fn new(values: Vec<f64>, roundings: f64) -> Self {
        // NaN stands for memory that the operation must leave alone.
        let squares: Vec<f64> = values.iter().filter(|x| !x.is_nan()).map(|x| x * x).collect();
        let terms = (squares.iter().sum::<f64>() / squares.len().max(1) as f64).sqrt();
        Self { values, roundings, terms }
    }

    /// Values that f32 must hit exactly.
    pub fn exact(values: Vec<f64>) -> Self {
        Self::new(values, 0.0)
    }
}

/// One call of one operation. What it prints names it, and reruns it alone:
/// `LTM_CASE='what it prints' cargo test -p ltm-tests`.
pub trait Case: Display {
    /// The name of the operation in its errors.
    fn op(&self) -> &'static str;

    /// Buffer arguments with their contents.
    fn args(&self, format: Format) -> Vec<Arg>;

    /// Calls the operation; `buffers` are those of [`Case::args`], in order.
    ///
    /// # Errors
    /// What the operation returns.
    fn call(&self, device: &mut dyn Device, buffers: &[Buffer]) -> Result<()>;

    /// What the outputs of [`Case::args`] hold afterwards, in order, for arguments that held
    /// `inputs` before. `rounding` applies to the intermediate results that PyTorch writes to
    /// memory; the outputs themselves are not rounded.
    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected>;

    /// Whether any length of an argument is well-formed.
    fn has_free_length(&self, _name: &str) -> bool {
        false
    }

    /// For a gradient: the function that it is the gradient of.
    fn derivative(&self) -> Option<Derivative<'_>> {
        None
    }
}
