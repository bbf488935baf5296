//! Running the `ltm` program as a user does: arguments in, exit code and streams out.

mod binary;
mod outcome;
mod sandbox;
mod shards;
mod wait;

pub use binary::{ltm, virtual_libcuda};
pub use outcome::Outcome;
pub use sandbox::{MICRO, Sandbox, files};
pub use shards::{Shard, tokens_of};
pub use wait::{lines, wait_for_lines, wait_until};
