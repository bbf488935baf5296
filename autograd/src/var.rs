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

#[derive(Clone, Debug)]
pub(crate) struct VarInfo {
    pub(crate) dtype: DType,
    pub(crate) len: usize,
    pub(crate) external: bool,
    /// Whether a gradient with respect to some external value flows through this one.
    pub(crate) needs_gradient: bool,
    /// For an external value: where its gradient goes.
    pub(crate) gradient: Option<(Var, GradientMode)>,
}
