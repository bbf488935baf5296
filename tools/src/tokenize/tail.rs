//! Where the last documents begin.

use std::collections::VecDeque;

use crate::Error;

/// Remembers the starts of the last `keep` documents: eight bytes each, however long they are.
///
/// The tokens themselves are in the training shards by then and are moved out
/// at the end, so nothing has to be held back or spilled while reading.
pub(super) struct LastDocuments {
    keep: u64,
    documents: u64,
    starts: VecDeque<u64>,
}

impl LastDocuments {
    pub(super) fn new(keep: u64) -> Self {
        Self { keep, documents: 0, starts: VecDeque::new() }
    }

    /// Notes a document that begins at this token of the whole.
    pub(super) fn push(&mut self, start: u64) {
        self.documents += 1;
        if self.keep == 0 {
            return;
        }
        if self.starts.len() as u64 == self.keep {
            self.starts.pop_front();
        }
        self.starts.push_back(start);
    }

    /// Documents noted in all.
    pub(super) fn documents(&self) -> u64 {
        self.documents
    }

    /// The token at which the last documents begin; `None` if none are kept apart.
    pub(super) fn first(&self) -> Result<Option<u64>, Error> {
        if self.keep > 0 && self.documents <= self.keep {
            return Err(Error::NothingToTrainOn { val_docs: self.keep, documents: self.documents });
        }
        Ok(self.starts.front().copied())
    }
}
