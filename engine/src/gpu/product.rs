//! Matrix products that a library of the GPU's vendor may compute in place of a kernel of ours.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ltm_ptx::{Launch, Storage};
use serde::{Deserialize, Serialize};

use super::{Driver, Gpu};
use crate::{Error, Result};

/// Who computes matrix products on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gemm {
    /// Our kernels.
    Own,
    /// cuBLASLt, wherever it offers a product.
    Cublas,
    /// For each shape whoever was faster when training began; our kernels where nothing was
    /// measured, and where there is no cuBLASLt.
    #[default]
    Auto,
}

impl Gemm {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Gemm::Own => "own",
            Gemm::Cublas => "cublas",
            Gemm::Auto => "auto",
        }
    }

    /// Whether a device that has no library but our kernels can do with this.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the library is asked for by name.
    pub(crate) fn without_library(self, device: impl FnOnce() -> String) -> Result<()> {
        match self {
            Gemm::Own | Gemm::Auto => Ok(()),
            Gemm::Cublas => Err(Error::Unavailable {
                device: device(),
                reason: "has no cuBLASLt; use --gemm own or auto, or --device cuda".into(),
            }),
        }
    }
}

impl FromStr for Gemm {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match name {
            "own" => Ok(Gemm::Own),
            "cublas" => Ok(Gemm::Cublas),
            "auto" => Ok(Gemm::Auto),
            _ => Err("expected own, cublas or auto".to_owned()),
        }
    }
}

impl fmt::Display for Gemm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who computes the products of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Our kernels.
    Own,
    /// cuBLASLt.
    Cublas,
}

/// What was chosen under [`Gemm::Auto`]. Both give the same bits in every run, but not each
/// other's, so a run keeps its choices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductChoices {
    /// Version of the library that was measured; absent where there was none.
    pub library: Option<String>,
    /// By the name of the shape, as [`ProductShape`] is displayed.
    pub chosen: BTreeMap<String, By>,
}

/// Which product of a linear map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProductKind {
    /// `out[rows, outer] = x[rows, inner] weight[outer, inner]^T (+ residual)`.
    Forward,
    /// `d_x[rows, inner] (+)= d_out[rows, outer] weight[outer, inner]`.
    BackwardInput,
    /// `d_weight[outer, inner] += d_out[rows, outer]^T x[rows, inner]`, the sum in f32.
    BackwardWeight,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProductShape {
    /// Which product.
    pub kind: ProductKind,
    /// Rows of the activations.
    pub rows: u32,
    /// Input features.
    pub inner: u32,
    /// Output features.
    pub outer: u32,
    /// Whether the product is added to something.
    pub added: bool,
    /// Storage of the factors.
    pub storage: Storage,
}

impl fmt::Display for ProductShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ProductKind::Forward => "forward",
            ProductKind::BackwardInput => "backward_input",
            ProductKind::BackwardWeight => "backward_weight",
        };
        let storage = match self.storage {
            Storage::F32 => "f32",
            Storage::Bf16 => "bf16",
        };
        let added = if self.added { " added" } else { "" };
        write!(f, "{kind} {}x{}x{} {storage}{added}", self.rows, self.inner, self.outer)
    }
}

/// A product with its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Extents and types; none of the extents is 0.
    pub shape: ProductShape,
    /// `x`; `d_out` of both gradients.
    pub activations: u64,
    /// `weight`; `x` of the weight's gradient.
    pub other: u64,
    /// What the product is added to; of no meaning unless `shape.added`.
    pub addend: u64,
    /// Where it goes; may be the addend.
    pub out: u64,
}

impl<D: Driver> Gpu<D> {
    /// Computes a product by whom it was chosen for; `own` are the launches of our kernels.
    pub(super) fn multiply(&mut self, product: &Product, own: &[Launch]) -> Result<()> {
        // Nothing to launch is nothing to compute.
        if own.is_empty() {
            return Ok(());
        }
        if self.rehearsing {
            own.iter().try_for_each(|launch| self.driver.prepare(launch.entry))?;
            return self.driver.prepare_product(product, own);
        }
        match self.driver.product(product)? {
            true => Ok(()),
            false => own.iter().try_for_each(|launch| self.driver.launch(launch)),
        }
    }

    /// Computes a product by whom it was chosen for, and what `after` makes of it; `own` are the
    /// launches of our kernels for the product by itself, `both` those that do all of it.
    pub(super) fn multiply_and(
        &mut self,
        product: &Product,
        own: &[Launch],
        after: &[Launch],
        both: &[Launch],
    ) -> Result<()> {
        if self.rehearsing {
            let launches = own.iter().chain(after).chain(both);
            launches.into_iter().try_for_each(|launch| self.driver.prepare(launch.entry))?;
            return match own {
                // Nothing to multiply is nothing to choose.
                [] => Ok(()),
                own => self.driver.prepare_product(product, own),
            };
        }
        let launches = match !own.is_empty() && self.driver.product(product)? {
            true => after,
            false => both,
        };
        launches.iter().try_for_each(|launch| self.driver.launch(launch))
    }

    /// Launches what computes several products and more, or, where a library is to compute one of
    /// them, calls `steps`, which computes them one by one.
    pub(super) fn launch_or(
        &mut self,
        launches: &[Launch],
        products: &[Product],
        steps: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if self.rehearsing {
            // Whom the products will be chosen for is found out in the steps.
            launches.iter().try_for_each(|launch| self.driver.prepare(launch.entry))?;
            return steps(self);
        }
        match products.iter().any(|product| self.driver.gives_away(product)) {
            true => steps(self),
            false => launches.iter().try_for_each(|launch| self.driver.launch(launch)),
        }
    }
}
