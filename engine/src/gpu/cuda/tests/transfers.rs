//! Copies that nobody waits for.

use super::double::Double;
use super::{add, on, vectors};
use crate::{DType, Device, DeviceExt, Error, HostBlock, Transfer};

#[test]
fn a_block_goes_out_and_comes_back_without_a_wait() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let [x, into] = vectors(&mut gpu);
    let mut block = gpu.host_block(24).unwrap();
    assert!(block.iter().all(|byte| *byte == 0));
    block[..16].copy_from_slice(bytemuck::cast_slice(&[7.0f32, 8.0, 9.0, 10.0]));
    double.script().calls.clear();

    let posted = gpu.post(block, &x).unwrap();
    assert!(!posted.is_over());
    let begin = ["create_event", "record", "wait", "destroy_event", "to_device", "create_event"];
    let calls: Vec<_> = double.script().calls.iter().copied().filter(|c| *c != "enter").collect();
    assert_eq!(calls, [&begin[..], &["record"]].concat());
    gpu.arrive(&posted).unwrap();
    add(&mut gpu, &[x, into.clone()]).unwrap();
    let block = gpu.host_block(16).unwrap();
    let fetched = gpu.fetch(&into, block).unwrap();
    for call in ["wait_on_host", "synchronize"] {
        assert_eq!(double.count(call), 0, "{call}");
    }

    let back = gpu.recover(fetched).unwrap();
    assert_eq!(bytemuck::cast_slice::<u8, f32>(&back), [7.5, 8.5, 9.5, 10.5]);
    let block = gpu.recover(posted).unwrap();
    assert_eq!(block.len(), 24);
    drop((block, back));
    assert_eq!(double.count("free_pinned"), 2);
    // One that nobody wants any more is waited for before its memory is given back.
    let block = gpu.host_block(16).unwrap();
    let fetched = gpu.fetch(&into, block).unwrap();
    double.script().calls.clear();
    drop(fetched);
    let calls = double.script().calls.clone();
    let at = |call| calls.iter().position(|c| *c == call).unwrap();
    assert!(at("wait_on_host") < at("free_pinned"), "{calls:?}");
}

#[test]
fn what_does_not_fit_or_belongs_to_another_device_is_refused() {
    let double = Double::new();
    let mut gpu = on(&double).unwrap();
    let [x, _] = vectors(&mut gpu);
    let short = gpu.host_block(15).unwrap();
    assert!(matches!(gpu.post(short, &x).unwrap_err(), Error::Extent { op: "post", .. }));
    let short = gpu.host_block(15).unwrap();
    assert!(matches!(gpu.fetch(&x, short).unwrap_err(), Error::Extent { op: "fetch", .. }));
    let mut other = on(&Double::new()).unwrap();
    let [far, _] = vectors(&mut other);
    let block = other.host_block(16).unwrap();
    let transfer = other.post(block, &far).unwrap();
    assert!(matches!(gpu.arrive(&transfer).unwrap_err(), Error::Foreign { op: "arrive" }));
    assert!(matches!(gpu.recover(transfer).unwrap_err(), Error::Foreign { op: "recover" }));
    let plain = Transfer::over(HostBlock::plain(16));
    assert!(matches!(gpu.recover(plain).unwrap_err(), Error::Foreign { op: "recover" }));
}

/// On a device without streams they are over when they begin.
#[test]
fn the_cpu_copies_at_once() {
    let mut cpu = crate::cpu::Cpu::new(1).unwrap();
    let buffer = cpu.alloc(DType::F32, 2).unwrap();
    let mut block = cpu.host_block(8).unwrap();
    block.copy_from_slice(bytemuck::cast_slice(&[1.0f32, 2.0]));
    let posted = cpu.post(block, &buffer).unwrap();
    assert!(posted.is_over());
    cpu.arrive(&posted).unwrap();
    assert_eq!(cpu.read::<f32>(&buffer).unwrap(), [1.0, 2.0]);
    let block = cpu.recover(posted).unwrap();
    let fetched = cpu.fetch(&buffer, block).unwrap();
    assert_eq!(bytemuck::cast_slice::<u8, f32>(&cpu.recover(fetched).unwrap()), [1.0, 2.0]);
}
