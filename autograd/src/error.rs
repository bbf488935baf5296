//! What can go wrong with a tape.

use ltm_engine::DType;

/// Errors of recording and running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only some parts of a value got a gradient.
    #[error("{op}: a gradient flows into some of its results only; it takes one of all of them")]
    Parts {
        /// The operation.
        op: &'static str,
    },
    /// The device refused an operation.
    #[error(transparent)]
    Device(#[from] ltm_engine::Error),
    /// A value has another size than the operation needs.
    #[error("{op}: {what} holds {found} elements, expected {expected}")]
    Extent {
        /// Operation.
        op: &'static str,
        /// Argument.
        what: &'static str,
        /// Elements of the value.
        found: usize,
        /// Elements that the operation needs.
        expected: usize,
    },
    /// A bound buffer does not match its value.
    #[error("value {var} is {expected_len} x {expected}, the buffer is {found_len} x {found}")]
    Binding {
        /// Index of the value.
        var: usize,
        /// Elements recorded.
        expected_len: usize,
        /// Type recorded.
        expected: DType,
        /// Elements of the buffer.
        found_len: usize,
        /// Type of the buffer.
        found: DType,
    },
    /// A value was used before a buffer was bound to it.
    #[error("value {var} has no memory: bind external values and the arena before running")]
    Unbound {
        /// Index of the value.
        var: usize,
    },
    /// A value that the tape owns was bound, or one that it does not own was asked for.
    #[error("value {var} is not external to the tape")]
    NotExternal {
        /// Index of the value.
        var: usize,
    },
    /// An operation adds to a gradient whose mode is to be overwritten.
    #[error("{op}: the gradient of {what} is summed; record the value with GradientMode::Add")]
    Mode {
        /// Operation.
        op: &'static str,
        /// Argument.
        what: &'static str,
    },
}
