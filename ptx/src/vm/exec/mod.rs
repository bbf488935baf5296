//! Runs decoded kernels: warps of 32 lanes in lockstep, blocks in parallel over CPU threads.

mod access;
mod barrier;
mod block;
mod carry;
mod compare;
mod convert;
mod division;
mod exchange;
mod float;
mod fresh;
mod functions;
mod half;
mod integer;
mod launch;
mod local;
mod matrix;
mod registers;
mod simd;
mod step;
mod warp;
mod windows;
mod wraps;

#[cfg(test)]
mod tests;

pub(super) use launch::{Failure, Request, launch};
