//! Processes that die at any instant, and what their runs are worth afterwards.

mod kills;
mod memory;
mod resume;
mod run;
