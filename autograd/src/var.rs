//! Values: what the tape knows of each.

use ltm_engine::DType;

/// A value on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var(pub(crate) usize);

/// What happens to the buffer that receives the gradient of an external value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientMode {
    /// The gradient replaces the contents; if nothing flows into the value, they stay as they are.
    Overwrite,
    /// The gradient is added to the contents, as for weights over many passes.
    Add,
}

/// The value whose memory a value lies in: itself, unless it is a part.
pub(crate) fn whole(vars: &[VarInfo], var: Var) -> Var {
    vars[var.0].part_of.map_or(var, |(whole, _)| whole)
}

#[derive(Clone, Debug)]
pub(crate) struct VarInfo {
    pub(crate) dtype: DType,
    pub(crate) len: usize,
    pub(crate) external: bool,
    /// Whether a gradient with respect to some external value flows through this one.
    pub(crate) needs_gradient: bool,
    /// For an external value: where its gradient goes.
    pub(crate) gradient: Option<(Var, GradientMode)>,
    /// The value that this one is a part of, and at which element it begins there. Both are of one
    /// type and owned by the program.
    pub(crate) part_of: Option<(Var, usize)>,
}
