//! What a pass found of each sequence.

use super::memory::{read, write};
use super::steps;
use crate::ops::Trace;
use crate::{DeviceId, Result};

pub fn record(device: DeviceId, args: &Trace<'_>) -> Result<()> {
    const OP: &str = "trace";
    let Trace { samples, seq, rows, .. } = *args;
    let nll = read::<f32>(device, OP, args.token_nll)?;
    let kl = read::<f64>(device, OP, args.kl)?;
    let step = write::<i32>(device, OP, args.step)?;
    let trace = write::<f64>(device, OP, args.trace)?;
    steps::check(OP, step, rows)?;
    for sample in 0..samples {
        let row = step[sample] as usize * 2 * samples;
        let tokens = &nll[sample * seq..(sample + 1) * seq];
        trace[row + sample] = tokens.iter().map(|&x| f64::from(x)).sum();
        trace[row + samples + sample] = kl[sample];
        step[sample] += 1;
    }
    Ok(())
}
