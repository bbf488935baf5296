//! One call of a device operation, as data.

use ltm_engine::{Buffer, Device};

use crate::{Error, Result, Var};

/// How a step touches a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads it.
    Read,
    /// Reads so many of its numbers: what lies between the weights of a group belongs to others.
    ReadSome(usize),
    /// Overwrites it.
    Write,
    /// Reads and writes it.
    Update,
    /// Works in it, with contents of no meaning before and after.
    Room,
}

/// One entry of a program.
pub(crate) trait Step: std::fmt::Debug + Send {
    /// Name of the device operation.
    fn name(&self) -> &'static str;

    /// Reports every value that the step touches.
    fn visit(&self, f: &mut dyn FnMut(Var, Access));

    /// Calls the device.
    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()>;
}

/// Buffers of the values of a program.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) buffers: Vec<Option<Buffer>>,
}

impl Memory {
    /// The buffer of a value.
    pub(crate) fn get(&self, var: Var) -> Result<&Buffer> {
        self.buffers.get(var.0).and_then(Option::as_ref).ok_or(Error::Unbound { var: var.0 })
    }

    /// The buffer of an optional value.
    pub(crate) fn maybe(&self, var: Option<Var>) -> Result<Option<&Buffer>> {
        var.map(|var| self.get(var)).transpose()
    }
}
