//! Numbers of steps that sequences count in device memory.

use crate::{Error, Result};

/// Every sequence is at a step below `steps`.
pub fn check(op: &'static str, step: &[i32], steps: usize) -> Result<()> {
    match step.iter().position(|&step| step < 0 || step as usize >= steps) {
        None => Ok(()),
        Some(sample) => {
            let detail = format!("step {} of sequence {sample}, {steps} in all", step[sample]);
            Err(Error::Value { op, detail })
        }
    }
}
