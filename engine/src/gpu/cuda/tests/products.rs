//! Who computes a product, with a library that does what a test tells it to.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::api::Handle;
use super::super::cublas::{Planned, ProductLibrary, Status};
use super::double::Double;
use super::with;
use crate::gpu::cuda::{Cuda, CudaError, CudaOptions};
use crate::gpu::{By, Gemm, Gpu, Product, ProductChoices, ProductKind, ProductShape};
use crate::ops::{
    LinearBackwardInput, LinearForward, LinearSwigluBackward, LinearSwigluForward, Ops,
};
use crate::{Buffer, DType, Device, Error, Result};

/// A library whose products take `milliseconds` and are zero.
#[derive(Clone)]
struct Vendor {
    double: Double,
    milliseconds: f32,
    offers: bool,
    status: u32,
    planned: Arc<Mutex<Vec<String>>>,
    ran: Arc<Mutex<usize>>,
}

impl ProductLibrary for Vendor {
    fn version(&self) -> String {
        "12.0.0".into()
    }

    fn plan(&self, shape: &ProductShape) -> std::result::Result<Option<Box<dyn Planned>>, Status> {
        self.planned.lock().unwrap().push(shape.to_string());
        let plan: Box<dyn Planned> = Box::new(self.clone());
        Ok(self.offers.then_some(plan))
    }
}

impl Planned for Vendor {
    unsafe fn run(&self, product: &Product, _: u64, _: Handle) -> std::result::Result<(), Status> {
        let ProductShape { kind, rows, inner, outer, storage, .. } = product.shape;
        let columns = if kind == ProductKind::BackwardInput { inner } else { outer };
        let zeros = vec![0; (rows * columns) as usize * storage.size()];
        self.double.gpu.write(product.out, &zeros).unwrap();
        self.double.script().clock += self.milliseconds;
        *self.ran.lock().unwrap() += 1;
        if self.status == 0 { Ok(()) } else { Err(Status(self.status)) }
    }
}

/// A device and its library.
struct Setting {
    gpu: Gpu<Cuda<Double>>,
    double: Double,
    vendor: Vendor,
    x: Buffer,
    out: Buffer,
}

impl Setting {
    fn new(cache: Option<&Path>, milliseconds: f32) -> Self {
        let double = Double::new();
        let cache = cache.map(Path::to_owned);
        let mut gpu = with(&double, CudaOptions { cache, ..CudaOptions::default() }).unwrap();
        let x = gpu.alloc(DType::F32, 32 * 32).unwrap();
        let out = gpu.alloc(DType::F32, 32 * 32).unwrap();
        let vendor = Vendor {
            double: double.clone(),
            milliseconds,
            offers: true,
            status: 0,
            planned: Arc::default(),
            ran: Arc::default(),
        };
        Self { gpu, double, vendor, x, out }
    }

    fn choose(&mut self, gemm: Gemm, kept: &ProductChoices) {
        let library = Box::new(self.vendor.clone());
        self.gpu.driver().choose_from(library, gemm, kept).unwrap();
    }

    fn multiply(&mut self) -> Result<()> {
        let (x, out) = (&self.x, &self.out);
        let (rows, inner, outer) = (32, 32, 32);
        let residual = None;
        self.gpu.linear_forward(&LinearForward { x, weight: x, residual, out, rows, inner, outer })
    }

    fn rehearse(&mut self) {
        self.gpu.rehearse(true);
        self.multiply().unwrap();
        self.gpu.rehearse(false);
    }

    fn ran(&self) -> usize {
        *self.vendor.ran.lock().unwrap()
    }

    fn launched(&self) -> usize {
        self.double.count("launch")
    }
}

const NAME: &str = "forward 32x32x32 f32";

#[test]
fn a_rehearsal_finds_out_who_is_faster() {
    for (milliseconds, by) in [(0.5, By::Cublas), (1.5, By::Own)] {
        let mut s = Setting::new(None, milliseconds);
        s.choose(Gemm::Auto, &ProductChoices::default());
        s.multiply().unwrap();
        assert_eq!((s.ran(), s.launched()), (0, 1), "nothing was measured yet");
        s.rehearse();
        let choices = s.gpu.product_choices();
        assert_eq!(choices.library.as_deref(), Some("12.0.0"));
        assert_eq!(choices.chosen, [(NAME.into(), by)].into());
        let before = (s.ran(), s.launched());
        assert!(before.0 > 1 && before.1 > 2, "{before:?}");
        s.multiply().unwrap();
        let after = (s.ran() - before.0, s.launched() - before.1);
        assert_eq!(after, if by == By::Cublas { (1, 0) } else { (0, 1) });
        s.rehearse();
        assert_eq!(s.vendor.planned.lock().unwrap().len(), 1, "planned once");
    }
}

#[test]
fn measurements_are_kept_on_disk_and_choices_in_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Setting::new(Some(dir.path()), 0.5);
    first.choose(Gemm::Auto, &ProductChoices::default());
    first.rehearse();
    let files: Vec<_> = std::fs::read_dir(dir.path().join("products")).unwrap().collect();
    assert_eq!(files.len(), 1);

    // A library that has become slow: what was measured stands.
    let mut second = Setting::new(Some(dir.path()), 1.5);
    second.choose(Gemm::Auto, &ProductChoices::default());
    second.rehearse();
    assert_eq!(second.gpu.product_choices().chosen[NAME], By::Cublas);
    assert_eq!((second.ran(), second.launched()), (1, 0), "run once to load it, not measured");
    // The run's own choice comes before.
    let kept = ProductChoices { library: None, chosen: [(NAME.into(), By::Own)].into() };
    let mut third = Setting::new(Some(dir.path()), 0.5);
    third.choose(Gemm::Auto, &kept);
    third.rehearse();
    third.multiply().unwrap();
    assert_eq!((third.ran(), third.launched()), (0, 1));

    std::fs::write(files[0].as_ref().unwrap().path(), "{").unwrap();
    let mut fourth = Setting::new(Some(dir.path()), 1.5);
    fourth.choose(Gemm::Auto, &ProductChoices::default());
    fourth.rehearse();
    assert_eq!(fourth.gpu.product_choices().chosen[NAME], By::Own, "a damaged file is none");
}

#[test]
fn what_the_library_does_not_offer_is_computed_by_our_kernels() {
    let mut s = Setting::new(None, 0.5);
    s.vendor.offers = false;
    s.choose(Gemm::Cublas, &ProductChoices::default());
    s.multiply().unwrap();
    assert_eq!((s.ran(), s.launched()), (0, 1));

    // Rows of a slice that begin on 4 bytes.
    let mut s = Setting::new(None, 0.5);
    s.choose(Gemm::Cublas, &ProductChoices::default());
    s.x = s.x.slice(1..1 + 31 * 32).unwrap();
    let (d_x, weight) = (s.out.slice(0..32 * 32).unwrap(), s.gpu.alloc(DType::F32, 1024).unwrap());
    let product = LinearBackwardInput {
        d_out: &s.x,
        weight: &weight,
        d_x: &d_x.slice(0..31 * 32).unwrap(),
        accumulate: false,
        rows: 31,
        inner: 32,
        outer: 32,
    };
    s.gpu.linear_backward_input(&product).unwrap();
    assert_eq!((s.ran(), s.launched()), (0, 1));
    s.x = s.gpu.alloc(DType::F32, 1024).unwrap();
    s.multiply().unwrap();
    assert_eq!((s.ran(), s.launched()), (1, 1));
}

#[test]
fn the_activation_follows_a_library_by_itself() {
    let (rows, inner, outer, width) = (32, 32, 32, 16);
    for (gemm, ran, launched) in [(Gemm::Own, 0, 1), (Gemm::Cublas, 1, 1)] {
        let mut s = Setting::new(None, 0.5);
        s.choose(gemm, &ProductChoices::default());
        let [weight, gate_up] = [0; 2].map(|_| s.gpu.alloc(DType::F32, 32 * 32).unwrap());
        let (x, out) = (&s.x, &s.out.slice(0..rows * width).unwrap());
        let forward =
            LinearSwigluForward { x, weight: &weight, gate_up: &gate_up, out, rows, inner, width };
        s.gpu.linear_swiglu_forward(&forward).unwrap();
        assert_eq!((s.ran(), s.launched()), (ran, launched), "{gemm:?}");
        let weight = &weight.slice(0..outer * width).unwrap();
        let (d_out, gate_up, d_gate_up) = (&s.x, &gate_up, &s.out);
        let backward =
            LinearSwigluBackward { d_out, weight, gate_up, d_gate_up, rows, width, outer };
        s.gpu.linear_swiglu_backward(&backward).unwrap();
        assert_eq!((s.ran(), s.launched()), (2 * ran, 2 * launched), "{gemm:?}");
    }
}

#[test]
fn a_product_is_planned_before_it_is_recorded() {
    let mut s = Setting::new(None, 0.5);
    s.choose(Gemm::Cublas, &ProductChoices::default());
    assert!(s.gpu.begin_recording().unwrap());
    let error = s.multiply().unwrap_err();
    assert!(matches!(error, Error::Recording { .. }), "{error}");
    s.gpu.end_recording().unwrap();
    s.rehearse();
    assert!(s.gpu.begin_recording().unwrap());
    s.multiply().unwrap();
    s.gpu.end_recording().unwrap();
    assert_eq!(s.launched(), 0);
}

#[test]
fn the_workspace_is_given_back_and_errors_have_words() {
    let mut s = Setting::new(None, 0.5);
    s.vendor.status = 14;
    let before = s.double.script().blocks.len();
    s.choose(Gemm::Cublas, &ProductChoices::default());
    assert_eq!(s.double.script().blocks.len(), before + 1);
    let error = s.multiply().unwrap_err();
    let Error::Cuda(CudaError::Cublas { .. }) = &error else { panic!("{error}") };
    let words = error.to_string();
    assert!(words.contains("INTERNAL_ERROR (14)") && words.contains("--gemm own"), "{words}");
    s.choose(Gemm::Cublas, &ProductChoices::default());
    assert_eq!(s.double.script().blocks.len(), before + 1, "the same block");

    // Where there is none, only whoever asks for it by name is refused.
    let mut gpu = crate::cpu::Cpu::new(1).unwrap();
    let none = ProductChoices::default();
    gpu.choose_products(Gemm::Auto, &none).unwrap();
    let error = gpu.choose_products(Gemm::Cublas, &none).unwrap_err().to_string();
    assert!(error.contains("no cuBLASLt") && error.contains("--device cuda"), "{error}");
}
