//! Where the variables of a function lie.

use std::collections::HashMap;
use std::ops::Range;

use crate::vm::ast::{AddressBase, Function, Module, Operand, Space, Variable};

/// Addresses of symbols, each in its own space.
pub(super) struct Layout<'a> {
    symbols: HashMap<&'a str, (Space, u64)>,
    /// Extents of the static shared variables, ascending.
    pub(super) shared: Vec<Range<u32>>,
    /// Where dynamic shared memory begins.
    pub(super) dynamic: u32,
    /// Bytes of local memory of a thread.
    pub(super) local: u32,
}

/// Names of symbols that a function mentions.
fn mentions(function: &Function, name: &str) -> bool {
    fn operand(x: &Operand, name: &str) -> bool {
        match x {
            Operand::Symbol { name: found, .. }
            | Operand::Address { base: AddressBase::Symbol(found), .. } => found == name,
            Operand::Vector(parts) => parts.iter().any(|part| operand(part, name)),
            _ => false,
        }
    }
    function.body.iter().any(|inst| inst.operands.iter().any(|x| operand(x, name)))
}

fn place(at: &mut u64, variable: &Variable, bytes: u64) -> Result<u64, String> {
    let start = at.next_multiple_of(variable.align.max(1) as u64);
    *at = start.saturating_add(bytes);
    match u32::try_from(*at) {
        Ok(end) if end < u32::MAX / 2 => Ok(start),
        _ => Err(format!("{} takes {bytes} bytes: more than any device has", variable.name)),
    }
}

impl<'a> Layout<'a> {
    /// `outside` has the addresses of the module's global and const variables.
    pub(super) fn new(
        module: &'a Module,
        function: &'a Function,
        outside: &'a [super::Variable],
    ) -> Result<Self, String> {
        let mut symbols: HashMap<&str, (Space, u64)> = HashMap::new();
        for (name, space, address) in outside {
            symbols.insert(name, (*space, *address));
        }
        let (mut shared, mut local) = (0, 0);
        let mut regions = Vec::new();
        let mut dynamic: Vec<&Variable> = Vec::new();
        let used = module.variables.iter().filter(|variable| mentions(function, &variable.name));
        for variable in used.chain(&function.variables) {
            let at = match (variable.space, variable.bytes) {
                (Space::Shared, Some(bytes)) => {
                    let at = place(&mut shared, variable, bytes)?;
                    regions.push(at as u32..(at + bytes) as u32);
                    at
                }
                (Space::Shared, None) => {
                    dynamic.push(variable);
                    continue;
                }
                (Space::Local, Some(bytes)) => place(&mut local, variable, bytes)?,
                _ => continue,
            };
            symbols.insert(&variable.name, (variable.space, at));
        }
        // All of them begin at one place, as on the hardware.
        let align = dynamic.iter().map(|variable| variable.align.max(1)).max().unwrap_or(1);
        let start = shared.next_multiple_of(align as u64);
        for variable in &dynamic {
            symbols.insert(&variable.name, (Space::Shared, start));
        }
        for parameter in &function.parameters {
            symbols.insert(&parameter.name, (Space::Param, parameter.offset as u64));
        }
        Ok(Self { symbols, shared: regions, dynamic: start as u32, local: local as u32 })
    }

    /// Space of a symbol and its address there.
    pub(super) fn symbol(&self, name: &str) -> Result<(Space, u64), String> {
        self.symbols.get(name).copied().ok_or_else(|| format!("unknown symbol {name}"))
    }
}
