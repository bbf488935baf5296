//! Every operation of the engine on the CPU, forward and backward, at the `tiny` and `small`
//! shapes. See `benches/README.md`.

mod attention;
mod embedding;
mod gaussian;
mod latents;
mod linear;
mod optimiser;
mod random;
mod rows;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ltm_benches::{Model, Rig, Work};
use ltm_engine::Result;
use ltm_engine::cpu::Cpu;

/// Measures `call` as `operation/shape/unit`, with the rate in that unit.
fn measure(
    criterion: &mut Criterion,
    operation: &str,
    model: &Model,
    work: Work,
    rig: &mut Rig,
    call: impl Fn(&mut Cpu) -> Result<()>,
) {
    let (unit, throughput) = match work {
        Work::Elements(n) => ("bytes", Throughput::Bytes(4 * n as u64)),
        Work::Flops(n) => ("flop", Throughput::Elements(n as u64)),
    };
    let mut group = criterion.benchmark_group(operation);
    group.throughput(throughput).sample_size(10);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.bench_function(format!("{}/{unit}", model.name), |bencher| {
        bencher.iter(|| black_box(call(&mut rig.device)).expect("a well-formed call"));
    });
    group.finish();
}

criterion_group!(
    operations,
    rows::benches,
    embedding::benches,
    linear::benches,
    attention::benches,
    latents::benches,
    gaussian::benches,
    optimiser::benches,
    random::benches,
);
criterion_main!(operations);
