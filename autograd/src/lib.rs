//! A minimal tape over raw device buffers.
//!
//! Recording an operation appends data to a [`Tape`]; nothing runs. [`Tape::finish`] derives
//! the backward pass from the record, finds the last use of every intermediate value, and
//! lays them out in one arena. The resulting [`Program`] is run as often as wanted: the tape
//! of a training step is recorded once and reused every step.
//!
//! * An operation is recorded by a method of [`Tape`]; its file in `ops/` holds its forward
//!   step and its one backward.
//! * Values that nobody wants a gradient of get no gradient work: a frozen weight costs nothing.
//! * The tape knows buffers and operations; it knows nothing of transformers.

mod backward;
mod error;
pub mod ops;
mod planner;
mod program;
mod step;
mod tape;
mod var;

pub use error::Error;
pub use program::{Profile, Program, Segment};
pub use tape::Tape;
pub use var::{GradientMode, Var};

/// Result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;
