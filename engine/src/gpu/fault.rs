//! Words in which kernels leave the first index that they could not use. Nobody waits for a
//! launch to look at its word: the words are sticky, and looked at where the host waits anyway.

use super::{Driver, Gpu, memory};
use crate::{Buffer, DType, Error, Result};

/// Words of a block: more than the operations of one model take.
const WORDS: usize = 64;

/// What a word is about; each names its operation and what was expected. Words hold the
/// complement of `index << 32 | value` where nothing else is said, and 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// The token of a row.
    Token {
        /// Operation.
        op: &'static str,
        /// Tokens there are.
        vocab: usize,
    },
    /// The row at a place of the order of an embedding.
    Order {
        /// Rows there are.
        rows: usize,
    },
    /// A place of that order that is not above the one before, and its row.
    Sorted,
    /// The target of a row.
    Target {
        /// Tokens there are.
        vocab: usize,
    },
    /// A logit: the complement of `4 * index + kind`, the kind being 0 for NaN, 1 for infinity
    /// and 2 for -infinity.
    Logit {
        /// Logits of a row.
        vocab: usize,
    },
    /// The step of a sequence.
    Step {
        /// Operation.
        op: &'static str,
        /// Steps there are.
        steps: usize,
    },
}

impl Check {
    /// The error that a word other than 0 stands for.
    fn error(&self, word: u64) -> Error {
        let (index, value) = ((!word >> 32) as usize, !word as u32 as i32);
        let (op, detail) = match *self {
            Check::Token { op, vocab } => {
                (op, format!("token {value} at row {index}, expected 0 to {}", vocab - 1))
            }
            Check::Order { rows } => (
                "embedding_backward",
                format!("order[{index}] is {value}, expected 0 to {}", rows - 1),
            ),
            Check::Sorted => (
                "embedding_backward",
                format!("order is not sorted by token and row at {index}, row {value}"),
            ),
            Check::Target { vocab } => (
                "linear_cross_entropy",
                format!("target {value} at row {index}, vocabulary of {vocab}"),
            ),
            Check::Logit { vocab } => {
                let (at, kind) = ((!word >> 2) as usize, !word as usize & 3);
                let value = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][kind.min(2)];
                ("sample", format!("logit {} of row {} is {value}", at % vocab, at / vocab))
            }
            Check::Step { op, steps } => {
                (op, format!("step {value} of sequence {index}, {steps} in all"))
            }
        };
        Error::Value { op, detail }
    }
}

/// Words on the device and what each is about. A block is never given up: what was recorded has
/// addresses of its words.
struct Block {
    words: Buffer,
    checks: Vec<Check>,
}

/// The words of a device.
#[derive(Default)]
pub struct Faults {
    blocks: Vec<Block>,
    /// Whether something that writes words has been queued since they were looked at.
    pending: bool,
}

impl<D: Driver> Gpu<D> {
    /// Neighbouring words for the checks of a launch. Launches with the same checks share them.
    pub(super) fn fault<const N: usize>(&mut self, checks: [Check; N]) -> Result<u64> {
        self.faults.pending = true;
        let address = |block: &Block, first: usize| (block.words.address() + 8 * first) as u64;
        for block in &self.faults.blocks {
            if let Some(first) = block.checks.windows(N).position(|known| known == checks) {
                return Ok(address(block, first));
            }
        }
        if self.faults.blocks.last().is_none_or(|block| block.checks.len() + N > WORDS) {
            let words = memory::alloc(&mut self.driver, self.id, DType::F64, WORDS)?;
            self.driver.zero(words.address() as u64, words.byte_len())?;
            self.faults.blocks.push(Block { words, checks: Vec::new() });
        }
        let at = self.faults.blocks.len() - 1;
        let block = &mut self.faults.blocks[at];
        block.checks.extend(checks);
        Ok(address(block, block.checks.len() - N))
    }

    /// After something that was recorded with words in it was queued once more.
    pub(super) fn expect_faults(&mut self) {
        self.faults.pending = true;
    }

    /// The first index out of range in what was queued before. Waits for it.
    ///
    /// # Errors
    /// [`Error::Value`]; all words are then forgotten.
    pub(super) fn check_faults(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.faults.pending) {
            return Ok(());
        }
        let mut error = None;
        for Block { words, checks } in &self.faults.blocks {
            let address = words.address() as u64;
            let mut bytes = vec![0; 8 * checks.len()];
            self.driver.download(address, &mut bytes)?;
            let found = bytes.as_chunks::<8>().0.iter().map(|&word| u64::from_ne_bytes(word));
            let mut found = found.zip(checks).filter(|&(word, _)| word != 0);
            if let Some((word, check)) = found.next() {
                error.get_or_insert(check.error(word));
                self.driver.zero(address, 8 * checks.len())?;
            }
        }
        error.map_or(Ok(()), Err)
    }
}
