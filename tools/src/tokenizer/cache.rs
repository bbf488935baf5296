//! A bounded memory of the pieces that had to be merged.
//!
//! Nine pieces in ten are a token of their own; most of the rest repeat too.
//! Names, numbers and typing errors do not, so the memory is emptied when full.

use rustc_hash::FxHashMap;

/// Entries kept; with their ids about 10 MB a thread.
const MOST_ENTRIES: usize = 1 << 17;
/// Longer pieces (rules of dashes, base64) hardly repeat.
const LONGEST_PIECE: usize = 48;

/// Pieces and their ids.
#[derive(Default)]
pub(super) struct PieceCache {
    /// First id and number of ids, in `ids`.
    spans: FxHashMap<Box<[u8]>, (u32, u32)>,
    ids: Vec<u16>,
}

impl PieceCache {
    /// Appends the ids of `piece`: remembered ones, or those `compute` appends.
    #[inline]
    pub(super) fn extend(
        &mut self,
        piece: &[u8],
        output: &mut Vec<u16>,
        compute: impl FnOnce(&mut Vec<u16>),
    ) {
        if piece.len() > LONGEST_PIECE {
            compute(output);
            return;
        }
        if let Some(&(start, count)) = self.spans.get(piece) {
            output.extend_from_slice(&self.ids[start as usize..(start + count) as usize]);
            return;
        }
        let from = output.len();
        compute(output);
        if self.spans.len() == MOST_ENTRIES {
            self.spans.clear();
            self.ids.clear();
        }
        let span = (self.ids.len() as u32, (output.len() - from) as u32);
        self.ids.extend_from_slice(&output[from..]);
        self.spans.insert(piece.into(), span);
    }
}
