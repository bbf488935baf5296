//! From parsed instructions to decoded ones. [`table::ROWS`] has a row per mnemonic; a form that
//! no row takes whole is an error that names it.

mod arithmetic;
mod control;
mod convert;
mod data;
mod integer;
mod lanes;
mod layout;
mod matrix;
mod modifiers;
mod operands;
mod registers;
mod table;

use self::layout::Layout;
use self::modifiers::Modifiers;
use self::operands::Context;
use super::ast::{Function, Instruction, Module, Space};
use super::cfg;
use super::error::VmError;
use super::inst::{Class, Inst, Op};
use super::program::Kernel;

/// A decoded operation with what it counts as.
struct Decoded {
    op: Op,
    class: Class,
    flops: u16,
}

impl Decoded {
    fn new(class: Class, op: Op) -> Self {
        Self { op, class, flops: 0 }
    }

    fn with_flops(self, flops: u16) -> Self {
        Self { flops, ..self }
    }
}

/// A variable outside functions: its name, its space and its address there.
pub(in crate::vm) type Variable = (String, Space, u64);

/// Where a branch goes and where its lanes meet again.
#[derive(Clone, Copy)]
struct Flow {
    meet: u32,
}

/// Decodes one entry point. `outside` has the addresses of the module's global and const
/// variables; `text` gives the lines for messages.
pub(super) fn decode(
    module: &Module,
    function: &Function,
    outside: &[Variable],
    line: &dyn Fn(u32) -> String,
) -> Result<Kernel, VmError> {
    let at_function = |message: String| VmError::Decode {
        kernel: function.name.clone(),
        line: function.body.first().map_or(0, |inst| inst.line),
        text: function.name.clone(),
        message,
    };
    let layout = Layout::new(module, function, outside).map_err(at_function)?;
    let allocation = registers::allocate(function).map_err(at_function)?;
    let slots = allocation.slots.clone();
    let mut context = Context::new(function, &layout, allocation);
    let meeting = cfg::reconvergence(function);
    let mut code = Vec::with_capacity(function.body.len());
    for (index, inst) in function.body.iter().enumerate() {
        let meet = meeting.get(index).copied().unwrap_or(function.body.len()) as u32;
        let decoded = instruction(&mut context, inst, Flow { meet });
        code.push(decoded.map_err(|message| VmError::Decode {
            kernel: function.name.clone(),
            line: inst.line,
            text: line(inst.line),
            message,
        })?);
    }
    let subsets = code.iter().any(|inst| match inst.op {
        Op::Barrier { threads, arrive, .. } => arrive || threads != super::inst::NONE,
        _ => false,
    });
    Ok(Kernel {
        name: function.name.clone(),
        parameters: function.parameters.clone(),
        required_threads: function.required_threads,
        maximum_threads: function.maximum_threads,
        code,
        issued: Vec::new(),
        function: function.clone(),
        slots,
        words: context.words,
        doubles: context.doubles,
        predicates: context.predicates,
        presets: std::mem::take(&mut context.presets),
        shared: layout.shared.clone(),
        dynamic: layout.dynamic,
        local: layout.local,
        subsets,
    })
}

fn instruction<'a>(
    context: &mut Context<'a>,
    inst: &'a Instruction,
    flow: Flow,
) -> Result<Inst, String> {
    context.operands = &inst.operands;
    let guard = context.guard(inst.guard)?;
    let mut modifiers = Modifiers::new(&inst.opcode);
    let row = table::find(modifiers.base())
        .ok_or_else(|| format!("unknown instruction {}", modifiers.base()))?;
    let decoded = row(context, &mut modifiers, flow)?;
    modifiers.finish()?;
    Ok(Inst {
        guard: guard.slot,
        negated: guard.negated,
        class: decoded.class,
        flops: decoded.flops,
        op: decoded.op,
    })
}
