//! What a device writes down instead of running it.

use ltm_engine::ops::{Add, Ops};
use ltm_engine::{DType, Device, DeviceExt, Error};
use ltm_tests::cases::*;
use ltm_tests::{Case, Format, device, virtual_gpu};

#[test]
fn a_recording_runs_when_it_is_replayed() {
    let mut gpu = virtual_gpu(1);
    let x = gpu.alloc_from(&[1.0f32, 2.0, 3.0]).unwrap();
    let into = gpu.alloc_from(&[10.0f32, 20.0, 30.0]).unwrap();
    let copy = gpu.alloc_from(&[5.0f32; 3]).unwrap();
    let graph = gpu
        .record(|gpu| {
            gpu.add(&Add { x: &x, into: &into })?;
            gpu.copy(&into, &copy)?;
            gpu.zero(&x.slice(0..1)?)
        })
        .unwrap()
        .expect("a virtual GPU records");
    assert_eq!(gpu.read::<f32>(&into).unwrap(), [10.0, 20.0, 30.0], "nothing has run");
    gpu.replay(&graph).unwrap();
    assert_eq!(gpu.read::<f32>(&copy).unwrap(), [11.0, 22.0, 33.0]);
    gpu.replay(&graph).unwrap();
    assert_eq!(gpu.read::<f32>(&copy).unwrap(), [11.0, 24.0, 36.0], "on what is there then");
    let mut other = virtual_gpu(1);
    assert!(matches!(other.replay(&graph), Err(Error::Foreign { .. })));
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let mut gpu = virtual_gpu(1);
    let x = gpu.alloc_from(&[1.0f32]).unwrap();
    let refused = |result: ltm_engine::Result<()>, what: &str| match result {
        Err(Error::Recording { op }) => assert_eq!(op, what),
        other => panic!("{what}: {other:?}"),
    };
    refused(gpu.end_recording().map(drop), "end_recording");
    assert!(gpu.begin_recording().unwrap());
    refused(gpu.begin_recording().map(drop), "begin_recording");
    refused(gpu.alloc(DType::F32, 4).map(drop), "alloc");
    refused(gpu.upload(&x, &[2.0f32]), "upload");
    refused(gpu.read::<f32>(&x).map(drop), "download");
    refused(gpu.synchronize(), "synchronize");
    let graph = gpu.end_recording().unwrap();
    assert_eq!(gpu.read::<f32>(&x).unwrap(), [1.0]);
    gpu.begin_recording().unwrap();
    refused(gpu.replay(&graph), "replay");
    gpu.end_recording().unwrap();
}

/// An operation that works in memory of its own needs it before; afterwards it keeps that memory
/// as long as the recording lives, though a larger call takes other.
#[test]
fn scratch_outlives_its_slot() {
    let mut gpu = virtual_gpu(1);
    let (small, large) = (adamw::Norm { len: 40_000, limit: 1.0 }, 400_000);
    let buffers: Vec<_> = small
        .args(Format::F32)
        .iter()
        .map(|arg| {
            let buffer = gpu.alloc(arg.data.dtype(), arg.data.len()).unwrap();
            gpu.upload_bytes(&buffer, &arg.data.bytes()).unwrap();
            buffer
        })
        .collect();
    let cold = gpu.record(|gpu| small.call(gpu, &buffers));
    assert!(matches!(cold, Err(Error::Recording { op: "alloc" })), "{cold:?}");
    small.call(&mut gpu, &buffers).unwrap();
    let norm: Vec<f64> = gpu.read(&buffers[1]).unwrap();
    let graph = gpu.record(|gpu| small.call(gpu, &buffers)).unwrap().expect("records");
    let grown = [gpu.alloc(DType::F32, large).unwrap(), gpu.alloc(DType::F64, 2).unwrap()];
    adamw::Norm { len: large, limit: 1.0 }.call(&mut gpu, &grown).unwrap();
    gpu.zero(&buffers[1]).unwrap();
    gpu.replay(&graph).unwrap();
    assert_eq!(gpu.read::<f64>(&buffers[1]).unwrap(), norm);
}

/// A body that fails ends the recording.
#[test]
fn an_error_ends_a_recording() {
    let mut gpu = virtual_gpu(1);
    let result = gpu.record(|gpu| gpu.alloc(DType::F32, 1).map(drop));
    assert!(matches!(result, Err(Error::Recording { op: "alloc" })));
    gpu.alloc(DType::F32, 1).expect("the recording is over");
    let mut cpu = device(1);
    let none = cpu.record(|_| Err(Error::Overlap { op: "never called" })).unwrap();
    assert!(none.is_none(), "the CPU does not record");
}
