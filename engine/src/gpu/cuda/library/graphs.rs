//! The part that repeats work. The rules for `unsafe` are those of the parent.

use std::ffi::{c_uint, c_ulonglong};

use super::{Library, check, made, object};
use crate::gpu::cuda::Code;
use crate::gpu::cuda::api::{GraphApi, Handle, Outcome};

/// `CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`: what other threads do with the driver is not in the way.
const THREAD_LOCAL: c_uint = 1;
/// No `CUgraphInstantiate_flags`.
const PLAIN: c_ulonglong = 0;

impl GraphApi for Library {
    fn begin_capture(&self, stream: Handle) -> Outcome<()> {
        // Seen here, where there is still a way without.
        if self.f.cuGraphInstantiateWithFlags.is_none() {
            return Err(Code::NOT_SUPPORTED);
        }
        // SAFETY: see the parent.
        check(unsafe { (self.f.cuStreamBeginCapture_v2)(object(stream), THREAD_LOCAL) })
    }

    fn end_capture(&self, stream: Handle) -> Outcome<Handle> {
        // SAFETY: see the parent.
        made(|graph| unsafe { (self.f.cuStreamEndCapture)(object(stream), graph) })
    }

    fn instantiate(&self, graph: Handle) -> Outcome<Handle> {
        let instantiate = self.f.cuGraphInstantiateWithFlags.ok_or(Code::NOT_SUPPORTED)?;
        // SAFETY: see the parent.
        made(|executable| unsafe { instantiate(executable, object(graph), PLAIN) })
    }

    fn destroy_graph(&self, graph: Handle) -> Outcome<()> {
        // SAFETY: see the parent.
        check(unsafe { (self.f.cuGraphDestroy)(object(graph)) })
    }

    unsafe fn launch_graph(&self, executable: Handle, stream: Handle) -> Outcome<()> {
        // SAFETY: the caller's promise.
        check(unsafe { (self.f.cuGraphLaunch)(object(executable), object(stream)) })
    }

    fn destroy_executable(&self, executable: Handle) -> Outcome<()> {
        // SAFETY: see the parent.
        check(unsafe { (self.f.cuGraphExecDestroy)(object(executable)) })
    }
}
