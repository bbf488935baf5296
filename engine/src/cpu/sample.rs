//! Drawing tokens from logits.

use super::memory::{read, write};
use crate::ops::Sample;
use crate::philox::Stream;
use crate::{DeviceId, Error, Result};

pub fn draw(device: DeviceId, args: &Sample<'_>) -> Result<()> {
    const OP: &str = "sample";
    let logits = read::<f32>(device, OP, args.logits)?;
    let tokens = write::<i32>(device, OP, args.tokens)?;
    for (row, (logits, token)) in logits.chunks_exact(args.vocab).zip(tokens).enumerate() {
        if let Some(i) = logits.iter().position(|l| !l.is_finite()) {
            let detail = format!("logit {i} of row {row} is {}", logits[i]);
            return Err(Error::Value { op: OP, detail });
        }
        let stream = Stream { sample: args.stream.sample.wrapping_add(row as u32), ..args.stream };
        *token = draw_row(args, logits, stream.uniform(args.position)) as i32;
    }
    Ok(())
}

fn draw_row(args: &Sample<'_>, logits: &[f32], uniform: f32) -> usize {
    let mut ranked: Vec<u32> = (0..logits.len() as u32).collect();
    // Adding 0 turns -0 to 0, which it equals.
    let logit = |i: u32| logits[i as usize] + 0.0;
    let by_rank = |&a: &u32, &b: &u32| logit(b).total_cmp(&logit(a)).then(a.cmp(&b));
    let greedy = args.temperature == 0.0;
    let keep = match args.top_k {
        _ if greedy => 1,
        0 => ranked.len(),
        k => k.min(ranked.len()),
    };
    if keep < ranked.len() {
        ranked.select_nth_unstable_by(keep - 1, by_rank);
        ranked.truncate(keep);
    }
    ranked.sort_unstable_by(by_rank);
    if greedy {
        return ranked[0] as usize;
    }
    let top = logits[ranked[0] as usize] as f64;
    let weight = |&i: &u32| ((logits[i as usize] as f64 - top) / args.temperature as f64).exp();
    let weights: Vec<f64> = ranked.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let mut kept = 0.0;
    let mut count = 0;
    while count < weights.len() && (count == 0 || kept < args.top_p as f64 * total) {
        kept += weights[count];
        count += 1;
    }
    let mut left = uniform as f64 * kept;
    for (i, w) in weights[..count].iter().enumerate() {
        left -= w;
        if left < 0.0 {
            return ranked[i] as usize;
        }
    }
    ranked[count - 1] as usize
}
