//! Deliberate errors in kernels, to see that the virtual GPU and the results show them.
//!
//! A [`Recording`] holds what one call of an operation asked of the driver. [`trial`] makes every
//! [`Mutant`] of the kernels that the recordings launch, plays the recordings with it, and says
//! whether a check or a result showed the error.

mod mutant;
mod mutate;
mod programs;
mod recorder;
mod replay;
mod trial;

pub use mutant::{Kind, Mutant};
pub use mutate::{isolate, mutants};
pub use programs::{Programs, load};
pub use recorder::Recording;
pub use replay::{Issued, Outcome, replay, trace};
pub use trial::{Reach, Verdict, trial};
