//! Names of a function: registers and labels by scope, and what every scope may name.

use std::collections::{HashMap, HashSet};

use crate::vm::ast::{Module, RegisterId, Type};

/// One pair of braces in a body.
#[derive(Default)]
pub struct Scope<'a> {
    /// Registers declared here.
    pub registers: HashMap<String, RegisterId>,
    /// Labels that stand here, and the instruction that follows each.
    pub labels: HashMap<&'a str, usize>,
    /// Branches whose target has not been found yet.
    pub pending: Vec<Pending<'a>>,
}

/// A branch to a label that may come later.
pub struct Pending<'a> {
    /// The branch: index of the instruction.
    pub instruction: usize,
    /// Its label.
    pub label: &'a str,
    /// Its line.
    pub line: u32,
}

/// Variables and parameters that operands may name.
#[derive(Default)]
pub struct Symbols(HashSet<String>);

impl Symbols {
    /// Those outside functions.
    pub fn of_module(module: &Module) -> Self {
        Self(module.variables.iter().map(|variable| variable.name.clone()).collect())
    }

    /// Adds one; false where it is there already.
    pub fn add(&mut self, name: &str) -> bool {
        self.0.insert(name.to_owned())
    }

    /// Whether it is declared.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// The fundamental type of this name, with its dot.
pub fn type_of(word: &str) -> Option<Type> {
    Some(match word {
        ".pred" => Type::Pred,
        ".b8" => Type::B8,
        ".b16" => Type::B16,
        ".b32" => Type::B32,
        ".b64" => Type::B64,
        ".b128" => Type::B128,
        ".u8" => Type::U8,
        ".u16" => Type::U16,
        ".u32" => Type::U32,
        ".u64" => Type::U64,
        ".s8" => Type::S8,
        ".s16" => Type::S16,
        ".s32" => Type::S32,
        ".s64" => Type::S64,
        ".f16" => Type::F16,
        ".f16x2" => Type::F16x2,
        ".bf16" => Type::Bf16,
        ".bf16x2" => Type::Bf16x2,
        ".tf32" => Type::Tf32,
        ".f32" => Type::F32,
        ".f64" => Type::F64,
        _ => return None,
    })
}

/// Whether PTX predefines a register (or constant) of this name.
pub fn is_special(name: &str) -> bool {
    const VECTORS: [&str; 8] = [
        "%tid",
        "%ntid",
        "%ctaid",
        "%nctaid",
        "%clusterid",
        "%nclusterid",
        "%cluster_ctaid",
        "%cluster_nctaid",
    ];
    const NUMBERED: [(&str, u32); 3] = [("%pm", 8), ("%envreg", 32), ("%reserved_smem_offset_", 2)];
    const SCALARS: [&str; 26] = [
        "WARP_SZ",
        "%laneid",
        "%warpid",
        "%nwarpid",
        "%smid",
        "%nsmid",
        "%gridid",
        "%lanemask_eq",
        "%lanemask_le",
        "%lanemask_lt",
        "%lanemask_ge",
        "%lanemask_gt",
        "%clock",
        "%clock_hi",
        "%clock64",
        "%globaltimer",
        "%globaltimer_lo",
        "%globaltimer_hi",
        "%total_smem_size",
        "%dynamic_smem_size",
        "%aggr_smem_size",
        "%is_explicit_cluster",
        "%cluster_ctarank",
        "%cluster_nctarank",
        "%current_graph_exec",
        "%reserved_smem_offset_cap",
    ];
    let vector = || {
        let (base, component) = name.split_once('.')?;
        (VECTORS.contains(&base) && matches!(component, "x" | "y" | "z" | "w")).then_some(())
    };
    let numbered = |(prefix, count): (&str, u32)| {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
        number.is_some_and(|number| number < count)
    };
    SCALARS.contains(&name) || vector().is_some() || NUMBERED.into_iter().any(numbered)
}
