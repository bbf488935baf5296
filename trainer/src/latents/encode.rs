//! Latents of many texts, into a file.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use ltm_engine::Device;

use super::blocks::in_blocks;
use super::{Encoder, LatentsError, Texts, Writer, Written};
use crate::{Error, Result};

/// How to encode.
#[derive(Clone, Copy)]
pub struct EncodeOptions<'a> {
    /// Texts inferred at once. With 1 the latents of a text depend on nothing but itself; with more
    /// they may differ by rounding.
    pub batch: usize,
    /// Ends the work before the next fast step once this is set.
    pub stop: &'a AtomicBool,
    /// Told the number of finished texts now and then.
    pub progress: &'a dyn Fn(u64),
}

/// Infers the posteriors of `texts` and writes them in their order. If it is stopped, the file holds
/// the first texts, and says that it is not complete.
///
/// # Errors
/// [`Error::Interrupted`] if it was stopped before there was a text to write; a text that cannot be
/// read or inferred; a disk or device that fails. No file is then written.
pub fn encode(
    device: &mut dyn Device,
    encoder: &mut Encoder,
    texts: &mut Texts,
    mut writer: Writer,
    options: &EncodeOptions<'_>,
) -> Result<Written> {
    if options.batch == 0 {
        return Err(LatentsError::TooFew { name: "--batch", found: 0, least: 1 }.into());
    }
    let at_once = encoder.at_once(options.batch);
    let longest = encoder.config().seq_len();
    let done = Cell::new(0);
    let result = in_blocks(
        texts,
        (longest, at_once),
        &mut |group| {
            let encoded = encoder.encode(device, group, options.stop)?;
            done.set(done.get() + group.len() as u64);
            (options.progress)(done.get());
            Ok(encoded)
        },
        &mut |text, encoded| Ok(writer.append(text, &encoded)?),
    );
    match result {
        Ok(()) if writer.texts() == 0 => Err(texts.none().into()),
        Ok(()) => Ok(writer.finish(true)?),
        Err(Error::Interrupted) if writer.texts() > 0 => Ok(writer.finish(false)?),
        Err(error) => Err(error),
    }
}
