//! Every check of a well-formed call on the virtual GPU, or on the one under test.

use ltm_engine::cpu::Cpu;
use ltm_engine::gpu::{Gpu, Vm};
use ltm_engine::{DType, Device};

use crate::{
    Case, Data, Expected, Failures, Format, Inputs, Layout, Role, Rounding, TestGpu, device, run,
};

/// A virtual GPU on `threads` threads.
pub fn virtual_gpu(threads: usize) -> Gpu<Vm> {
    Gpu::virtual_gpu(threads)
}

/// How far one output is from its reference.
#[derive(Clone, Copy, Debug, Default)]
struct Distance {
    /// Of the element that is farthest off, relative to its size or, where that is larger, to
    /// the size of the terms.
    largest: f64,
    /// Which one.
    at: usize,
    /// Root mean square over the elements.
    mean: f64,
}

impl Distance {
    fn new(found: &[f64], values: &[f64], terms: f64) -> Self {
        let mut distance = Self::default();
        for (i, (f, e)) in found.iter().zip(values).enumerate() {
            if f == e || (f.is_nan() && e.is_nan()) {
                continue;
            }
            let off = (f - e).abs() / e.abs().max(terms);
            // One of them NaN, or nothing expected at all, is the worst there is.
            let off = if off.is_nan() { f64::INFINITY } else { off };
            if off > distance.largest {
                (distance.largest, distance.at) = (off, i);
            }
            distance.mean += off * off;
        }
        distance.mean = (distance.mean / found.len().max(1) as f64).sqrt();
        distance
    }
}

/// The values of one output.
struct Output<'a> {
    name: &'static str,
    found: Vec<f64>,
    expected: &'a Expected,
}

impl Output<'_> {
    fn failure(&self, i: usize, reason: String) -> String {
        let (name, found, value) = (self.name, self.found[i], self.expected.values[i]);
        format!("{name}[{i}] is {found:e}, expected {value:e}: {reason}")
    }

    /// Equal bit for bit, up to the sign of zero.
    fn is(&self, values: &[f64]) -> Result<(), String> {
        let differs = |i: &usize| {
            let (f, e) = (self.found[*i], values[*i]);
            f != e && !(f.is_nan() && e.is_nan())
        };
        match (0..self.found.len()).find(differs) {
            None => Ok(()),
            Some(i) => Err(self.failure(i, format!("exactly {:e} is due", values[i]))),
        }
    }

    /// Within a relative distance of `values`.
    fn is_near(&self, values: &[f64], whose: &str, tolerance: f64) -> Result<(), String> {
        let distance = Distance::new(&self.found, values, self.expected.terms);
        if distance.largest <= tolerance {
            return Ok(());
        }
        let Distance { largest, at, .. } = distance;
        let reason =
            format!("{largest:.2e} from {whose} {:e}, {tolerance:.0e} allowed", values[at]);
        Err(self.failure(at, reason))
    }

    /// Not more than twice as far from the reference as `simulated` is, by the largest and by
    /// the mean distance.
    fn is_as_near_as(&self, simulated: &[f64], tolerance: f64) -> Result<(), String> {
        let Expected { values, terms, .. } = self.expected;
        let own = Distance::new(&self.found, values, *terms);
        let theirs = Distance::new(simulated, values, *terms);
        for (what, own_part, their_part) in
            [("largest", own.largest, theirs.largest), ("mean", own.mean, theirs.mean)]
        {
            let allowed = 2.0 * their_part + tolerance;
            if own_part.is_nan() || own_part > allowed {
                let reason = format!(
                    "{what} error {own_part:.2e}, and {their_part:.2e} of the same in bf16 steps \
                     ({:e})",
                    simulated[own.at]
                );
                return Err(self.failure(own.at, reason));
            }
        }
        Ok(())
    }
}

/// Calls on the GPU under test, with their verdicts.
pub struct Kernels {
    gpu: TestGpu,
    cpu: Cpu,
    failures: Failures,
    tolerance: f64,
}

impl Kernels {
    /// No calls yet. `tolerance` is the relative error that f32 is allowed.
    pub fn new(tolerance: f64) -> Self {
        let failures = Failures::default();
        Self { gpu: TestGpu::open(1), cpu: device(1), failures, tolerance }
    }

    /// In f32: against the reference in f64 and against the CPU. In bf16: against the reference
    /// for the rounded arguments, within twice the error of a computation that rounds wherever
    /// PyTorch does. Integers: exactly.
    pub fn check(&mut self, case: &dyn Case, format: Format, layout: Layout) {
        let Self { gpu, cpu, failures, tolerance } = self;
        failures.run(name(case, format, layout), || {
            judge(case, format, layout, gpu.device(), cpu, *tolerance)
        });
    }

    /// In f32 and in bf16.
    pub fn check_both(&mut self, case: &dyn Case) {
        self.check(case, Format::F32, Layout::WHOLE);
        self.check(case, Format::BF16, Layout::WHOLE);
    }

    /// In f32 and in bf16, with arguments that no wide access may touch.
    pub fn check_shifted(&mut self, case: &dyn Case) {
        self.check(case, Format::F32, Layout::SHIFTED);
        self.check(case, Format::BF16, Layout::SHIFTED);
    }

    /// The same bits and the same counts from one run to the next and for one thread and two.
    pub fn repeat(&mut self, case: &dyn Case) {
        for format in [Format::F32, Format::BF16] {
            let name = name(case, format, Layout::WHOLE);
            self.failures.run(name, || repeated(case, format));
        }
    }

    /// The end of the test.
    ///
    /// # Panics
    /// With the names of the calls that failed.
    pub fn finish(self) {
        self.failures.finish();
    }
}

/// What reruns a call alone.
fn name(case: &dyn Case, format: Format, layout: Layout) -> String {
    let shifted = if layout == Layout::SHIFTED { " shifted" } else { "" };
    format!("{case} in {format}{shifted}")
}

fn judge(
    case: &dyn Case,
    format: Format,
    layout: Layout,
    gpu: &mut dyn Device,
    cpu: &mut dyn Device,
    tolerance: f64,
) -> Result<(), String> {
    let args = case.args(format);
    let inputs = Inputs::new(&args);
    let exact = case.expected(&inputs, Rounding::Exact);
    let simulated = case.expected(&inputs, Rounding::Bf16);
    let contents = run(case, &args, gpu, layout)?;
    let reference = match format {
        Format::F32 => Some(run(case, &args, cpu, layout)?),
        _ => None,
    };
    let outputs = args.iter().enumerate().filter(|(_, arg)| arg.role == Role::Output);
    for ((i, arg), (expected, simulated)) in outputs.zip(exact.iter().zip(&simulated)) {
        let dtype = arg.data.dtype();
        let numbers = |bytes: &[u8]| Data::from_bytes(dtype, bytes).widened();
        let found = numbers(&contents[i]);
        let output = Output { name: arg.name, found, expected };
        let rounding = if dtype == DType::BF16 { Rounding::Bf16 } else { Rounding::Exact };
        if format.whole || expected.roundings == 0.0 {
            output.is(&rounding.all(expected.values.clone()))?;
        } else if format.storage == DType::BF16 {
            output.is_as_near_as(&rounding.all(simulated.values.clone()), tolerance)?;
        } else {
            output.is_near(&expected.values, "the reference", tolerance)?;
        }
        if let Some(reference) = &reference {
            output.is_near(&numbers(&reference[i]), "the CPU", tolerance)?;
        }
    }
    Ok(())
}

fn repeated(case: &dyn Case, format: Format) -> Result<(), String> {
    let args = case.args(format);
    let mut first = None;
    for threads in [1, 2] {
        let mut gpu = TestGpu::open(threads);
        for _ in 0..2 {
            let contents = run(case, &args, gpu.device(), Layout::WHOLE)?;
            let launches = gpu.take_launches();
            let (bits, counts) = first.get_or_insert((contents.clone(), launches.clone()));
            if *bits != contents {
                return Err(format!("other bits on {threads} threads"));
            }
            if *counts != launches {
                return Err(format!("other counts on {threads} threads"));
            }
        }
    }
    Ok(())
}
