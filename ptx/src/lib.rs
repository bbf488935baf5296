//! Entry points of the GPU kernels. See README.md.

/// One kernel: its name in the PTX and the module that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// `{operation}_{forward|backward}_{f32|bf16}`.
    pub name: &'static str,
    /// Name of the compiled module, without its extension.
    pub module: &'static str,
}

/// Every kernel of this version.
pub const ENTRY_POINTS: &[EntryPoint] = &[];
