//! Every check of a well-formed call on the CPU.

use ltm_engine::cpu::Cpu;

use crate::{
    Case, Data, Expected, Failures, Format, Inputs, Layout, Role, Rounding, check_derivative, run,
};

/// Thread counts whose results must agree.
const THREADS: [usize; 3] = [1, 2, 3];

/// A CPU device.
///
/// # Panics
/// If its threads cannot be started.
pub fn device(threads: usize) -> Cpu {
    Cpu::new(threads).expect("threads can be started")
}

/// Compares one output with its reference; reports the element that is farthest off.
fn compare(name: &str, found: &[f64], expected: &Expected) -> Result<(), String> {
    let Expected { values, roundings: allowed, terms } = expected;
    if found.len() != values.len() {
        return Err(format!("{name} has {} elements, expected {}", found.len(), values.len()));
    }
    let distance = |(f, e): (&f64, &f64)| match f == e || (f.is_nan() && e.is_nan()) {
        true => 0.0,
        false => (f - e).abs() / (f32::EPSILON as f64 * (e.abs() + terms)),
    };
    let mut worst = (0.0, 0);
    for (i, distance) in found.iter().zip(values).map(distance).enumerate() {
        // One of them NaN is the worst there is.
        if distance.is_nan() || distance > worst.0 {
            worst = (if distance.is_nan() { f64::INFINITY } else { distance }, i);
        }
    }
    let (distance, i) = worst;
    if distance <= *allowed {
        return Ok(());
    }
    Err(format!(
        "{name}[{i}] is {:e}, expected {:e}: {distance:.1} roundings, {allowed:.1} allowed",
        found[i], values[i]
    ))
}

fn verify_one(case: &dyn Case, devices: &mut [Cpu]) -> Result<(), String> {
    if let Some(derivative) = case.derivative() {
        check_derivative(&derivative)?;
    }
    let args = case.args(Format::F32);
    let first = run(case, &args, &mut devices[0], Layout::GUARDED)?;
    let outputs = args.iter().zip(&first).filter(|(arg, _)| arg.role == Role::Output);
    let expected = case.expected(&Inputs::new(&args), Rounding::Exact);
    if outputs.clone().count() != expected.len() {
        return Err("the case expects another number of outputs than it has".into());
    }
    for ((arg, bytes), expected) in outputs.zip(&expected) {
        let found = Data::from_bytes(arg.data.dtype(), bytes).widened();
        compare(arg.name, &found, expected)?;
    }
    for (device, threads) in devices.iter_mut().zip(THREADS) {
        for repeat in 0..2 {
            if run(case, &args, device, Layout::GUARDED)? != first {
                return Err(format!("other bits on {threads} threads, run {repeat}"));
            }
        }
    }
    Ok(())
}

/// For every case: the reference gradient against central differences, the engine against
/// the reference, no write outside the outputs, and the same bits for any number of threads
/// and for repeated runs.
///
/// # Panics
/// With the names of the cases that fail.
pub fn verify<C: Case>(cases: impl IntoIterator<Item = C>) {
    let mut devices = THREADS.map(device);
    let mut failures = Failures::default();
    for case in cases {
        failures.run(case.to_string(), || verify_one(&case, &mut devices));
    }
    failures.finish();
}
