//! Launches that are repeated with one call.

use std::sync::Arc;

use super::api::{Api, Handle, Outcome};
use super::context::Context;
use super::launches::Launches;

/// A recording. It may outlive the device that made it, and is of no use then: the device takes
/// the graph with it, before the modules of its kernels.
pub struct Recorded<A: Api> {
    context: Arc<Context<A>>,
    executable: Handle,
    launches: Launches,
}

impl<A: Api> Recorded<A> {
    /// Of a captured graph, which is given back. The context is current, and nothing is captured.
    pub fn new(context: Arc<Context<A>>, graph: Handle, launches: Launches) -> Outcome<Self> {
        let made = context.with_room(|| context.api.instantiate(graph));
        // What is left of a graph that is not given back harms nobody.
        let _ = context.api.destroy_graph(graph);
        let executable = made?;
        context.keep_executable(executable);
        Ok(Self { context, executable, launches })
    }

    /// Whether a device made it.
    pub fn is_of(&self, context: &Arc<Context<A>>) -> bool {
        Arc::ptr_eq(&self.context, context)
    }

    /// What is launched by it.
    pub fn launches(&self) -> &Launches {
        &self.launches
    }

    /// Puts it into the compute stream. The context is current, and its device is there.
    pub fn launch(&self) -> Outcome<()> {
        let Context { api, compute, .. } = &*self.context;
        // SAFETY: modules are unloaded after all executables of their device were given back. Each
        // launch had legal arguments when it was captured; whoever repeats it keeps its memory, as
        // `Device::replay` asks.
        self.context.with_room(|| unsafe { api.launch_graph(self.executable, *compute) })
    }
}

impl<A: Api> Drop for Recorded<A> {
    fn drop(&mut self) {
        // After a fault it cannot be given back; the process's end does it.
        let _ = self.context.give_executable_back(self.executable);
    }
}
