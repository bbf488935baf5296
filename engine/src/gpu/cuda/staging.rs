//! Copies between the host's ordinary memory and the device, by way of page-locked blocks.
//!
//! Two blocks take turns: while the device moves one, the host fills or empties the other.

use std::sync::Arc;

use super::Code;
use super::api::{Api, Handle, Outcome};
use super::context::Context;

/// Bytes of a block: long enough that the bus is busy, short enough to start soon.
const BLOCK: usize = 4 << 20;

struct Block {
    memory: *mut u8,
    /// Recorded behind the last copy that uses the block.
    moved: Handle,
}

/// The blocks; made by the first copy.
pub struct Staging<A: Api> {
    context: Arc<Context<A>>,
    blocks: Vec<Block>,
    /// Recorded behind the kernels that a copy must wait for.
    computed: Option<Handle>,
    next: usize,
}

impl<A: Api> Staging<A> {
    /// Without blocks yet.
    pub fn new(context: Arc<Context<A>>) -> Self {
        Self { context, blocks: Vec::new(), computed: None, next: 0 }
    }

    /// Copies `bytes` to the device, after every launch before and before every one after.
    /// They are read when this returns; the device may still be at it.
    pub fn upload(&mut self, to: u64, bytes: &[u8]) -> Outcome<()> {
        self.begin()?;
        let Context { api, compute, copies, .. } = &*self.context;
        let mut to = to;
        for part in bytes.chunks(BLOCK) {
            let Block { memory, moved } = self.blocks[self.next];
            self.next = 1 - self.next;
            api.wait_on_host(moved)?;
            // SAFETY: `part` is at most a block long; nothing else reads or writes the block, as
            // the last copy that used it is over. The copy put into the stream reads the block
            // until `moved`, for which the next user waits.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), memory, part.len());
                api.to_device(memory, to, part.len(), *copies)?;
            }
            api.record(moved, *copies)?;
            api.wait(*compute, moved)?;
            to += part.len() as u64;
        }
        Ok(())
    }

    /// Copies `bytes.len()` bytes from the device, after every launch before. When this returns,
    /// all of them are over.
    pub fn download(&mut self, from: u64, bytes: &mut [u8]) -> Outcome<()> {
        self.begin()?;
        let Context { api, copies, .. } = &*self.context;
        let mut from = from;
        let mut last: Option<(&Block, &mut [u8])> = None;
        for part in bytes.chunks_mut(BLOCK) {
            let block = &self.blocks[self.next];
            self.next = 1 - self.next;
            // SAFETY: `part` is at most a block long. Earlier copies from the block are before this
            // one in the stream, and what earlier ones brought has been taken out; the host reads
            // it again only after `moved`.
            unsafe { api.to_host(from, block.memory, part.len(), *copies)? };
            api.record(block.moved, *copies)?;
            from += part.len() as u64;
            if let Some((block, part)) = last.replace((block, part)) {
                take(api, block, part)?;
            }
        }
        last.map_or(Ok(()), |(block, part)| take(api, block, part))
    }

    /// Lets the copies to come wait for the launches so far.
    fn begin(&mut self) -> Outcome<()> {
        let Context { api, compute, copies, .. } = &*self.context;
        while self.blocks.len() < 2 {
            let memory = api.alloc_pinned(BLOCK)?;
            match api.create_event() {
                Ok(moved) => self.blocks.push(Block { memory, moved }),
                Err(code) => {
                    // SAFETY: just made, and nothing uses it. The first error is the one that tells.
                    let _ = unsafe { api.free_pinned(memory) };
                    return Err(code);
                }
            }
        }
        let computed = match self.computed {
            Some(event) => event,
            None => *self.computed.insert(api.create_event()?),
        };
        api.record(computed, *compute)?;
        api.wait(*copies, computed)
    }
}

/// Waits for a block and takes out what was copied into it.
fn take(api: &impl Api, block: &Block, part: &mut [u8]) -> Result<(), Code> {
    api.wait_on_host(block.moved)?;
    // SAFETY: the copy of `part.len()` bytes into the block is over, and no other has begun.
    unsafe { std::ptr::copy_nonoverlapping(block.memory, part.as_mut_ptr(), part.len()) };
    Ok(())
}

impl<A: Api> Drop for Staging<A> {
    fn drop(&mut self) {
        let Context { api, copies, .. } = &*self.context;
        // After a fault there is nothing to be given back to; the process's end does it.
        let over = self.context.enter().and_then(|()| api.synchronize(*copies));
        if over.is_err() {
            return;
        }
        for Block { memory, moved } in self.blocks.drain(..) {
            // SAFETY: from `alloc_pinned`, drained so that it is given back once, and the stream of
            // all copies is empty.
            let _ = unsafe { api.free_pinned(memory) };
            let _ = api.destroy_event(moved);
        }
        if let Some(event) = self.computed.take() {
            let _ = api.destroy_event(event);
        }
    }
}
