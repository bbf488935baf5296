//! The kernels that may still be running.

use ltm_ptx::EntryPoint;

use super::Code;
use super::error::CudaError;
use crate::Error;

/// Launches since the last time the host saw everything finished, counted by kernel. They are
/// as few as there are kernels, however long that is ago.
#[derive(Debug, Default)]
pub struct Launches {
    kernels: Vec<(&'static EntryPoint, u64)>,
}

impl Launches {
    /// Notes a launch.
    pub fn push(&mut self, entry: &'static EntryPoint) {
        self.add(entry, 1);
    }

    /// Notes every launch of a recording.
    pub fn extend(&mut self, recorded: &Launches) {
        recorded.kernels.iter().for_each(|&(entry, count)| self.add(entry, count));
    }

    fn add(&mut self, entry: &'static EntryPoint, more: u64) {
        match self.kernels.iter_mut().find(|(known, _)| std::ptr::eq(*known, entry)) {
            Some((_, count)) => *count += more,
            None => self.kernels.push((entry, more)),
        }
    }

    /// Everything has finished.
    pub fn clear(&mut self) {
        self.kernels.clear();
    }

    /// The error of a call that returned `code`: of the launches, where the code tells of them,
    /// and otherwise of the call.
    pub fn failed(&self, call: &'static str, code: Code) -> Error {
        if !code.is_fault() {
            return Error::Cuda(CudaError::call(call, code));
        }
        if let [(entry, _)] = self.kernels[..] {
            return Error::Kernel { kernel: entry.name, report: format!("on the GPU: {code}") };
        }
        let one = |&(entry, count): &(&EntryPoint, u64)| match count {
            1 => entry.name.to_owned(),
            _ => format!("{} ({count} times)", entry.name),
        };
        let kernels = match &self.kernels[..] {
            [] => "nothing".into(),
            kernels => kernels.iter().map(one).collect::<Vec<_>>().join(", "),
        };
        Error::Cuda(CudaError::Fault { code, kernels })
    }
}
