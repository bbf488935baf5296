//! Drawing tokens from logits.

use super::memory::{read, write};
use crate::draw;
use crate::ops::Sample;
use crate::philox::Stream;
use crate::{DeviceId, Error, Result};

pub fn draw(device: DeviceId, args: &Sample<'_>) -> Result<()> {
    const OP: &str = "sample";
    let logits = read::<f32>(device, OP, args.logits)?;
    let tokens = write::<i32>(device, OP, args.tokens)?;
    let (temperature, top_k, top_p) = (args.temperature, args.top_k, args.top_p);
    let cut = draw::Cut { temperature, top_k, top_p, min_p: 0.0 };
    for (row, (logits, token)) in logits.chunks_exact(args.vocab).zip(tokens).enumerate() {
        if let Some(i) = logits.iter().position(|l| !l.is_finite()) {
            let detail = format!("logit {i} of row {row} is {}", logits[i]);
            return Err(Error::Value { op: OP, detail });
        }
        let stream = Stream { sample: args.stream.sample.wrapping_add(row as u32), ..args.stream };
        *token = draw::draw(logits, &cut, stream.uniform(args.position)) as i32;
    }
    Ok(())
}
