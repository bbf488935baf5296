//! A folder that checks and measures this build on a machine that has a GPU's driver and nothing
//! else: packed here, run there, and its results turned into a table.

mod cargo;
mod environment;
mod error;
mod pack;
mod payload;
mod process;
mod record;
mod results;
mod run;
mod steps;
mod table;
#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use error::Error;
pub use pack::{LIMIT, Packed, pack};
pub use record::{Manifest, Record, Status, StepRecord};
pub use results::Results;
pub use run::{Options, run};
pub use steps::{DEFAULT_GROUPS, GROUPS, Need, STEPS, Step};
pub use table::markdown;
