//! What the suites that cross crates share.
//!
//! One [`Case`] describes one call of one operation: its arguments, what it must compute in
//! f64, and the function whose gradient it is. From it [`verify`] derives every check of that
//! call, and [`refuses`] every way in which it must be turned down.

mod case;
mod difference;
pub mod mutation;
pub mod numbers;
pub mod program;
pub mod reference;
mod refuse;
mod verify;

pub use case::{Arg, Case, Data, Expected, Role};
pub use difference::{Derivative, Value, check_derivative};
pub use refuse::{call_with, refuses, refuses_value};
pub use verify::{device, verify};
