//! What every operation relies on, on a driver of host memory that launches nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ltm_ptx::{Launch, Storage};

use super::{Driver, Gpu, Release, extent, optional, pointer, storage};
use crate::cpu::Cpu;
use crate::rope::RopeTable;
use crate::{Buffer, DType, Device, DeviceExt, Error, MemoryInfo, Result, bf16};

/// Blocks by address.
type Blocks = Arc<Mutex<BTreeMap<u64, Vec<u8>>>>;

/// Blocks start at multiples of 256 and lie a page apart, filled with what nobody expects.
#[derive(Default)]
struct Host {
    blocks: Blocks,
    next: u64,
}

impl Host {
    fn with<R>(&self, address: u64, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut blocks = self.blocks.lock().unwrap();
        let (start, block) = blocks.range_mut(..=address).next_back().expect("a block");
        f(&mut block[(address - start) as usize..])
    }
}

impl Driver for Host {
    fn name(&self) -> String {
        "host memory".into()
    }

    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)> {
        let address = self.next + 4096;
        self.next = (address + bytes as u64).next_multiple_of(256);
        self.blocks.lock().unwrap().insert(address, vec![0xa5; bytes]);
        let blocks = self.blocks.clone();
        let release = move |address: usize, bytes: usize| {
            let block = blocks.lock().unwrap().remove(&(address as u64)).expect("a block");
            assert_eq!(block.len(), bytes);
        };
        Ok((address, Box::new(release)))
    }

    fn memory(&self) -> Option<MemoryInfo> {
        None
    }

    fn upload(&mut self, to: u64, bytes: &[u8]) -> Result<()> {
        self.with(to, |block| block[..bytes.len()].copy_from_slice(bytes));
        Ok(())
    }

    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.with(from, |block| bytes.copy_from_slice(&block[..bytes.len()]));
        Ok(())
    }

    fn copy(&mut self, from: u64, to: u64, bytes: usize) -> Result<()> {
        let values = self.with(from, |block| block[..bytes].to_vec());
        self.upload(to, &values)
    }

    fn zero(&mut self, at: u64, bytes: usize) -> Result<()> {
        self.with(at, |block| block[..bytes].fill(0));
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        Err(Error::Kernel { kernel: launch.entry.name, report: "no kernels here".into() })
    }

    fn synchronize(&mut self) -> Result<()> {
        Ok(())
    }
}

fn gpu() -> (Gpu<Host>, Blocks) {
    let host = Host::default();
    let blocks = host.blocks.clone();
    (Gpu::new(host), blocks)
}

#[test]
fn memory_is_zeroed_copied_and_given_back() {
    let (mut gpu, blocks) = gpu();
    let a = gpu.alloc(DType::BF16, 5).unwrap();
    assert_eq!(gpu.read::<bf16>(&a).unwrap(), vec![bf16::ZERO; 5]);
    let values = [1.0, -2.5, 0.0, 3.0, 1e30].map(bf16::from_f32);
    gpu.upload(&a, &values).unwrap();
    let b = gpu.alloc(DType::BF16, 3).unwrap();
    gpu.copy(&a.slice(1..4).unwrap(), &b).unwrap();
    assert_eq!(gpu.read::<bf16>(&b).unwrap(), values[1..4]);
    assert_eq!(gpu.read_numbers(&b).unwrap(), [-2.5, 0.0, 3.0]);
    gpu.zero(&b.slice(0..1).unwrap()).unwrap();
    assert_eq!(gpu.read_numbers(&b).unwrap(), [0.0, 0.0, 3.0]);

    assert!(matches!(gpu.copy(&a, &b), Err(Error::Extent { .. })));
    let part = a.slice(1..4).unwrap();
    assert!(matches!(gpu.copy(&a.slice(0..3).unwrap(), &part), Err(Error::Overlap { .. })));
    let f = gpu.alloc(DType::F32, 3).unwrap();
    let bytes = f.reinterpret(0, DType::BF16, 6).unwrap();
    assert!(matches!(gpu.copy(&b, &bytes.slice(0..3).unwrap()), Ok(())));
    assert_eq!(blocks.lock().unwrap().len(), 3);
    drop((a, b, f, part, bytes));
    assert_eq!(blocks.lock().unwrap().len(), 0);
}

#[test]
fn arguments_become_addresses_and_types() {
    let (mut gpu, _) = gpu();
    let (mut other, _) = self::gpu();
    let a = gpu.alloc(DType::BF16, 8).unwrap();
    let at = |buffer: &Buffer| pointer(gpu.id, "op", buffer);
    assert_eq!(at(&a).unwrap() + 6, at(&a.slice(3..8).unwrap()).unwrap());
    assert_eq!(optional(gpu.id, "op", None).unwrap(), 0);
    assert_eq!(optional(gpu.id, "op", Some(&a)).unwrap(), at(&a).unwrap());
    let foreign = other.alloc(DType::F32, 8).unwrap();
    assert!(matches!(at(&foreign), Err(Error::Foreign { op: "op" })));
    assert!(matches!(gpu.upload(&foreign, &[0.0f32; 8]), Err(Error::Foreign { .. })));

    assert_eq!(storage("op", "a", &a).unwrap(), Storage::Bf16);
    assert_eq!(storage("op", "a", &foreign).unwrap(), Storage::F32);
    let integers = gpu.alloc(DType::I32, 1).unwrap();
    assert!(matches!(storage("op", "a", &integers), Err(Error::Type { .. })));
    assert_eq!(extent("op", "rows", (1 << 31) - 1).unwrap(), (1 << 31) - 1);
    assert!(matches!(extent("op", "rows", 1 << 31), Err(Error::Value { .. })));
}

#[test]
fn scratch_is_kept_until_it_must_grow() {
    let (mut gpu, blocks) = gpu();
    let first = gpu.scratch(1, 100).unwrap();
    assert_eq!(gpu.scratch(1, 40).unwrap(), first);
    assert_ne!(gpu.scratch(0, 8).unwrap(), first);
    assert_eq!(blocks.lock().unwrap().len(), 2);
    assert_ne!(gpu.scratch(1, 1000).unwrap(), first);
    assert_eq!(blocks.lock().unwrap().len(), 2, "the small block is gone");
}

#[test]
fn angles_are_those_of_the_reference() {
    let (mut gpu, blocks) = gpu();
    let mut check = |first: i64, stride: i64, count: usize, head_dim: usize| {
        let rope = gpu.rope(first, stride, count, head_dim, 10_000.0).unwrap();
        let positions = (0..count as i64).map(|i| first + i * stride);
        let table = RopeTable::new(positions, head_dim, 10_000.0);
        let half = head_dim / 2;
        for (at, skip) in [(rope.cos, 0), (rope.sin, 1)] {
            let mut values = vec![0.0f32; count * half];
            gpu.driver().download(at, bytemuck::cast_slice_mut(&mut values)).unwrap();
            for row in 0..count {
                let (cos, sin) = table.row(row);
                let both = [cos, sin][skip];
                for j in 0..half {
                    assert_eq!(values[row * half + j], both[2 * j + skip], "{first} {row} {j}");
                }
            }
        }
        rope
    };
    let long = check(0, 1, 9, 6);
    assert_eq!(check(0, 1, 4, 6), long, "the front of a table that is there");
    let mid = check(5, 1, 3, 6);
    assert_eq!(mid.cos, long.cos + 5 * 3 * 4, "a part of it");
    check(0, 6, 4, 6);
    check(7, 0, 3, 6);
    check(0, 1, 3, 8);
    check(-3, 2, 5, 4);
    check(3, 6, 2, 4);
    // Decoding asks for one position after the other and must not build a table for each.
    let before = blocks.lock().unwrap().len();
    for position in 0..200 {
        check(position, 1, 1, 10);
    }
    let built = (blocks.lock().unwrap().len() - before) / 2;
    assert!(built <= 9, "{built} tables");
    let short = check(0, 1, 2, 12);
    check(0, 1, 40, 12);
    let blocks = blocks.lock().unwrap();
    assert!(blocks.contains_key(&short.cos), "an outgrown table may still be read");
    drop(blocks);
    assert!(matches!(gpu.rope(0, 1, 4, 5, 1e4), Err(Error::Value { .. })));
}

#[test]
fn the_cpu_keeps_bf16_and_computes_in_f32() {
    let mut cpu = Cpu::new(1).unwrap();
    let values = [1.5, -2.0].map(bf16::from_f32);
    let (x, into) = (cpu.alloc_from(&values).unwrap(), cpu.alloc(DType::BF16, 2).unwrap());
    cpu.copy(&x, &into).unwrap();
    assert_eq!(cpu.read_numbers(&into).unwrap(), [1.5, -2.0]);
    assert!(!cpu.stores(DType::BF16) && cpu.stores(DType::F32));
    use crate::ops::{Add, Ops};
    let refusal = cpu.add(&Add { x: &x, into: &into }).unwrap_err();
    assert!(matches!(refusal, Error::Storage { found: DType::BF16, .. }));
    assert!(refusal.to_string().contains("computes in f32"), "{refusal}");
    let floats = cpu.alloc(DType::F32, 2).unwrap();
    let mixed = cpu.add(&Add { x: &x, into: &floats });
    assert!(matches!(mixed, Err(Error::Type { found: DType::BF16, expected: DType::F32, .. })));
}
