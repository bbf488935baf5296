//! Every check of a well-formed call.

use std::fmt::Display;

use ltm_engine::cpu::Cpu;
use ltm_engine::{Buffer, DType, Device};

use crate::{Arg, Case, Data, Expected, Role, check_derivative};

/// Elements before and after an argument. An odd number, so that arguments do not lie on
/// cache lines as whole allocations do.
const GUARD: usize = 5;
/// What guards hold.
const PATTERN: u8 = 0xA5;
/// Thread counts whose results must agree.
const THREADS: [usize; 3] = [1, 2, 3];

/// A CPU device.
///
/// # Panics
/// If its threads cannot be started.
pub fn device(threads: usize) -> Cpu {
    Cpu::new(threads).expect("threads can be started")
}

/// An argument inside a larger buffer.
struct Guarded {
    whole: Buffer,
    inner: Buffer,
}

impl Guarded {
    fn new(device: &mut dyn Device, data: &Data) -> ltm_engine::Result<Self> {
        let whole = device.alloc(data.dtype(), data.len() + 2 * GUARD)?;
        device.upload_bytes(&whole, &vec![PATTERN; whole.byte_len()])?;
        let inner = whole.slice(GUARD..GUARD + data.len())?;
        device.upload_bytes(&inner, &data.bytes())?;
        Ok(Self { whole, inner })
    }

    /// The contents, and whether the guards are whole.
    fn contents(&self, device: &mut dyn Device) -> ltm_engine::Result<(Vec<u8>, bool)> {
        let mut bytes = vec![0; self.whole.byte_len()];
        device.download_bytes(&self.whole, &mut bytes)?;
        let guard = GUARD * self.whole.dtype().size();
        let end = bytes.len() - guard;
        let whole = bytes[..guard].iter().chain(&bytes[end..]).all(|&b| b == PATTERN);
        Ok((bytes[guard..end].to_vec(), whole))
    }
}

/// Runs a call once; returns the bytes of all arguments.
fn run(case: &dyn Case, args: &[Arg], device: &mut dyn Device) -> Result<Vec<Vec<u8>>, String> {
    let text = |e: ltm_engine::Error| e.to_string();
    let guarded = args
        .iter()
        .map(|arg| Guarded::new(device, &arg.data))
        .collect::<ltm_engine::Result<Vec<_>>>()
        .map_err(text)?;
    let buffers: Vec<Buffer> = guarded.iter().map(|g| g.inner.clone()).collect();
    case.call(device, &buffers).map_err(text)?;
    device.synchronize().map_err(text)?;
    let mut results = Vec::new();
    for (arg, guarded) in args.iter().zip(&guarded) {
        let (bytes, whole) = guarded.contents(device).map_err(text)?;
        if !whole {
            return Err(format!("wrote beyond the ends of {}", arg.name));
        }
        if arg.role == Role::Input && bytes != arg.data.bytes() {
            return Err(format!("changed its input {}", arg.name));
        }
        results.push(bytes);
    }
    Ok(results)
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
    let args = case.args();
    let first = run(case, &args, &mut devices[0])?;
    let outputs = args.iter().zip(&first).filter(|(arg, _)| arg.role == Role::Output);
    let expected = case.expected();
    if outputs.clone().count() != expected.len() {
        return Err("the case expects another number of outputs than it has".into());
    }
    for ((arg, bytes), expected) in outputs.zip(&expected) {
        let found = Data::from_bytes(arg.data.dtype(), bytes).widened();
        compare(arg.name, &found, expected)?;
    }
    for (device, threads) in devices.iter_mut().zip(THREADS) {
        for repeat in 0..2 {
            if run(case, &args, device)? != first {
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
    let only = std::env::var("LTM_CASE").ok();
    let mut failures = Vec::new();
    for case in cases {
        let name = case.to_string();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        if let Err(reason) = verify_one(&case, &mut devices) {
            failures.push(Failure { name, reason });
        }
    }
    let shown: Vec<String> = failures.iter().take(12).map(Failure::to_string).collect();
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), shown.join("\n"));
}

struct Failure {
    name: String,
    reason: String,
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "  {}: {}", self.name, self.reason)
    }
}

/// A zeroed buffer of another type than `dtype`.
pub(crate) fn other_type(dtype: DType) -> DType {
    if dtype == DType::F32 { DType::I32 } else { DType::F32 }
}
