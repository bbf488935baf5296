//! Every way in which a GPU can be absent, unfit or broken, and what the user is told.

use super::super::{Code, Cuda, CudaError, CudaOptions, CudaVersion, needed, survey};
use super::double::Double;
use super::{add, norm, on, vectors, with};
use crate::gpu::Gpu;
use crate::{DType, Device, DeviceExt, Error};

#[track_caller]
fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no \"{word}\" in: {text}");
    }
}

#[track_caller]
fn refused(double: &Double) -> CudaError {
    match on(double) {
        Err(Error::Cuda(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn without_a_library_the_words_say_what_was_looked_for() {
    let error = CudaError::NoLibrary { looked_for: "libcuda.so, libcuda.so.1".into() };
    says(&Error::Cuda(error), &["libcuda.so.1", "install NVIDIA's driver", "--device cpu"]);
    // Whatever this machine has: no panic, and a reason of its own where it has no driver.
    match survey() {
        Ok(survey) => assert!(survey.chosen().is_some()),
        Err(CudaError::NoLibrary { looked_for }) => assert!(looked_for.contains("cuda")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[test]
fn an_old_driver_is_named_with_the_one_that_is_needed() {
    let double = Double::new();
    double.script().version = 10020;
    // It would not even start on this GPU; that is not the news.
    double.fail("init", Code::UNKNOWN);
    let error = refused(&double);
    let CudaError::OldDriver { found, needed, .. } = &error else { panic!("{error}") };
    assert_eq!((found.major, found.minor), (10, 2));
    assert!(needed.major >= 11);
    let words = ["550.54.15", "10.2", "series", &needed.to_string()].map(str::to_owned);
    says(&Error::Cuda(error), &words.each_ref().map(String::as_str));

    double.script().fails.clear();
    let exact = needed_number();
    double.script().version = exact - 10;
    assert!(matches!(refused(&double), CudaError::OldDriver { .. }));
    double.script().version = exact;
    assert!(on(&double).is_ok());

    let missing = CudaError::Symbol { symbol: "cuLinkCreate_v2", needed: super::super::needed() };
    says(&Error::Cuda(missing), &["cuLinkCreate_v2", "too old", "series"]);
}

fn needed_number() -> u32 {
    let CudaVersion { major, minor } = needed();
    1000 * major + 10 * minor
}

#[test]
fn versions_of_ptx_become_drivers() {
    for ((major, minor), cuda, series) in [
        ((7, 0), "11.0", "450"),
        ((7, 8), "11.8", "520"),
        ((8, 0), "12.0", "525"),
        ((8, 4), "12.4", "550"),
        ((8, 7), "12.8", "570"),
        ((9, 0), "13.0", "580"),
    ] {
        let version = CudaVersion::of_ptx(major, minor);
        assert_eq!(version.to_string(), cuda);
        assert!(version.driver().contains(series), "{}", version.driver());
    }
    assert_eq!(CudaVersion::from_number(12080).to_string(), "12.8");
}

#[test]
fn a_machine_without_a_gpu_is_told_apart() {
    let double = Double::new();
    double.script().gpus.clear();
    let error = refused(&double);
    assert!(matches!(error, CudaError::NoDevice { .. }), "{error}");
    says(&Error::Cuda(error), &["no GPU", "nvidia-smi", "CUDA_VISIBLE_DEVICES", "12.4"]);
    let double = Double::new();
    double.fail("init", Code::NO_DEVICE);
    assert!(matches!(refused(&double), CudaError::NoDevice { .. }));
    let double = Double::new();
    double.fail("init", Code::SYSTEM_DRIVER_MISMATCH);
    says(&Error::Cuda(refused(&double)), &["starting the driver", "(803)", "restart"]);
    let double = Double::new();
    double.fail("init", Code::STUB_LIBRARY);
    says(&Error::Cuda(refused(&double)), &["STUB_LIBRARY", "library path"]);
}

#[test]
fn a_gpu_that_is_too_old_is_passed_over() {
    let double = Double::new();
    double.script().gpus = vec![("Tesla T4", (7, 5))];
    let error = refused(&double);
    assert!(matches!(error, CudaError::OldDevice { .. }), "{error}");
    says(&Error::Cuda(error), &["8.0", "Tesla T4 has 7.5"]);
    double.script().gpus.push(("H200", (9, 0)));
    let gpu = on(&double).unwrap();
    assert_eq!(gpu.name(), "cuda (H200, sm_90)");
}

#[test]
fn what_was_taken_is_given_back_when_a_gpu_cannot_be_opened() {
    for call in ["retain_context", "enter", "create_stream"] {
        let double = Double::new();
        double.fail(call, Code::UNKNOWN);
        says(&Error::Cuda(refused(&double)), &["(999)", "nvidia-smi"]);
        assert_eq!(double.script().alive, [0; 0], "{call}");
    }
}

#[test]
fn out_of_memory_says_how_much_there_was() {
    let double = Double::new();
    double.script().memory = 1 << 20;
    let mut gpu = on(&double).unwrap();
    let kept = gpu.alloc(DType::F32, 1 << 16).unwrap();
    let error = gpu.alloc(DType::F32, 1 << 18).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { bytes: 1_048_576, .. }), "{error}");
    says(&error, &["1048576 bytes", "Test GPU", "free", "train.micro_batch"]);
    // What nobody holds any more is not in the way of another size.
    drop(kept);
    let large = gpu.alloc(DType::F32, 1 << 18).unwrap();
    assert_eq!(double.script().blocks.len(), 1);
    drop(large);
    assert!(matches!(gpu.alloc(DType::F32, usize::MAX / 4), Err(Error::OutOfMemory { .. })));
}

#[test]
fn a_rejected_module_comes_with_the_compilers_log() {
    let double = Double::new();
    double.script().log = "ptxas fatal: line 12: Unknown modifier";
    double.fail("compile", Code::INVALID_PTX);
    let mut gpu = on(&double).unwrap();
    let vectors = vectors(&mut gpu);
    let error = add(&mut gpu, &vectors).unwrap_err();
    assert!(matches!(error, Error::Cuda(CudaError::Rejected { module: "add", .. })), "{error}");
    says(&error, &["add", "(218)", "\nptxas fatal: line 12", "ltm doctor", "550.54.15"]);

    double.fail("compile", Code::UNSUPPORTED_PTX_VERSION);
    let error = gpu.driver().load("add").unwrap_err();
    says(&error, &["(222)", "offers CUDA 12.4", "install a driver of series"]);
    double.fail("compile", Code::JIT_COMPILER_NOT_FOUND);
    says(&gpu.driver().load("add").unwrap_err(), &["libnvidia-ptxjitcompiler"]);
    double.script().fails.clear();
    double.fail("load", Code::NO_BINARY_FOR_GPU);
    says(&gpu.driver().load("add").unwrap_err(), &["add", "(209)"]);
    double.script().fails.clear();
    double.fail("function", Code(500));
    let error = gpu.driver().load("add").unwrap_err();
    assert!(matches!(error, Error::Kernel { kernel: "add_f32", .. }), "{error}");
    // Nothing of it sticks.
    double.script().fails.clear();
    add(&mut gpu, &vectors).unwrap();
}

#[test]
fn a_launch_that_is_refused_says_what_it_asked_for() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let vectors = vectors(&mut gpu);
    double.fail("launch", Code::LAUNCH_OUT_OF_RESOURCES);
    let error = add(&mut gpu, &vectors).unwrap_err();
    assert!(matches!(error, Error::Kernel { kernel: "add_f32", .. }), "{error}");
    says(&error, &["[1, 1, 1] blocks", "[256, 1, 1] threads", "(701)"]);
    double.script().fails.clear();
    add(&mut gpu, &vectors).unwrap();
    gpu.synchronize().unwrap();
}

/// A device on which `add_f32` goes wrong when it runs.
fn faulty(options: CudaOptions) -> (Double, Gpu<Cuda<Double>>) {
    let double = Double::new();
    double.script().faulty = Some(("add_f32", Code::ILLEGAL_ADDRESS));
    let gpu = with(&double, options).unwrap();
    (double, gpu)
}

#[test]
fn an_error_that_comes_late_names_the_kernels_that_may_have_made_it() {
    let (double, mut gpu) = faulty(CudaOptions::default());
    let (vectors, inv_rms) = (vectors(&mut gpu), gpu.alloc(DType::F32, 1).unwrap());
    norm(&mut gpu, &vectors, &inv_rms).unwrap();
    gpu.synchronize().unwrap();
    // Seen to be over: not among the suspects, nor is this one alone a list.
    add(&mut gpu, &vectors).unwrap();
    let error = gpu.synchronize().unwrap_err();
    assert!(matches!(error, Error::Kernel { kernel: "add_f32", .. }), "{error}");
    says(&error, &["add_f32", "(700)"]);
    // The context is lost, and says the same whatever is asked of it.
    says(&gpu.alloc(DType::F32, 1).unwrap_err(), &["add_f32", "(700)"]);
    says(&norm(&mut gpu, &vectors, &inv_rms).unwrap_err(), &["add_f32", "(700)"]);
    drop((vectors, inv_rms, gpu));
    assert!(double.count("synchronize") > 0);

    let (_, mut gpu) = faulty(CudaOptions::default());
    let (vectors, inv_rms) = (super::vectors(&mut gpu), gpu.alloc(DType::F32, 1).unwrap());
    for _ in 0..3 {
        norm(&mut gpu, &vectors, &inv_rms).unwrap();
    }
    add(&mut gpu, &vectors).unwrap();
    let error = gpu.read::<f32>(&vectors[1]).unwrap_err();
    assert!(matches!(error, Error::Cuda(CudaError::Fault { .. })), "{error}");
    says(&error, &["rms_norm_forward_f32 (3 times), add_f32", "(700)", "LTM_CUDA_SYNC=1"]);
}

#[test]
fn waiting_after_every_launch_finds_the_one() {
    let (_, mut gpu) = faulty(CudaOptions { synchronize: true, cache: None });
    let (vectors, inv_rms) = (vectors(&mut gpu), gpu.alloc(DType::F32, 1).unwrap());
    for _ in 0..3 {
        norm(&mut gpu, &vectors, &inv_rms).unwrap();
    }
    let error = add(&mut gpu, &vectors).unwrap_err();
    assert!(matches!(error, Error::Kernel { kernel: "add_f32", .. }), "{error}");
}

#[test]
fn copies_that_fail_are_named() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let [x, y] = vectors(&mut gpu);
    double.fail("to_device", Code::INVALID_VALUE);
    says(&gpu.upload(&x, &[1.0f32; 4]).unwrap_err(), &["copying to the GPU", "(1)"]);
    double.fail("to_host", Code(12345));
    says(&gpu.read::<f32>(&x).unwrap_err(), &["copying from the GPU", "CUDA error 12345"]);
    double.fail("copy", Code::INVALID_VALUE);
    says(&gpu.copy(&x, &y).unwrap_err(), &["copying inside the GPU"]);
    double.fail("zero", Code::INVALID_VALUE);
    says(&gpu.zero(&x).unwrap_err(), &["zeroing memory"]);
}
