//! Who computes a matrix product: our kernels or cuBLASLt.

use ltm_ptx::{EntryPoint, Launch};

use super::api::Api;
use super::cublas::{CublasLt, Measured, ProductLibrary, Products, Remembered, WORKSPACE};
use super::error::CudaError;
use super::timing::Timer;
use super::{Code, Cuda};
use crate::gpu::product::{By, Gemm, Product, ProductChoices};
use crate::gpu::{Driver, Release};
use crate::{Error, Result};

/// What the library launches, for errors that list the kernels.
static CUBLAS: EntryPoint = EntryPoint { name: "cublasLtMatmul", module: "cublasLt" };
/// Samples of a product when it is measured, and products of a sample.
const SAMPLES: usize = 5;
const EACH: usize = 3;

/// What a device needs to give products away.
pub struct Vendor {
    products: Products,
    remembered: Remembered,
    /// Gives the workspace back.
    release: Option<Release>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release(self.products.workspace as usize, WORKSPACE);
        }
    }
}

impl Vendor {
    /// Whether the library is to compute a product.
    pub(super) fn wants(&self, product: &Product) -> bool {
        self.products.wants(product)
    }
}

impl<A: Api> Cuda<A> {
    /// Loads cuBLASLt unless nobody wants it.
    pub(super) fn choose(&mut self, gemm: Gemm, kept: &ProductChoices) -> Result<()> {
        if gemm == Gemm::Own {
            self.vendor = None;
            return Ok(());
        }
        self.context.enter().map_err(|code| self.launches.failed("entering the context", code))?;
        match CublasLt::load() {
            Ok(library) => self.choose_from(Box::new(library), gemm, kept),
            Err(CudaError::NoCublas { .. }) if gemm == Gemm::Auto => {
                self.vendor = None;
                Ok(())
            }
            Err(error) => Err(Error::Cuda(error)),
        }
    }

    /// Takes a library into use.
    pub(super) fn choose_from(
        &mut self,
        library: Box<dyn ProductLibrary>,
        gemm: Gemm,
        kept: &ProductChoices,
    ) -> Result<()> {
        self.vendor = None;
        let (workspace, release) = self.alloc(WORKSPACE)?;
        let products = Products::new(library, gemm, kept, workspace);
        let gpu = &self.context.gpu;
        let architecture = gpu.architecture();
        let kernels = ltm_ptx::launch::module("linear").map_or("", |module| module.ptx);
        let version = products.version();
        let key = [gpu.name.as_str(), &architecture, &self.driver, &version, kernels];
        let remembered = Remembered::read(self.options.cache.clone(), &key);
        self.vendor = Some(Vendor { products, remembered, release: Some(release) });
        Ok(())
    }

    /// The choices so far.
    pub(super) fn chosen(&self) -> ProductChoices {
        self.vendor.as_ref().map(|vendor| vendor.products.chosen().clone()).unwrap_or_default()
    }

    /// Computes a product by the library if that is chosen; whether it is.
    pub(super) fn give_away(&mut self, product: &Product) -> Result<bool> {
        let Some(vendor) = &mut self.vendor else { return Ok(false) };
        if !vendor.products.wants(product) {
            return Ok(false);
        }
        // Planning one may load modules, which would break the capture.
        if self.recording.is_some() && !vendor.products.is_planned(&product.shape) {
            return Err(Error::Recording { op: "the first product of a shape" });
        }
        self.context.enter().map_err(|code| self.launches.failed("computing a product", code))?;
        self.run_planned(product)
    }

    /// Puts a product of the library into the compute stream, if it offers the shape. The context
    /// is current.
    fn run_planned(&mut self, product: &Product) -> Result<bool> {
        let Some(Vendor { products, .. }) = &mut self.vendor else { return Ok(false) };
        let (workspace, compute) = (products.workspace, self.context.compute);
        let failed = |call| move |status| Error::Cuda(CudaError::Cublas { call, status });
        let plan = products.plan(&product.shape).map_err(failed("planning a product"))?;
        let Some(plan) = plan else { return Ok(false) };
        // SAFETY: planned for this shape; callers have checked the extents behind the addresses;
        // the workspace is used in the compute stream alone, and lives as long as the plans.
        let put = unsafe { plan.run(product, workspace, compute) };
        put.map_err(failed("computing a product"))?;
        self.recording.as_mut().unwrap_or(&mut self.launches).push(&CUBLAS);
        Ok(true)
    }

    /// Plans a product, and finds out who computes it where that is open. Runs it several times,
    /// so its result is to be of no use yet: this is for a rehearsal, in which all is zero.
    pub(super) fn prepare_given(&mut self, product: &Product, own: &[Launch]) -> Result<()> {
        let Some(Vendor { products, remembered, .. }) = &mut self.vendor else { return Ok(()) };
        self.context.enter().map_err(|code| self.launches.failed("measuring a product", code))?;
        let name = product.shape.to_string();
        if products.is_open(&product.shape) {
            let measured = match remembered.get(&name) {
                Some(measured) => Some(measured),
                None => self.compare(product, own)?,
            };
            let faster = measured.is_some_and(|measured| measured.cublas < measured.own);
            if let Some(Vendor { products, remembered, .. }) = &mut self.vendor {
                products.choose(&product.shape, if faster { By::Cublas } else { By::Own });
                if let Some(measured) = measured.filter(|_| remembered.get(&name).is_none()) {
                    // A full disk is no reason not to train.
                    let _ = remembered.insert(name, measured);
                }
            }
        }
        match self.vendor.as_ref().is_some_and(|vendor| vendor.products.wants(product)) {
            // The first run loads the library's kernel, which a capture could not.
            true => self.run_planned(product).map(|_| ()),
            false => Ok(()),
        }
    }

    /// Seconds of a product by each; `None` if the library does not offer it.
    fn compare(&mut self, product: &Product, own: &[Launch]) -> Result<Option<Measured>> {
        if !self.run_planned(product)? {
            return Ok(None);
        }
        let cublas = self.median(|cuda| cuda.run_planned(product).map(|_| ()))?;
        let run = |cuda: &mut Self| own.iter().try_for_each(|launch| cuda.enqueue(launch));
        run(self)?;
        let own = self.median(run)?;
        Ok(Some(Measured { own, cublas }))
    }

    /// Median seconds of what `run` puts into the compute stream.
    fn median(&mut self, run: impl Fn(&mut Self) -> Result<()>) -> Result<f64> {
        let mut samples = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let from = self.timer()?;
            (0..EACH).try_for_each(|_| run(self))?;
            let to = self.timer()?;
            let seconds = from.seconds_to(&to);
            let seconds =
                seconds.map_err(|code| self.launches.failed("measuring a product", code))?;
            samples.push(seconds / EACH as f64);
        }
        samples.sort_by(f64::total_cmp);
        Ok(samples[SAMPLES / 2])
    }

    /// The end of the compute stream. The context is current.
    pub(super) fn timer(&mut self) -> Result<Timer<A>> {
        let timer = Timer::record(self.context.clone());
        timer.map_err(|code: Code| self.launches.failed("recording an event", code))
    }
}
