//! A finished tape: steps, memory layout, bindings.

use std::collections::BTreeMap;
use std::time::Duration;

use ltm_engine::{Buffer, DType, Device};

use crate::planner::Layout;
use crate::step::{Access, Memory, Step};
use crate::var::{VarInfo, whole};
use crate::{Error, Result, Var};

/// Part of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The recorded operations.
    Forward,
    /// The derived gradients.
    Backward,
    /// Both.
    All,
}

/// Time spent per device operation.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Calls and time by operation.
    pub by_operation: BTreeMap<&'static str, (u64, Duration)>,
}

/// A sequence of device operations that is run again and again on the same buffers.
#[derive(Debug)]
pub struct Program {
    vars: Vec<VarInfo>,
    steps: Vec<Box<dyn Step>>,
    forward: usize,
    layout: Layout,
    memory: Memory,
}

impl Program {
    pub(crate) fn new(
        vars: Vec<VarInfo>,
        steps: Vec<Box<dyn Step>>,
        forward: usize,
        layout: Layout,
    ) -> Self {
        let memory = Memory { buffers: vec![None; vars.len()] };
        Self { vars, steps, forward, layout, memory }
    }

    /// Bytes that the intermediate values need.
    pub fn arena_bytes(&self) -> usize {
        self.layout.bytes
    }

    /// Values of the forward part that the backward part still needs, which is what lies in the
    /// arena between the two: the operation that makes each, and its bytes.
    pub fn kept(&self) -> Vec<(&'static str, usize)> {
        let mut needed = vec![false; self.vars.len()];
        for step in &self.steps[self.forward..] {
            step.visit(&mut |var, _| needed[whole(&self.vars, var).0] = true);
        }
        let mut kept = Vec::new();
        for step in &self.steps[..self.forward] {
            step.visit(&mut |var, access| {
                let VarInfo { external, len, dtype, .. } = self.vars[var.0];
                let needed = needed[whole(&self.vars, var).0];
                if access == Access::Write && needed && !external {
                    kept.push((step.name(), len * dtype.size()));
                }
            });
        }
        kept
    }

    /// Bytes of the arguments of an operation, by its index, that every implementation moves:
    /// each that it reads once, each that it writes once, each that it adds to both ways. `None`
    /// beyond the last.
    pub fn argument_bytes(&self, index: usize) -> Option<usize> {
        let mut bytes = 0;
        self.steps.get(index)?.visit(&mut |var, access| {
            let VarInfo { len, dtype, .. } = self.vars[var.0];
            let numbers = match access {
                Access::Read | Access::Write => len,
                Access::ReadSome(numbers) => numbers,
                Access::Update => 2 * len,
                Access::Room => 0,
            };
            bytes += numbers * dtype.size();
        });
        Some(bytes)
    }

    /// Runs one operation by its index; nothing beyond the last.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn run_operation(&self, index: usize, device: &mut dyn Device) -> Result<()> {
        self.steps.get(index).map_or(Ok(()), |step| step.run(&self.memory, device))
    }

    /// Device operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.steps.iter().map(|step| step.name())
    }

    /// Gives an external value its buffer.
    ///
    /// # Errors
    /// If the value belongs to the program, or the buffer has another length or type.
    pub fn bind(&mut self, var: Var, buffer: &Buffer) -> Result<()> {
        let Some(info) = self.vars.get(var.0) else {
            return Err(Error::NotExternal { var: var.0 });
        };
        if !info.external {
            return Err(Error::NotExternal { var: var.0 });
        }
        if info.len != buffer.len() || info.dtype != buffer.dtype() {
            return Err(Error::Binding {
                var: var.0,
                expected_len: info.len,
                expected: info.dtype,
                found_len: buffer.len(),
                found: buffer.dtype(),
            });
        }
        self.memory.buffers[var.0] = Some(buffer.clone());
        Ok(())
    }

    /// Places the intermediate values in `arena`, which other programs may use in between:
    /// nothing in it outlives a run of both segments.
    ///
    /// # Errors
    /// If the arena has fewer bytes than [`Program::arena_bytes`].
    pub fn place(&mut self, arena: &Buffer) -> Result<()> {
        if arena.byte_len() < self.layout.bytes {
            let (found, expected) = (arena.byte_len(), self.layout.bytes);
            return Err(Error::Extent { op: "place", what: "arena (bytes)", found, expected });
        }
        for (var, offset) in self.layout.offsets.iter().enumerate() {
            if let Some(offset) = *offset {
                let info = &self.vars[var];
                let buffer = arena.reinterpret(offset, info.dtype, info.len)?;
                self.memory.buffers[var] = Some(buffer);
            }
        }
        Ok(())
    }

    /// A new arena for this program alone.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn place_alone(&mut self, device: &mut dyn Device) -> Result<()> {
        let arena = device.alloc(DType::F32, self.arena_bytes().div_ceil(4))?;
        self.place(&arena)
    }

    /// The buffer of a value: bound, or placed in the arena, where it holds its contents until
    /// its last use.
    ///
    /// # Errors
    /// If it has none yet.
    pub fn buffer(&self, var: Var) -> Result<&Buffer> {
        self.memory.get(var)
    }

    /// Runs a part of the program.
    ///
    /// # Errors
    /// The first refusal of the device.
    pub fn run(&self, segment: Segment, device: &mut dyn Device) -> Result<()> {
        for step in self.part(segment) {
            step.run(&self.memory, device)?;
        }
        Ok(())
    }

    /// Runs a part of the program, and adds the time of each operation on the device's clock; on a
    /// device that has none, waits after each.
    ///
    /// # Errors
    /// The first refusal of the device.
    pub fn run_profiled(
        &self,
        segment: Segment,
        device: &mut dyn Device,
        profile: &mut Profile,
    ) -> Result<()> {
        let mut marks = vec![device.mark()?];
        for step in self.part(segment) {
            step.run(&self.memory, device)?;
            marks.push(device.mark()?);
        }
        for (step, ends) in self.part(segment).iter().zip(marks.windows(2)) {
            let seconds = device.seconds_between(&ends[0], &ends[1])?;
            let entry = profile.by_operation.entry(step.name()).or_default();
            entry.0 += 1;
            entry.1 += Duration::from_secs_f64(seconds.max(0.0));
        }
        Ok(())
    }

    fn part(&self, segment: Segment) -> &[Box<dyn Step>] {
        match segment {
            Segment::Forward => &self.steps[..self.forward],
            Segment::Backward => &self.steps[self.forward..],
            Segment::All => &self.steps,
        }
    }
}
