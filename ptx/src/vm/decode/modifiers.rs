//! The parts of an opcode. Every part must be taken by someone: what is left over is an error.

use crate::vm::ast::Type;

/// Modifiers of an opcode that nothing has taken yet, in order.
pub(super) struct Modifiers<'a> {
    base: &'a str,
    left: Vec<&'a str>,
}

impl<'a> Modifiers<'a> {
    /// Splits an opcode.
    pub(super) fn new(opcode: &'a str) -> Self {
        let mut parts = opcode.split('.');
        let base = parts.next().unwrap_or("");
        Self { base, left: parts.collect() }
    }

    /// Mnemonic without modifiers.
    pub(super) fn base(&self) -> &'a str {
        self.base
    }

    /// Takes a modifier if it is there.
    pub(super) fn take(&mut self, name: &str) -> bool {
        let at = self.left.iter().position(|&part| part == name);
        at.map(|at| self.left.remove(at)).is_some()
    }

    /// Takes the first modifier that the table knows.
    pub(super) fn one_of<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let known = |part: &str| table.iter().find(|(name, _)| *name == part).map(|(_, x)| *x);
        let at = self.left.iter().position(|&part| known(part).is_some())?;
        known(self.left.remove(at))
    }

    /// As [`Modifiers::one_of`], where one must be there.
    pub(super) fn need<T: Copy>(&mut self, what: &str, table: &[(&str, T)]) -> Result<T, String> {
        self.one_of(table).ok_or_else(|| format!("{} needs {what}", self.base))
    }

    /// Takes the next type.
    pub(super) fn ty(&mut self) -> Result<Type, String> {
        self.need("a type", TYPES)
    }

    /// Takes modifiers that change nothing for a machine without caches: hints on what to keep,
    /// and the strength and scope of an access that is already in order.
    pub(super) fn drop_hints(&mut self) {
        const HINTS: &[&str] = &[
            "nc",
            "ca",
            "cg",
            "cs",
            "lu",
            "cv",
            "wb",
            "wt",
            "volatile",
            "relaxed",
            "acquire",
            "release",
            "acq_rel",
            "weak",
            "cta",
            "gpu",
            "sys",
            "cluster",
            "L1::no_allocate",
            "L1::evict_normal",
            "L1::evict_first",
            "L1::evict_last",
            "L1::evict_unchanged",
            "L2::evict_first",
            "L2::evict_last",
            "L2::evict_normal",
            "L2::64B",
            "L2::128B",
            "L2::256B",
        ];
        self.left.retain(|part| !HINTS.contains(part));
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.left.first() {
            None => Ok(()),
            Some(part) => {
                Err(format!("modifier .{part} is not one that this form of {} has", self.base))
            }
        }
    }
}

const TYPES: &[(&str, Type)] = &[
    ("pred", Type::Pred),
    ("b8", Type::B8),
    ("b16", Type::B16),
    ("b32", Type::B32),
    ("b64", Type::B64),
    ("u8", Type::U8),
    ("u16", Type::U16),
    ("u32", Type::U32),
    ("u64", Type::U64),
    ("s8", Type::S8),
    ("s16", Type::S16),
    ("s32", Type::S32),
    ("s64", Type::S64),
    ("f16", Type::F16),
    ("f16x2", Type::F16x2),
    ("bf16", Type::Bf16),
    ("bf16x2", Type::Bf16x2),
    ("tf32", Type::Tf32),
    ("f32", Type::F32),
    ("f64", Type::F64),
];
