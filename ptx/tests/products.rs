//! The matrix products on the virtual GPU: exact sums of small integers in every variant of the
//! kernels, and what they ask of memory.

use ltm_ptx::launch::linear::{self, LinearBackwardInput, LinearBackwardWeight, LinearForward};
use ltm_ptx::launch::linear_cross_entropy::{self, LinearCrossEntropy};
use ltm_ptx::vm::counters::Counters;
use ltm_ptx::vm::{Config, Program, VirtualGpu};
use ltm_ptx::{Launch, Storage};

/// A virtual GPU with the modules under test.
struct Bench {
    gpu: VirtualGpu,
    linear: Program,
    loss: Program,
}

impl Bench {
    fn new() -> Self {
        let gpu = VirtualGpu::new(Config::default());
        let linear = gpu.load(linear::MODULE.ptx).unwrap();
        let loss = gpu.load(linear_cross_entropy::MODULE.ptx).unwrap();
        Self { gpu, linear, loss }
    }

    fn run(&self, launch: &Launch) -> Counters {
        let program = match launch.entry.module {
            "linear" => &self.linear,
            _ => &self.loss,
        };
        let Launch { entry, grid, block, shared_bytes, args } = launch;
        self.gpu
            .launch(program, entry.name, *grid, *block, *shared_bytes, args)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn upload(&self, storage: Storage, numbers: &[f32]) -> u64 {
        let bytes: Vec<u8> = match storage {
            Storage::F32 => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Storage::Bf16 => numbers.iter().flat_map(|x| bf16_bytes(*x)).collect(),
        };
        let address = self.gpu.alloc(bytes.len()).unwrap();
        self.gpu.write(address, &bytes).unwrap();
        address
    }

    fn download(&self, storage: Storage, address: u64, count: usize) -> Vec<f32> {
        let mut bytes = vec![0; count * storage.size()];
        self.gpu.read(address, &mut bytes).unwrap();
        match storage {
            Storage::F32 => {
                bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
            }
            Storage::Bf16 => {
                let bits = bytes.as_chunks::<2>().0.iter().map(|&b| u16::from_le_bytes(b));
                bits.map(|b| f32::from_bits((b as u32) << 16)).collect()
            }
        }
    }
}

/// Of a number that bf16 holds exactly.
fn bf16_bytes(x: f32) -> [u8; 2] {
    assert_eq!(x.to_bits() & 0xffff, 0, "{x} is no bf16");
    ((x.to_bits() >> 16) as u16).to_le_bytes()
}

/// Integers of -1, 0 and 1 without a pattern that a wrong index could meet.
fn integers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) % 3
    };
    (0..count).map(|_| next() as f32 - 1.0).collect()
}

/// `sum_k a(i, k) b(k, j)`.
fn product(
    m: usize,
    n: usize,
    k: usize,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let number = |i, j| (0..k).map(|k| a(i, k) * b(k, j)).sum();
    (0..m * n).map(|at| number(at / n, at % n)).collect()
}

/// Rows, inner, outer: ragged ones, aligned ones of every tile, and one or few rows.
const SHAPES: [[u32; 3]; 8] = [
    [1, 7, 5],
    [1, 64, 97],
    [3, 33, 1],
    [8, 128, 40],
    [129, 64, 72],
    [129, 65, 71],
    [257, 128, 64],
    [9, 200, 1001],
];

const STORAGES: [Storage; 2] = [Storage::F32, Storage::Bf16];

#[test]
fn forward_is_exact_on_integers() {
    let bench = Bench::new();
    for [rows, inner, outer] in SHAPES {
        let (r, k, o) = (rows as usize, inner as usize, outer as usize);
        let (x, weight, residual) = (integers(r * k, 1), integers(o * k, 2), integers(r * o, 3));
        let mut expected = product(r, o, k, |i, q| x[i * k + q], |q, j| weight[j * k + q]);
        expected.iter_mut().zip(&residual).for_each(|(e, r)| *e += r);
        for storage in STORAGES {
            let launch = LinearForward {
                x: bench.upload(storage, &x),
                weight: bench.upload(storage, &weight),
                residual: bench.upload(storage, &residual),
                out: bench.gpu.alloc(r * o * storage.size()).unwrap(),
                rows,
                inner,
                outer,
            };
            bench.run(&launch.launch(storage).unwrap());
            let found = bench.download(storage, launch.out, r * o);
            assert_eq!(found, expected, "{launch:?} {storage:?}");
        }
    }
}

#[test]
fn backward_input_is_exact_on_integers() {
    let bench = Bench::new();
    for [rows, inner, outer] in SHAPES {
        let (r, k, o) = (rows as usize, inner as usize, outer as usize);
        let (d_out, weight, start) = (integers(r * o, 1), integers(o * k, 2), integers(r * k, 3));
        let plain = product(r, k, o, |i, q| d_out[i * o + q], |q, j| weight[q * k + j]);
        let added: Vec<f32> = plain.iter().zip(&start).map(|(p, s)| p + s).collect();
        for (storage, accumulate) in STORAGES.into_iter().flat_map(|s| [(s, true), (s, false)]) {
            let launch = LinearBackwardInput {
                d_out: bench.upload(storage, &d_out),
                weight: bench.upload(storage, &weight),
                d_x: bench.upload(storage, &start),
                accumulate,
                rows,
                inner,
                outer,
            };
            bench.run(&launch.launch(storage).unwrap());
            let found = bench.download(storage, launch.d_x, r * k);
            assert_eq!(found, *if accumulate { &added } else { &plain }, "{launch:?} {storage:?}");
        }
    }
}

#[test]
fn backward_weight_is_exact_on_integers() {
    let bench = Bench::new();
    for [rows, inner, outer] in SHAPES.into_iter().chain([[1031, 40, 24], [1031, 9, 13]]) {
        let (r, k, o) = (rows as usize, inner as usize, outer as usize);
        let (d_out, x, start) = (integers(r * o, 1), integers(r * k, 2), integers(o * k, 3));
        let mut expected = product(o, k, r, |i, q| d_out[q * o + i], |q, j| x[q * k + j]);
        expected.iter_mut().zip(&start).for_each(|(e, s)| *e += s);
        for storage in STORAGES {
            let launch = LinearBackwardWeight {
                d_out: bench.upload(storage, &d_out),
                x: bench.upload(storage, &x),
                d_weight: bench.upload(Storage::F32, &start),
                rows,
                inner,
                outer,
            };
            let scratch = bench.gpu.alloc(launch.scratch_bytes(storage)).unwrap();
            let launches = launch.launches(storage, scratch);
            assert_eq!(launches.len(), if rows > 1000 { 2 } else { 1 }, "{launch:?}");
            launches.iter().for_each(|launch| {
                bench.run(launch);
            });
            let found = bench.download(Storage::F32, launch.d_weight, o * k);
            assert_eq!(found, expected, "{launch:?} {storage:?}");
        }
    }
}

/// The large tiles: A is asked for once per column of tiles, B once per row of tiles, in whole
/// sectors, and no access to shared memory waits for a bank.
#[test]
fn large_tiles_ask_for_each_operand_once_per_block() {
    let bench = Bench::new();
    let (storage, [rows, inner, outer]) = (Storage::Bf16, [2048 - 8, 64, 1024]);
    let (r, k, o) = (rows as usize, inner as usize, outer as usize);
    let x = bench.upload(storage, &integers(r * o, 1));
    let weight = bench.upload(storage, &integers(o * o, 2));
    let out = bench.gpu.alloc(r * o * 4).unwrap();
    let forward = LinearForward { x, weight, residual: 0, out, rows, inner, outer };
    let launch = forward.launch(storage).unwrap();
    assert_eq!(launch.entry.name, "linear_forward_bf16");
    let counters = bench.run(&launch);
    let (row_tiles, column_tiles) = (r.div_ceil(128), o.div_ceil(128));
    assert_eq!(counters.global_read_bytes, (2 * k * (r * column_tiles + o * row_tiles)) as u64);
    assert_eq!(counters.global_written_bytes, 2 * (r * o) as u64);
    assert_eq!(counters.coalescing_percent(), 100.0);
    assert_eq!(counters.shared_bank_conflicts, 0);
    // Whole tiles, though the last row of them is not full.
    assert_eq!(counters.tensor_flops, (2 * 128 * 128 * row_tiles * column_tiles * k) as u64);

    let [inner, outer] = [outer, inner];
    let backward =
        LinearBackwardInput { d_out: x, weight, d_x: out, accumulate: false, rows, inner, outer };
    let launch = backward.launch(storage).unwrap();
    assert_eq!(launch.entry.name, "linear_backward_input_bf16");
    let counters = bench.run(&launch);
    assert_eq!(counters.global_read_bytes, (2 * k * (r * column_tiles + o * row_tiles)) as u64);
    assert_eq!(counters.coalescing_percent(), 100.0);
    assert_eq!(counters.shared_bank_conflicts, 0);

    bench.gpu.zero(out, r * o * 4).unwrap();
    let [rows, inner, outer] = [64, o as u32, rows];
    let backward = LinearBackwardWeight { d_out: x, x: weight, d_weight: out, rows, inner, outer };
    let launches = backward.launches(storage, 0);
    assert_eq!(launches[0].entry.name, "linear_backward_weight_bf16");
    let counters = bench.run(&launches[0]);
    let operands = 2 * k * (r * column_tiles + o * row_tiles);
    assert_eq!(counters.global_read_bytes, (operands + 4 * r * o) as u64);
    // Rows of d_out are no whole number of sectors: every second one begins in the middle of one.
    assert!(counters.coalescing_percent() > 99.0, "{counters:?}");
    assert_eq!(counters.shared_bank_conflicts, 0);
}

/// The loss asks for the projection once per 64 rows and never stores logits.
#[test]
fn losses_read_the_projection_once_per_tile_of_rows() {
    let bench = Bench::new();
    let storage = Storage::Bf16;
    let [rows, width, vocab] = [128u32, 512, 257];
    let (r, d, v) = (rows as usize, width as usize, vocab as usize);
    let targets: Vec<u8> = (0..rows as i32).flat_map(|t| t.to_le_bytes()).collect();
    let at = bench.gpu.alloc(targets.len()).unwrap();
    bench.gpu.write(at, &targets).unwrap();
    let fault = bench.gpu.alloc(8).unwrap();
    bench.gpu.zero(fault, 8).unwrap();
    let loss = LinearCrossEntropy {
        hidden: bench.upload(storage, &integers(r * d, 1)),
        weight: bench.upload(storage, &integers(v * d, 2)),
        targets: at,
        token_nll: bench.gpu.alloc(r * 4).unwrap(),
        logsumexp: bench.gpu.alloc(r * 4).unwrap(),
        d_hidden: bench.gpu.alloc(r * d * 2).unwrap(),
        d_weight: bench.upload(Storage::F32, &vec![0.0; v * d]),
        scale: 1.0,
        fault,
        rows,
        width,
        vocab,
    };
    let scratch = bench.gpu.alloc(loss.scratch_bytes(storage)).unwrap();
    let launches = loss.launches(storage, scratch);
    let counters: Vec<Counters> = launches.iter().map(|launch| bench.run(launch)).collect();
    assert_eq!(launches.len(), 3);
    let hidden_pass = counters[0];
    let (once, tiles) = (2 * r * d, r / 64);
    assert_eq!(hidden_pass.global_read_bytes, (once + 2 * v * d * tiles + read_targets(r)) as u64);
    assert_eq!(hidden_pass.shared_bank_conflicts, 0);
    // The weighted sums, and three statistics for each row.
    assert_eq!(hidden_pass.global_written_bytes, (4 * r * d + 12 * r) as u64);
    let weight_pass = counters[2];
    assert_eq!(weight_pass.shared_bank_conflicts, 0);
    assert_eq!(weight_pass.global_written_bytes, (4 * v * d) as u64);
}

/// Each target is read by the four lanes that hold its logits.
fn read_targets(rows: usize) -> usize {
    4 * 4 * rows
}
