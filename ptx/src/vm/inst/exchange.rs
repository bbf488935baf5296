//! What lanes and warps do together.

/// Which lane a shuffle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// A reduction over lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redux {
    Add,
    MinS,
    MinU,
    MaxS,
    MaxU,
    And,
    Or,
    Xor,
}

/// Reduction of a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierResult {
    None,
    Popc,
    And,
    Or,
}

/// Shape and element type of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    Bf16K16,
    Bf16K8,
    F16K16,
    F16K8,
    Tf32K8,
    Tf32K4,
}
