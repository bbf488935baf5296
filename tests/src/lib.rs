//! What the suites that cross crates share.
//!
//! One [`Case`] describes one call of one operation: its arguments, what it must compute in
//! f64, and the function whose gradient it is. From it [`verify`] derives every check of that
//! call, and [`refuses`] every way in which it must be turned down.

mod case;
pub mod cases;
mod difference;
mod failures;
mod format;
mod inputs;
mod kernels;
pub mod mutation;
pub mod numbers;
mod place;
pub mod program;
pub mod reference;
mod refuse;
mod rounding;
mod run;
mod verify;

pub use case::{Arg, Case, Data, Expected, Role};
pub use difference::{Derivative, Value, check_derivative};
pub use failures::Failures;
pub use format::Format;
pub use inputs::Inputs;
pub use kernels::{Kernels, virtual_gpu};
pub use place::{TestGpu, file, gpu_kind};
pub use refuse::{call_on, call_with, refuses, refuses_on, refuses_value};
pub use rounding::Rounding;
pub use run::{Layout, run};
pub use verify::{device, verify};
