//! Recordings: what is called for them, what breaks them, and that they are given back.

use super::super::{Code, Cuda, CudaError, CudaOptions};
use super::double::Double;
use super::{add, norm, on, vectors, with};
use crate::gpu::{Driver, Gpu};
use crate::{Buffer, DType, Device, DeviceExt, Error, Graph, Result};

/// `into += x`, then `x = 2 into` by way of a copy that is added to.
fn body(gpu: &mut Gpu<Cuda<Double>>, [x, into]: &[Buffer; 2]) -> Result<()> {
    add(gpu, &[x.clone(), into.clone()])?;
    gpu.zero(x)?;
    gpu.copy(into, x)?;
    add(gpu, &[into.clone(), x.clone()])
}

fn record(gpu: &mut Gpu<Cuda<Double>>, vectors: &[Buffer; 2]) -> Result<Option<Graph>> {
    gpu.record(|gpu| body(gpu, vectors))
}

/// A device whose kernels are loaded.
fn warm(double: &Double) -> (Gpu<Cuda<Double>>, [Buffer; 2]) {
    let mut gpu = on(double).unwrap();
    let spare = vectors(&mut gpu);
    body(&mut gpu, &spare).unwrap();
    let vectors = vectors(&mut gpu);
    (gpu, vectors)
}

#[track_caller]
fn says<T>(result: Result<T>, words: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for word in words {
        assert!(text.contains(word), "no \"{word}\" in: {text}");
    }
}

/// The calls that `f` makes, but for entering the context.
fn calls(double: &Double, f: impl FnOnce()) -> Vec<&'static str> {
    double.script().calls.clear();
    f();
    let mut calls = double.script().calls.clone();
    calls.retain(|call| *call != "enter");
    calls
}

#[test]
fn a_recording_is_one_call() {
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    let mut graph = None;
    let made = calls(&double, || graph = record(&mut gpu, &vectors).unwrap());
    let inside = ["launch", "zero", "copy", "launch"];
    let ends = ["end_capture", "instantiate", "destroy_graph"];
    assert_eq!(made, [&["begin_capture"][..], &inside, &ends].concat());
    assert_eq!(gpu.read::<f32>(&vectors[1]).unwrap(), [0.5; 4], "nothing has run");

    let graph = graph.expect("a graph");
    assert_eq!(calls(&double, || gpu.replay(&graph).unwrap()), ["launch_graph"]);
    assert_eq!(gpu.read::<f32>(&vectors[1]).unwrap(), [1.5, 2.5, 3.5, 4.5]);
    assert_eq!(gpu.read::<f32>(&vectors[0]).unwrap(), [3.0, 5.0, 7.0, 9.0]);
    // On what an upload brings: the stream waits for it before the graph.
    gpu.upload(&vectors[0], &[1.0f32; 4]).unwrap();
    gpu.replay(&graph).unwrap();
    assert_eq!(gpu.read::<f32>(&vectors[1]).unwrap(), [2.5, 3.5, 4.5, 5.5]);
    assert_eq!(calls(&double, || drop(graph)), ["destroy_executable"]);
    add(&mut gpu, &vectors).unwrap();
    assert_eq!(gpu.read::<f32>(&vectors[1]).unwrap()[0], 7.5, "and calls run at once again");
}

#[test]
fn a_device_takes_its_graphs_with_it() {
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    let [first, second] = [(); 2].map(|()| record(&mut gpu, &vectors).unwrap().unwrap());
    let (mut other, _) = warm(&Double::new());
    assert!(matches!(other.replay(&first), Err(Error::Foreign { op: "replay" })));
    let foreign = other.driver().replay(&first.recording);
    assert!(matches!(foreign, Err(Error::Foreign { op: "replay" })));
    drop(other);
    drop(second);
    // The double refuses modules to be unloaded before graphs.
    let gone = calls(&double, || drop(gpu));
    assert!(gone.contains(&"destroy_executable") && gone.contains(&"unload"), "{gone:?}");
    // On another thread, and after everything it was made of.
    drop(vectors);
    assert_eq!(
        calls(&double, || std::thread::spawn(|| drop(first)).join().unwrap())[..1],
        ["synchronize"]
    );
    assert_eq!(double.script().alive, [0; 0]);
    assert_eq!(double.script().blocks.len(), 0);
}

#[test]
fn a_device_that_ends_in_a_recording_gives_everything_back() {
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    assert!(gpu.begin_recording().unwrap());
    body(&mut gpu, &vectors).unwrap();
    drop((gpu, vectors));
    assert_eq!(double.script().alive, [0; 0]);
}

#[test]
fn each_call_that_fails_is_an_error_and_ends_the_recording() {
    for (call, words) in [
        ("begin_capture", "beginning a recording"),
        ("launch", "add_f32"),
        ("zero", "zeroing memory"),
        ("copy", "copying inside the GPU"),
        ("end_capture", "ending a recording"),
        ("instantiate", "making a graph of a recording"),
    ] {
        let double = Double::new();
        let (mut gpu, vectors) = warm(&double);
        double.fail(call, Code(901));
        says(record(&mut gpu, &vectors), &[words, "(901)"]);
        double.script().fails.clear();
        body(&mut gpu, &vectors).unwrap();
        assert_eq!(gpu.read::<f32>(&vectors[1]).unwrap(), [1.5, 2.5, 3.5, 4.5], "{call}");
        let graph = record(&mut gpu, &vectors).unwrap().expect("a graph");
        double.fail("launch_graph", Code::INVALID_VALUE);
        says(gpu.replay(&graph), &["repeating a recording", "(1)"]);
        drop((graph, gpu, vectors));
        assert_eq!(double.script().alive, [0; 0], "{call}");
    }
    // What is left behind then does no harm.
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    double.fail("destroy_graph", Code::INVALID_VALUE);
    let graph = record(&mut gpu, &vectors).unwrap().expect("a graph");
    gpu.replay(&graph).unwrap();
    double.script().fails.clear();
    std::mem::forget((graph, gpu));
}

#[test]
fn a_call_that_breaks_the_capture_underneath_is_seen_at_its_end() {
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    gpu.begin_recording().unwrap();
    // Past the guard, as nothing in the engine goes.
    says(gpu.driver().upload(vectors[0].address() as u64, &[0; 4]), &["(900)"]);
    says(gpu.end_recording(), &["ending a recording", "(901)", "broke the recording"]);
    body(&mut gpu, &vectors).unwrap();
    gpu.synchronize().unwrap();
}

#[test]
fn without_captures_everything_runs_directly() {
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    double.fail("begin_capture", Code::NOT_SUPPORTED);
    assert!(record(&mut gpu, &vectors).unwrap().is_none());
    body(&mut gpu, &vectors).unwrap();
    assert_eq!(gpu.read::<f32>(&vectors[1]).unwrap(), [1.5, 2.5, 3.5, 4.5]);

    // A graph has no single launches to wait for.
    let double = Double::new();
    let mut gpu = with(&double, CudaOptions { synchronize: true, cache: None }).unwrap();
    let vectors = super::vectors(&mut gpu);
    body(&mut gpu, &vectors).unwrap();
    assert!(record(&mut gpu, &vectors).unwrap().is_none());
    assert_eq!(double.count("begin_capture"), 0);
    assert!(matches!(gpu.driver().end_recording(), Err(Error::Recording { .. })));
}

#[test]
fn a_kernel_is_not_loaded_inside_a_recording() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let vectors = vectors(&mut gpu);
    let cold = record(&mut gpu, &vectors);
    assert!(matches!(cold, Err(Error::Recording { op: "the first launch of a kernel" })));
    assert_eq!(double.count("compile"), 0);
    add(&mut gpu, &vectors).unwrap();
    assert!(record(&mut gpu, &vectors).unwrap().is_some());
}

#[test]
fn memory_that_ends_in_a_recording_waits_for_its_end() {
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    let mut spare = Some(gpu.alloc(DType::F32, 1 << 20).unwrap());
    let inside = calls(&double, || {
        gpu.begin_recording().unwrap();
        drop(spare.take());
        body(&mut gpu, &vectors).unwrap();
    });
    assert!(!inside.contains(&"free"), "{inside:?}");
    double.fail("instantiate", Code::OUT_OF_MEMORY);
    let ended = calls(&double, || says(gpu.end_recording(), &["(2)"]));
    // Idle blocks make room, and it is tried again.
    let tries = ended.iter().filter(|call| **call == "instantiate").count();
    assert_eq!((tries, ended.contains(&"free")), (2, true), "{ended:?}");
}

#[test]
fn a_late_fault_names_the_kernels_of_the_recording() {
    let double = Double::new();
    let (mut gpu, vectors) = warm(&double);
    let inv_rms = gpu.alloc(DType::F32, 1).unwrap();
    norm(&mut gpu, &vectors, &inv_rms).unwrap();
    gpu.synchronize().unwrap();
    let graph = record(&mut gpu, &vectors).unwrap().expect("a graph");
    // Written down is not launched.
    double.script().faulty = Some(("add_f32", Code::ILLEGAL_ADDRESS));
    gpu.synchronize().unwrap();
    norm(&mut gpu, &vectors, &inv_rms).unwrap();
    gpu.replay(&graph).unwrap();
    gpu.replay(&graph).unwrap();
    let error = gpu.synchronize().unwrap_err();
    assert!(matches!(error, Error::Cuda(CudaError::Fault { .. })), "{error}");
    says::<()>(Err(error), &["rms_norm_forward_f32, add_f32 (4 times)", "(700)"]);
    says(gpu.replay(&graph), &["add_f32", "(700)"]);
    // Neither can be given back now; that is no panic.
    drop((gpu, graph));
}
