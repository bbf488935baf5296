//! Copies that nobody waits for.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use super::Code;
use super::api::{Api, Handle, Outcome};
use super::context::Context;
use crate::{HostBlock, Transfer};

/// Page-locked memory that is given back when this is dropped.
struct PageLocked<A: Api> {
    context: Arc<Context<A>>,
    start: usize,
}

impl<A: Api> Drop for PageLocked<A> {
    fn drop(&mut self) {
        // After a fault it cannot be given back; the process's end does it.
        if self.context.enter().is_ok() {
            // SAFETY: from `alloc_pinned`, and given back once; a transfer that uses the block
            // owns it, and waits before it gives it up.
            let _ = unsafe { self.context.api.free_pinned(self.start as *mut u8) };
        }
    }
}

/// The end of a copy.
pub struct Moved<A: Api> {
    context: Arc<Context<A>>,
    event: Handle,
}

impl<A: Api> Moved<A> {
    fn record(context: &Arc<Context<A>>, stream: Handle) -> Outcome<Self> {
        let event = context.api.create_event()?;
        let moved = Self { context: context.clone(), event };
        context.api.record(event, stream)?;
        Ok(moved)
    }

    /// Whether a device made it.
    pub fn is_of(&self, context: &Arc<Context<A>>) -> bool {
        Arc::ptr_eq(&self.context, context)
    }

    /// Lets what is put into the compute stream from now on wait for it. The context is current.
    pub fn hold_compute(&self) -> Outcome<()> {
        self.context.api.wait(self.context.compute, self.event)
    }

    /// Waits for it on the host. The context is current.
    pub fn wait(&self) -> Outcome<()> {
        self.context.api.wait_on_host(self.event)
    }
}

impl<A: Api> Drop for Moved<A> {
    fn drop(&mut self) {
        // After a fault nothing moves any more, and nothing can be given back.
        if self.context.enter().is_ok() {
            let _ = self.wait();
            let _ = self.context.api.destroy_event(self.event);
        }
    }
}

/// A zeroed page-locked block. The context is current.
pub fn block<A: Api>(context: &Arc<Context<A>>, bytes: usize) -> Outcome<HostBlock> {
    let start = context.api.alloc_pinned(bytes.max(1))?;
    let owner = PageLocked { context: context.clone(), start: start as usize };
    let start = NonNull::new(start).ok_or(Code::UNKNOWN)?;
    // SAFETY: `bytes` bytes that were just made and that nobody else knows.
    unsafe { start.write_bytes(0, bytes) };
    let owner: Box<dyn Any + Send> = Box::new(owner);
    // SAFETY: initialised above; the driver aligns to pages; the owner gives it back.
    Ok(unsafe { HostBlock::page_locked(start, bytes, owner) })
}

/// Copies the first `bytes` of a block to the device, in the stream of copies, after everything that
/// the compute stream holds; that stream does not wait. The context is current.
pub fn post<A: Api>(
    context: &Arc<Context<A>>,
    block: HostBlock,
    (to, bytes): (u64, usize),
) -> Outcome<Transfer> {
    let Context { api, compute, copies, .. } = &**context;
    let computed = api.create_event()?;
    let held = api.record(computed, *compute).and_then(|()| api.wait(*copies, computed));
    // What waits for it already goes on doing so.
    held.and(api.destroy_event(computed))?;
    // SAFETY: the block is page-locked and at least `bytes` long; the transfer owns it, so that
    // nobody writes it before the copy is over.
    unsafe { api.to_device(block.as_ptr(), to, bytes, *copies)? };
    let moved = over_unless_recorded(context, *copies)?;
    Ok(Transfer::begun(block, Box::new(moved)))
}

/// The end of what a stream holds; where that cannot be had, it is waited for, as a block of it is
/// about to be given back.
fn over_unless_recorded<A: Api>(context: &Arc<Context<A>>, stream: Handle) -> Outcome<Moved<A>> {
    let moved = Moved::record(context, stream);
    if moved.is_err() {
        // The first error is the one that tells.
        let _ = context.api.synchronize(stream);
    }
    moved
}

/// Copies device memory to the start of a block, in the compute stream. The context is current.
pub fn fetch<A: Api>(
    context: &Arc<Context<A>>,
    mut block: HostBlock,
    (from, bytes): (u64, usize),
) -> Outcome<Transfer> {
    let Context { api, compute, .. } = &**context;
    // SAFETY: the block is page-locked and at least `bytes` long; the transfer owns it, so that
    // nobody touches it before the copy is over.
    unsafe { api.to_host(from, block.as_mut_ptr(), bytes, *compute)? };
    let moved = over_unless_recorded(context, *compute)?;
    Ok(Transfer::begun(block, Box::new(moved)))
}
