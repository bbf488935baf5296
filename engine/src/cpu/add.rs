//! Elementwise accumulation.

use rayon::prelude::*;

use super::memory::{read, write};
use crate::ops::Add;
use crate::{DeviceId, Result};

pub fn accumulate(device: DeviceId, args: &Add<'_>) -> Result<()> {
    let x = read::<f32>(device, "add", args.x)?;
    let into = write::<f32>(device, "add", args.into)?;
    into.par_chunks_mut(16_384).zip(x.par_chunks(16_384)).for_each(|(into, x)| {
        into.iter_mut().zip(x).for_each(|(into, x)| *into += x);
    });
    Ok(())
}
