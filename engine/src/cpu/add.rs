//! Elementwise accumulation.

use super::memory::{read, write};
use super::pool::for_each;
use crate::ops::Add;
use crate::{DeviceId, Result};

pub fn accumulate(device: DeviceId, args: &Add<'_>) -> Result<()> {
    let x = read::<f32>(device, "add", args.x)?;
    let into = write::<f32>(device, "add", args.into)?;
    for_each(into.chunks_mut(16_384).zip(x.chunks(16_384)), |(into, x)| {
        into.iter_mut().zip(x).for_each(|(into, x)| *into += x);
    });
    Ok(())
}
