//! Marks on the GPU's clock.

use std::sync::Arc;

use super::api::{Api, Handle, Outcome};
use super::context::Context;

/// An event with a time, recorded into the compute stream.
pub struct Timer<A: Api> {
    context: Arc<Context<A>>,
    event: Handle,
}

impl<A: Api> Timer<A> {
    /// At the end of what the compute stream holds. The context is current.
    pub fn record(context: Arc<Context<A>>) -> Outcome<Self> {
        let event = context.api.create_timer()?;
        let timer = Self { context, event };
        timer.context.api.record(timer.event, timer.context.compute)?;
        Ok(timer)
    }

    /// Whether a device made it.
    pub fn is_of(&self, context: &Arc<Context<A>>) -> bool {
        Arc::ptr_eq(&self.context, context)
    }

    /// Seconds from this one to a later one, which is waited for. The context is current.
    pub fn seconds_to(&self, later: &Self) -> Outcome<f64> {
        let api = &self.context.api;
        api.wait_on_host(later.event)?;
        Ok(f64::from(api.milliseconds(self.event, later.event)?) / 1e3)
    }
}

impl<A: Api> Drop for Timer<A> {
    fn drop(&mut self) {
        // After a fault it cannot be given back; the process's end does it.
        let _ = self.context.enter().and_then(|()| self.context.api.destroy_event(self.event));
    }
}
