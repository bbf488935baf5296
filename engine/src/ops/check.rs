//! Checks that every backend applies to the arguments of an operation.

use crate::{Buffer, DType, Error, Result};

/// `buffer` holds exactly `expected` elements of type `dtype`.
pub(crate) fn buffer(
    op: &'static str,
    what: &'static str,
    buffer: &Buffer,
    dtype: DType,
    expected: usize,
) -> Result<()> {
    if buffer.dtype() != dtype {
        return Err(Error::Type { op, what, found: buffer.dtype(), expected: dtype });
    }
    if buffer.len() != expected {
        return Err(Error::Extent { op, what, found: buffer.len(), expected });
    }
    Ok(())
}

/// The type in which a call stores activations and weights, taken from its leading argument:
/// f32 or bf16. The other storage arguments of the call must be alike.
pub(crate) fn storage(op: &'static str, what: &'static str, b: &Buffer) -> Result<DType> {
    match b.dtype() {
        DType::F32 | DType::BF16 => Ok(b.dtype()),
        found => Err(Error::Type { op, what, found, expected: DType::F32 }),
    }
}

/// `buffer` holds exactly `expected` numbers in f32.
pub(crate) fn floats(
    op: &'static str,
    what: &'static str,
    b: &Buffer,
    expected: usize,
) -> Result<()> {
    buffer(op, what, b, DType::F32, expected)
}

/// `buffer` holds exactly `expected` 32-bit integers.
pub(crate) fn integers(
    op: &'static str,
    what: &'static str,
    b: &Buffer,
    expected: usize,
) -> Result<()> {
    buffer(op, what, b, DType::I32, expected)
}

/// No output shares memory with another output or with an input, and all live on one device.
pub(crate) fn distinct(op: &'static str, outputs: &[&Buffer], inputs: &[&Buffer]) -> Result<()> {
    for (i, output) in outputs.iter().enumerate() {
        for other in outputs[i + 1..].iter().chain(inputs) {
            if output.device() != other.device() {
                return Err(Error::Foreign { op });
            }
            if output.overlaps(other) {
                return Err(Error::Overlap { op });
            }
        }
    }
    Ok(())
}

/// An extent that rows are cut by, or that a softmax runs over.
pub(crate) fn positive(op: &'static str, what: &'static str, extent: usize) -> Result<()> {
    value(op, extent > 0, || format!("{what} is 0, expected at least 1"))
}

/// A condition on scalar arguments.
pub(crate) fn value(op: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Value { op, detail: detail() }) }
}
