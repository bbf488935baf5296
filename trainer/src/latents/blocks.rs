//! Texts in batches of like lengths, their results in order.

use super::Text;
use super::encoder::padded;
use crate::Result;

/// Texts read ahead to find some of like lengths, or twice a batch if that is more.
const BLOCK: usize = 16;

/// Hands texts to `work` in groups of at most `batch` that are [`padded`] to the same length, and to
/// `take` each text with its result, in order. In memory are the texts and results of one block.
/// After an error of `work` the texts before the first one without a result are still taken.
///
/// # Errors
/// Those of the texts, of `work` and of `take`.
pub fn in_blocks<R>(
    texts: &mut dyn Iterator<Item = Result<Text>>,
    (longest, batch): (usize, usize),
    work: &mut dyn FnMut(&[&Text]) -> Result<Vec<R>>,
    take: &mut dyn FnMut(&Text, R) -> Result<()>,
) -> Result<()> {
    let size = BLOCK.max(2 * batch);
    loop {
        let (mut block, mut failed) = (Vec::with_capacity(size), Ok(()));
        for text in (&mut *texts).take(size) {
            match text {
                Ok(text) => block.push(text),
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
        }
        let mut results: Vec<Option<R>> = block.iter().map(|_| None).collect();
        let length = |place: usize| padded(block[place].tokens(), longest);
        let mut places: Vec<usize> = (0..block.len()).collect();
        places.sort_by_key(|&place| length(place));
        let alike = |&a: &usize, &b: &usize| length(a) == length(b);
        let groups = places.chunk_by(alike).flat_map(|group| group.chunks(batch));
        for group in groups {
            let members: Vec<&Text> = group.iter().map(|&place| &block[place]).collect();
            match work(&members) {
                Ok(found) => {
                    for (&place, result) in group.iter().zip(found) {
                        results[place] = Some(result);
                    }
                }
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
        }
        for (text, result) in block.iter().zip(results) {
            match result {
                Some(result) => take(text, result)?,
                None => break,
            }
        }
        failed?;
        if block.len() < size {
            return Ok(());
        }
    }
}
