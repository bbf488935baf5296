//! Batches on their way to the device: while an iteration runs on one, the next is copied.

use std::collections::VecDeque;

use ltm_engine::{Buffer, DType, Device, HostBlock, Result, Transfer};

use crate::config::Config;
use crate::model::BatchShape;

/// Batches that there is room for.
const SLOTS: usize = 2;

/// Room for two batches, and what was posted and is not used up.
pub struct Inbox {
    /// `[3, batch T]` i32 each: tokens, targets, and the order of the rows by token.
    slots: [Buffer; SLOTS],
    /// The slot of the next batch.
    next: usize,
    posted: VecDeque<(usize, Transfer)>,
    /// The batch of the present iteration, whose block may be filled again.
    used: Option<Transfer>,
}

impl Inbox {
    /// Bytes of the slots.
    pub fn bytes(config: &Config) -> usize {
        SLOTS * Self::numbers(config) * size_of::<i32>()
    }

    fn numbers(config: &Config) -> usize {
        3 * config.train.batch * config.seq_len()
    }

    /// Nothing is posted.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn new(device: &mut dyn Device, config: &Config) -> Result<Self> {
        let mut slot = || device.alloc(DType::I32, Self::numbers(config));
        let slots = [slot()?, slot()?];
        Ok(Self { slots, next: 0, posted: VecDeque::new(), used: None })
    }

    /// The slots.
    pub fn buffers(&self) -> &[Buffer; SLOTS] {
        &self.slots
    }

    /// Batches that are posted and not yet used.
    pub fn waiting(&self) -> usize {
        self.posted.len()
    }

    /// Whether another batch can be posted.
    pub fn has_room(&self) -> bool {
        self.posted.len() < SLOTS
    }

    /// Sends a batch. What reads its slot was asked for before: the copy comes after that, and runs
    /// beside everything that is asked for from here on.
    ///
    /// # Errors
    /// If the device fails. There must be room.
    pub fn post(&mut self, device: &mut dyn Device, block: HostBlock) -> Result<()> {
        let transfer = device.post(block, &self.slots[self.next])?;
        self.posted.push_back((self.next, transfer));
        self.next = (self.next + 1) % SLOTS;
        Ok(())
    }

    /// The oldest batch, for whatever is asked for from here on; `None` if none is posted.
    ///
    /// # Errors
    /// If the device fails.
    pub fn open(&mut self, device: &mut dyn Device) -> Result<Option<Buffer>> {
        let Some((slot, transfer)) = self.posted.pop_front() else { return Ok(None) };
        device.arrive(&transfer)?;
        self.used = Some(transfer);
        Ok(Some(self.slots[slot].clone()))
    }

    /// The block of the batch that was last opened, to be filled again. By then it has long arrived.
    ///
    /// # Errors
    /// What went wrong on the device meanwhile.
    pub fn spare(&mut self, device: &mut dyn Device) -> Result<Option<HostBlock>> {
        self.used.take().map(|transfer| device.recover(transfer)).transpose()
    }

    /// Forgets what is posted.
    pub fn clear(&mut self) {
        self.posted.clear();
    }
}

/// Tokens, targets and order of micro-batch `index` of `shape` in a batch.
pub fn parts(batch: &Buffer, shape: BatchShape, index: usize) -> Result<[Buffer; 3]> {
    let (all, rows) = (batch.len() / 3, shape.rows());
    let part = |which: usize| {
        let first = which * all + index * rows;
        batch.slice(first..first + rows)
    };
    Ok([part(0)?, part(1)?, part(2)?])
}

/// Lays a batch out as the device takes it: `[3, batch T]` numbers in `block`. The order is that of
/// [`crate::workspace::Workspace::load`], for micro-batches of `rows` rows.
pub fn arrange(block: &mut [i32], tokens: &[i32], targets: &[i32], rows: usize) {
    let (first, rest) = block.split_at_mut(tokens.len());
    let (second, rest) = rest.split_at_mut(targets.len());
    first.copy_from_slice(tokens);
    second.copy_from_slice(targets);
    let orders = rest[..tokens.len()].chunks_mut(rows.max(1));
    for (order, tokens) in orders.zip(tokens.chunks(rows.max(1))) {
        sort_rows(order, tokens);
    }
}

/// The rows of `tokens` by token and row.
pub fn sort_rows(order: &mut [i32], tokens: &[i32]) {
    order.iter_mut().zip(0..).for_each(|(place, row)| *place = row);
    order.sort_unstable_by_key(|&row| (tokens[row as usize], row));
}
