//! Whole models on the virtual GPU.

mod launches;
mod models;
mod recordings;
mod resume;
mod runs;
mod training;
