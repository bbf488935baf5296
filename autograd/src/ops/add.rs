//! Steps that the derivation of gradients itself needs.

use ltm_engine::Device;
use ltm_engine::ops;

use crate::step::{Access, Memory, Step};
use crate::{Result, Var};

/// `into += x`.
#[derive(Debug)]
pub(crate) struct Add {
    pub(crate) x: Var,
    pub(crate) into: Var,
}

impl Step for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.x, Access::Read);
        f(self.into, Access::Update);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let args = ops::Add { x: memory.get(self.x)?, into: memory.get(self.into)? };
        Ok(device.add(&args)?)
    }
}

/// `to = x`.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) x: Var,
    pub(crate) to: Var,
}

impl Step for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.x, Access::Read);
        f(self.to, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.copy(memory.get(self.x)?, memory.get(self.to)?)?)
    }
}
