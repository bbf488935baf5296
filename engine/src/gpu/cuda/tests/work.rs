//! The driver at work: the same bits as the virtual GPU's own driver, memory and handles given
//! back.

use super::super::api::Handle;
use super::double::Double;
use super::{add, on, vectors};
use crate::gpu::Gpu;
use crate::ops::LinearCrossEntropy;
use crate::{Clock, DType, Device, DeviceExt, Error, Mark};

/// Numbers in [-0.5, 0.5).
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1009) as f32 / 1009.0 - 0.5).collect()
}

/// Every output of a loss at a width for which blocks need more than 48 KiB of shared memory.
/// Its kernels take addresses, integers and floats, and work in scratch memory.
fn loss(device: &mut dyn Device) -> Vec<f32> {
    const ROWS: usize = 5;
    const WIDTH: usize = 512;
    const VOCAB: usize = 70;
    let hidden = device.alloc_from(&numbers(ROWS * WIDTH)).unwrap();
    let weight = device.alloc_from(&numbers(VOCAB * WIDTH)).unwrap();
    let targets = device.alloc_from(&[3, -1, 69, 0, 12]).unwrap();
    let mut output = |len| device.alloc(DType::F32, len).unwrap();
    let [token_nll, logsumexp] = [output(ROWS), output(ROWS)];
    let [d_hidden, d_weight] = [output(ROWS * WIDTH), output(VOCAB * WIDTH)];
    device
        .linear_cross_entropy(&LinearCrossEntropy {
            hidden: &hidden,
            weight: &weight,
            targets: &targets,
            token_nll: &token_nll,
            logsumexp: &logsumexp,
            d_hidden: Some(&d_hidden),
            d_weight: Some(&d_weight),
            scale: 0.25,
            rows: ROWS,
            width: WIDTH,
            vocab: VOCAB,
        })
        .unwrap();
    let all = [&token_nll, &logsumexp, &d_hidden, &d_weight];
    all.into_iter().flat_map(|buffer| device.read::<f32>(buffer).unwrap()).collect()
}

#[test]
fn an_operation_gives_the_bits_of_the_virtual_gpu() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let found = loss(&mut gpu);
    assert!(found.iter().any(|x| *x != 0.0));
    assert_eq!(found, loss(&mut Gpu::virtual_gpu(1)));
    // Asked for once per kernel, and not for those of 48 KiB and less.
    let asked = double.count("set_dynamic_shared");
    assert!(asked >= 1);
    assert_eq!(loss(&mut gpu), found);
    assert_eq!(double.count("set_dynamic_shared"), asked);
}

#[test]
fn more_shared_memory_than_there_is_is_an_error_of_the_launch() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    double.fail("set_dynamic_shared", super::super::Code::INVALID_VALUE);
    let hidden = gpu.alloc(DType::F32, 512).unwrap();
    let targets = gpu.alloc_from(&[0]).unwrap();
    let [nll, sum] = [gpu.alloc(DType::F32, 1).unwrap(), gpu.alloc(DType::F32, 1).unwrap()];
    let weight = gpu.alloc(DType::F32, 512).unwrap();
    let d_hidden = gpu.alloc(DType::F32, 512).unwrap();
    let error = crate::Ops::linear_cross_entropy(
        &mut gpu,
        &LinearCrossEntropy {
            hidden: &hidden,
            weight: &weight,
            targets: &targets,
            token_nll: &nll,
            logsumexp: &sum,
            d_hidden: Some(&d_hidden),
            d_weight: None,
            scale: 1.0,
            rows: 1,
            width: 512,
            vocab: 1,
        },
    );
    let error = error.unwrap_err().to_string();
    for word in ["linear_cross_entropy", "bytes of shared memory", "Test GPU has 166912", "(1)"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn modules_are_loaded_once_and_only_when_they_are_needed() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let vectors = vectors(&mut gpu);
    assert_eq!(double.count("compile"), 0);
    for _ in 0..3 {
        add(&mut gpu, &vectors).unwrap();
    }
    let counts = ["compile", "load", "function", "launch"].map(|call| double.count(call));
    assert_eq!(counts, [1, 1, 1, 3]);
    for module in ltm_ptx::launch::modules() {
        gpu.driver().load(module.name).unwrap();
    }
    let all = ltm_ptx::launch::modules().count();
    assert_eq!([double.count("compile"), double.count("load")], [all, all]);
    assert_eq!(double.count("function"), ltm_ptx::entry_points().count());
}

#[test]
fn copies_longer_than_both_blocks_arrive_whole() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    for len in [0, 1, (4 << 20) / 4, (4 << 20) / 4 + 1, 3 * (4 << 20) / 4 + 5] {
        let values = numbers(len);
        let buffer = gpu.alloc_from(&values).unwrap();
        assert!(gpu.read::<f32>(&buffer).unwrap() == values, "{len}");
        let tail = buffer.slice(len / 2..len).unwrap();
        assert!(gpu.read::<f32>(&tail).unwrap() == values[len / 2..], "{len}");
    }
    assert_eq!(double.count("alloc_pinned"), 2);
}

#[test]
fn copies_and_kernels_wait_for_one_another() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let [x, into] = vectors(&mut gpu);
    let calls = |f: &mut dyn FnMut()| {
        double.script().calls.clear();
        f();
        let mut calls = double.script().calls.clone();
        calls.retain(|call| *call != "enter");
        calls
    };
    let upload = calls(&mut || gpu.upload(&x, &[1.0f32; 4]).unwrap());
    // Kernels before; the block's last copy; this one; kernels after.
    let expected = ["record", "wait", "wait_on_host", "to_device", "record", "wait"];
    assert_eq!(upload, expected);
    let download = calls(&mut || drop(gpu.read::<f32>(&into).unwrap()));
    assert_eq!(download, ["record", "wait", "to_host", "record", "wait_on_host"]);
    // No host waits for a kernel, a copy inside the device or zeroing.
    let inside = calls(&mut || {
        gpu.copy(&x, &into).unwrap();
        gpu.zero(&x).unwrap();
        crate::Ops::add(&mut gpu, &crate::ops::Add { x: &x, into: &into }).unwrap();
    });
    assert!(inside.iter().all(|call| !matches!(*call, "synchronize" | "wait_on_host")));
    assert_eq!(inside[..2], ["copy", "zero"]);
}

#[test]
fn blocks_are_used_again_and_everything_is_given_back() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let vectors = vectors(&mut gpu);
    add(&mut gpu, &vectors).unwrap();
    let taken = double.count("alloc");
    for _ in 0..5 {
        let again = gpu.alloc_from(&[7.0f32; 9]).unwrap();
        assert_eq!(gpu.read::<f32>(&again).unwrap(), [7.0; 9]);
        drop(again);
        let zeroed = gpu.alloc(DType::F32, 3).unwrap();
        assert_eq!(gpu.read::<f32>(&zeroed).unwrap(), [0.0; 3]);
    }
    assert_eq!(double.count("alloc"), taken + 1);
    assert_eq!(double.count("free") + double.count("synchronize"), 0, "nothing waits");

    // A buffer may outlive its device, and end on another thread.
    let [x, into] = vectors;
    drop((gpu, x));
    assert_eq!(double.script().blocks.len(), 3);
    std::thread::spawn(move || drop(into)).join().unwrap();
    assert_eq!(double.script().blocks.len(), 0);
    assert_eq!(double.script().alive, [0 as Handle; 0]);
}

#[test]
fn free_memory_leaves_room_for_the_driver() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let before = gpu.memory().unwrap();
    assert_eq!((before.total, before.free), (1 << 30, (1 << 30) - (1 << 24)));
    let held = gpu.alloc(DType::F32, 1 << 20).unwrap();
    assert_eq!(gpu.memory().unwrap().free, before.free - (4 << 20));
    drop(held);
    let limited = on(&double).unwrap().within(Some(1 << 20));
    assert_eq!(limited.memory().unwrap().free, 1 << 20);
}

/// What was rehearsed neither allocates nor loads when it runs, and a rehearsal launches nothing.
#[test]
fn a_rehearsal_leaves_nothing_to_be_made_later() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    assert!(gpu.rehearse(true));
    loss(&mut gpu);
    assert_eq!(double.count("launch"), 0);
    assert!(gpu.rehearse(false));
    let kept = gpu.kept();
    assert!(kept.scratch.iter().sum::<usize>() > 0);
    let loads = double.count("function");
    assert!(loads > 0);
    assert!(loss(&mut gpu).iter().any(|x| *x != 0.0));
    assert!(double.count("launch") > 0);
    assert_eq!((gpu.kept(), double.count("function")), (kept, loads));
}

/// A launch of the double takes a millisecond.
#[test]
fn marks_are_events_with_times_of_their_own_device() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let operands = vectors(&mut gpu);
    let first = gpu.mark().unwrap();
    add(&mut gpu, &operands).unwrap();
    let second = gpu.mark().unwrap();
    assert_eq!(gpu.clock(), Clock::Device);
    assert_eq!(double.count("synchronize"), 0, "a mark waits for nothing");
    assert_eq!(gpu.seconds_between(&first, &second).unwrap(), 1e-3);
    let other = on(&Double::new()).unwrap().mark().unwrap();
    for (from, to) in [(&first, &other), (&other, &second), (&first, &Mark::on_host())] {
        let error = gpu.seconds_between(from, to).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
    }
    drop((first, second));
    assert_eq!(double.count("destroy_event"), 2);
}
