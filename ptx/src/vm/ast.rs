//! What the parser makes of a PTX module: names resolved, opcodes still text.

/// State spaces of PTX (PTX ISA, "State Spaces").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Device memory that every thread of a grid sees.
    Global,
    /// Read-only device memory with initial values.
    Const,
    /// Memory of one block.
    Shared,
    /// Memory of one thread.
    Local,
    /// Arguments of an entry point.
    Param,
}

/// Fundamental types of PTX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    F32,
    F64,
}

impl Type {
    /// Bytes of a value; 1 for a predicate.
    pub const fn size(self) -> u32 {
        match self {
            Type::Pred | Type::B8 | Type::U8 | Type::S8 => 1,
            Type::B16 | Type::U16 | Type::S16 | Type::F16 | Type::Bf16 => 2,
            Type::B32
            | Type::U32
            | Type::S32
            | Type::F16x2
            | Type::Bf16x2
            | Type::Tf32
            | Type::F32 => 4,
            Type::B64 | Type::U64 | Type::S64 | Type::F64 => 8,
            Type::B128 => 16,
        }
    }
}

/// A virtual register of one function: an index into [`Function::registers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegisterId(pub u32);

/// A declared register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Name as written, `%r7`; registers of inner scopes may repeat a name.
    pub name: String,
    /// Declared type.
    pub ty: Type,
}

/// A variable in a state space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name as written.
    pub name: String,
    /// Where it lives.
    pub space: Space,
    /// Alignment in bytes: the stated one, or that of the type.
    pub align: u32,
    /// Extent in bytes; `None` for `extern .shared x[]`, whose extent the launch decides.
    pub bytes: Option<u64>,
    /// Initial contents; empty where none is given (then zero for global and const).
    pub initial: Vec<u8>,
}

/// A parameter of an entry point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name as written.
    pub name: String,
    /// Offset in the parameter block, after alignment.
    pub offset: u32,
    /// Extent in bytes.
    pub bytes: u32,
    /// Type of an element.
    pub ty: Type,
}

/// A parsed `.ptx` file.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// `.version major.minor`.
    pub version: (u32, u32),
    /// `.target`, for example `sm_80`.
    pub target: String,
    /// `.file` table: number and path.
    pub files: Vec<(u32, String)>,
    /// Variables outside functions (global, const, shared).
    pub variables: Vec<Variable>,
    /// Entry points, in order.
    pub functions: Vec<Function>,
}

/// An entry point.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Name.
    pub name: String,
    /// Parameters, in order.
    pub parameters: Vec<Parameter>,
    /// All registers of all scopes.
    pub registers: Vec<Register>,
    /// Shared and local variables declared inside.
    pub variables: Vec<Variable>,
    /// `.reqntid`, where given.
    pub required_threads: Option<[u32; 3]>,
    /// `.maxntid`, where given.
    pub maximum_threads: Option<[u32; 3]>,
    /// Instructions in order; a branch names the index of its target.
    pub body: Vec<Instruction>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// `@p` or `@!p`: the predicate and whether it is negated.
    pub guard: Option<(RegisterId, bool)>,
    /// Mnemonic with all its modifiers as written, `ld.global.nc.v4.f32`.
    pub opcode: String,
    /// Operands in order, destination first.
    pub operands: Vec<Operand>,
    /// Line in the PTX text, from 1.
    pub line: u32,
    /// Line of the CUDA source from the last `.loc`: file number and line, from 1.
    pub source: Option<(u32, u32)>,
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register.
    Register(RegisterId),
    /// `!%p`.
    Not(RegisterId),
    /// `%tid.x`, `%laneid`, `%clock64`, `WARP_SZ`...: name as written.
    Special(String),
    /// An integer, two's complement in 64 bits.
    Integer(i64),
    /// `0f3F800000`: the bits.
    F32(u32),
    /// `0d3FF0000000000000`: the bits.
    F64(u64),
    /// Target of a branch: index into [`Function::body`] (its length for a label at the end).
    Label(usize),
    /// A variable or parameter by name, where its address or value is meant (`mov.u64 %rd, x`,
    /// `x+8`).
    Symbol {
        /// Name as written.
        name: String,
        /// Bytes added.
        offset: i64,
    },
    /// `[base+offset]`.
    Address {
        /// What the offset is added to.
        base: AddressBase,
        /// Bytes.
        offset: i64,
    },
    /// `[map, {c0, c1, ...}]`: coordinates in what a tensor map describes.
    TensorAddress {
        /// Where the tensor map lies.
        base: AddressBase,
        /// Bytes added to the base.
        offset: i64,
        /// One per extent of the tensor.
        coordinates: Vec<Operand>,
    },
    /// `{a, b, ...}`.
    Vector(Vec<Operand>),
    /// `d|p`.
    Pair(Box<Operand>, Box<Operand>),
    /// `_`: a result that is dropped.
    Sink,
}

/// Base of an address.
#[derive(Clone, Debug, PartialEq)]
pub enum AddressBase {
    /// The value of a register.
    Register(RegisterId),
    /// A variable or parameter.
    Symbol(String),
    /// The offset alone.
    Absolute,
}
