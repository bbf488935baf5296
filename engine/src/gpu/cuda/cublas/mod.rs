//! Matrix products by cuBLASLt, where it is there and was chosen.
//!
//! Descriptors and the library's choice of algorithm are made once for a shape; the workspace is
//! taken before anything else, so that a product allocates nothing and a capture can hold it. The
//! library is asked for sums in a fixed order alone, so a shape gives the same bits in every run
//! with the same library on the same GPU.

mod functions;
mod library;
mod remembered;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use super::api::Handle;
use crate::gpu::product::{By, Gemm, Product, ProductChoices, ProductShape};

pub use library::{CublasLt, version};
pub use remembered::{Measured, Remembered};

/// Bytes that a product may work in: what NVIDIA recommends for its newest GPUs.
pub const WORKSPACE: usize = 32 << 20;
/// Bytes on which every matrix must begin to be computed by the library.
pub const ALIGNMENT: u64 = 16;

/// What a call of the library returned, other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// No algorithm does what is asked for.
    pub const NOT_SUPPORTED: Status = Status(15);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "CUBLAS_STATUS_NOT_INITIALIZED",
            3 => "CUBLAS_STATUS_ALLOC_FAILED",
            7 => "CUBLAS_STATUS_INVALID_VALUE",
            8 => "CUBLAS_STATUS_ARCH_MISMATCH",
            11 => "CUBLAS_STATUS_MAPPING_ERROR",
            13 => "CUBLAS_STATUS_EXECUTION_FAILED",
            14 => "CUBLAS_STATUS_INTERNAL_ERROR",
            15 => "CUBLAS_STATUS_NOT_SUPPORTED",
            _ => return write!(f, "cuBLAS status {}", self.0),
        };
        write!(f, "{name} ({})", self.0)
    }
}

/// A library of matrix products: cuBLASLt, or in tests something that does what it is told to. The
/// context is current when it is called.
pub trait ProductLibrary: Send + Sync {
    /// Its version.
    fn version(&self) -> String;
    /// Everything that products of a shape need; `None` if the library does not offer them. Takes
    /// [`WORKSPACE`] bytes for granted.
    fn plan(&self, shape: &ProductShape) -> Result<Option<Box<dyn Planned>>, Status>;
}

/// A product that is ready to be computed.
pub trait Planned: Send {
    /// Puts it into a stream.
    ///
    /// # Safety
    /// The product is of the planned shape; its matrices are memory of the current context, and so
    /// are [`WORKSPACE`] bytes at `workspace`, which nothing else in another stream uses.
    unsafe fn run(&self, product: &Product, workspace: u64, stream: Handle) -> Result<(), Status>;
}

/// The library in use, and what is known of each shape.
pub struct Products {
    // Plans go before the library that made them.
    plans: HashMap<ProductShape, Option<Box<dyn Planned>>>,
    library: Box<dyn ProductLibrary>,
    /// Who is asked for, and under [`Gemm::Auto`] what was chosen.
    gemm: Gemm,
    chosen: ProductChoices,
    /// Address of the workspace.
    pub workspace: u64,
}

impl Products {
    /// Nothing is planned yet; `kept` are choices of an earlier process.
    pub fn new(
        library: Box<dyn ProductLibrary>,
        gemm: Gemm,
        kept: &ProductChoices,
        workspace: u64,
    ) -> Self {
        let chosen =
            ProductChoices { library: Some(library.version()), chosen: kept.chosen.clone() };
        Self { plans: HashMap::new(), library, gemm, chosen, workspace }
    }

    /// Version of the library.
    pub fn version(&self) -> String {
        self.library.version()
    }

    /// What was chosen so far.
    pub fn chosen(&self) -> &ProductChoices {
        &self.chosen
    }

    /// Whether a choice is to be measured.
    pub fn is_open(&self, shape: &ProductShape) -> bool {
        self.gemm == Gemm::Auto && !self.chosen.chosen.contains_key(&shape.to_string())
    }

    /// Writes a choice down.
    pub fn choose(&mut self, shape: &ProductShape, by: By) {
        self.chosen.chosen.insert(shape.to_string(), by);
    }

    /// Whether the library is to compute products of this shape at these addresses, if it can.
    pub fn wants(&self, product: &Product) -> bool {
        let Product { shape, activations, other, addend, out } = product;
        let aligned = |address: &u64| address.is_multiple_of(ALIGNMENT);
        let chosen = match self.gemm {
            Gemm::Own => false,
            Gemm::Cublas => true,
            Gemm::Auto => self.chosen.chosen.get(&shape.to_string()) == Some(&By::Cublas),
        };
        chosen
            && [activations, other, out].into_iter().all(aligned)
            && (!shape.added || aligned(addend))
    }

    /// Whether nothing is left to be planned.
    pub fn is_planned(&self, shape: &ProductShape) -> bool {
        self.plans.contains_key(shape)
    }

    /// The plan of a shape, if the library offers one.
    ///
    /// # Errors
    /// What the library returns.
    pub fn plan(&mut self, shape: &ProductShape) -> Result<Option<&dyn Planned>, Status> {
        let plan = match self.plans.entry(*shape) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.library.plan(shape)?),
        };
        Ok(plan.as_deref())
    }
}
