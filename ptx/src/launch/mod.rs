//! How a kernel is launched: its entry point, its grid, and its arguments.

pub mod adamw;
pub mod add;
pub mod embedding;
pub mod gaussian;
mod head_width;
pub mod latent_attention;
pub mod latent_block;
pub mod linear;
pub mod linear_cross_entropy;
pub mod linear_rms_norm;
pub mod linear_swiglu;
pub mod normal;
pub mod rms_norm;
mod rows;
pub mod sample;
pub mod swiglu;
pub mod trace;
pub mod window_attention;

pub use head_width::HeadWidth;

/// One kernel: its name in the PTX and the module that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryPoint {
    /// `{operation}_{forward|backward}_{f32|bf16}`.
    pub name: &'static str,
    /// Name of the compiled module, without its extension: the operation.
    pub module: &'static str,
}

/// Storage type of activations and weights; arithmetic is in f32 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// IEEE binary32.
    F32,
    /// bfloat16: the upper half of binary32.
    Bf16,
}

impl Storage {
    /// Bytes of a number.
    pub const fn size(self) -> usize {
        match self {
            Storage::F32 => 4,
            Storage::Bf16 => 2,
        }
    }

    /// One of two entry points.
    pub const fn pick(
        self,
        f32: &'static EntryPoint,
        bf16: &'static EntryPoint,
    ) -> &'static EntryPoint {
        match self {
            Storage::F32 => f32,
            Storage::Bf16 => bf16,
        }
    }
}

/// One argument of a kernel, as its parameter is declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// A device address; 0 for a pointer that is not there.
    Pointer(u64),
    /// `unsigned int`.
    U32(u32),
    /// `int`.
    I32(i32),
    /// `unsigned long long`.
    U64(u64),
    /// `float`.
    F32(f32),
    /// `double`.
    F64(f64),
}

impl Arg {
    /// Bytes of the parameter.
    pub const fn size(&self) -> usize {
        match self {
            Arg::U32(_) | Arg::I32(_) | Arg::F32(_) => 4,
            Arg::Pointer(_) | Arg::U64(_) | Arg::F64(_) => 8,
        }
    }

    /// The bytes of the parameter, little-endian, in the low [`Arg::size`] bytes.
    pub fn bits(&self) -> u64 {
        match *self {
            Arg::Pointer(x) | Arg::U64(x) => x,
            Arg::U32(x) => x as u64,
            Arg::I32(x) => x as u32 as u64,
            Arg::F32(x) => x.to_bits() as u64,
            Arg::F64(x) => x.to_bits(),
        }
    }
}

/// A launch, ready for a driver.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What runs.
    pub entry: &'static EntryPoint,
    /// Blocks in x, y, z; each at least 1.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block, bytes.
    pub shared_bytes: u32,
    /// Arguments in the order of the parameters.
    pub args: Vec<Arg>,
}

/// A compiled module: one `.ptx` file, the kernels of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Name of the operation and of the file, without its extension.
    pub name: &'static str,
    /// Text of the file.
    pub ptx: &'static str,
}

/// Every kernel of this version, operation by operation.
pub fn entry_points() -> impl Iterator<Item = &'static EntryPoint> {
    [
        add::ENTRY_POINTS,
        adamw::ENTRY_POINTS,
        embedding::ENTRY_POINTS,
        gaussian::ENTRY_POINTS,
        latent_attention::ENTRY_POINTS,
        latent_block::ENTRY_POINTS,
        linear::ENTRY_POINTS,
        linear_cross_entropy::ENTRY_POINTS,
        linear_rms_norm::ENTRY_POINTS,
        linear_swiglu::ENTRY_POINTS,
        normal::ENTRY_POINTS,
        rms_norm::ENTRY_POINTS,
        sample::ENTRY_POINTS,
        swiglu::ENTRY_POINTS,
        trace::ENTRY_POINTS,
        window_attention::ENTRY_POINTS,
    ]
    .into_iter()
    .flatten()
}

/// The compiled modules of this version.
pub fn modules() -> impl Iterator<Item = &'static Module> {
    const MODULES: &[Module] = &[
        add::MODULE,
        adamw::MODULE,
        embedding::MODULE,
        gaussian::MODULE,
        latent_attention::MODULE,
        latent_block::MODULE,
        linear::MODULE,
        linear_cross_entropy::MODULE,
        linear_rms_norm::MODULE,
        linear_swiglu::MODULE,
        normal::MODULE,
        rms_norm::MODULE,
        sample::MODULE,
        swiglu::MODULE,
        trace::MODULE,
        window_attention::MODULE,
    ];
    MODULES.iter()
}

/// The compiled module of this name.
pub fn module(name: &str) -> Option<&'static Module> {
    modules().find(|module| module.name == name)
}
