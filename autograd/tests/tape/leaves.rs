//! Values that a test binds, and their gradients against central differences.

use ltm_autograd::{GradientMode, Program, Tape, Var};
use ltm_engine::cpu::Cpu;
use ltm_engine::{Buffer, DType, DeviceExt};

use crate::{bind, normals};

/// Step along a direction of unit deviation. The loss is summed in f64 from f32 terms good to
/// 1e-6, so the slope is good to 1e-6 / STEP; the third derivative adds STEP^2.
const STEP: f32 = 2e-3;
const TOLERANCE: f64 = 5e-3;

/// A weight or an input, its gradient if it has one, and its numbers.
pub struct Leaf {
    pub value: Var,
    pub gradient: Option<Var>,
    pub numbers: Vec<f32>,
}

impl Leaf {
    /// Records a value of these numbers, with a gradient that is added to where one is `wanted`.
    pub fn record(tape: &mut Tape, numbers: Vec<f32>, wanted: bool) -> Self {
        let (value, gradient) = match wanted {
            true => {
                let (value, gradient) = tape.variable(numbers.len(), GradientMode::Add);
                (value, Some(gradient))
            }
            false => (tape.constant(DType::F32, numbers.len()), None),
        };
        Self { value, gradient, numbers }
    }

    /// Binds the numbers, and zeros for the gradient.
    pub fn bind(self, device: &mut Cpu, program: &mut Program) -> Bound {
        let Self { value, gradient, numbers } = self;
        let zeros = vec![0.0; numbers.len()];
        Bound {
            value: bind(device, program, value, &numbers),
            gradient: gradient.map(|gradient| bind(device, program, gradient, &zeros)),
            numbers,
        }
    }
}

/// A leaf as bound.
pub struct Bound {
    /// Its numbers at the start.
    pub numbers: Vec<f32>,
    /// Its memory.
    pub value: Buffer,
    /// Where its gradient goes.
    pub gradient: Option<Buffer>,
}

/// Holds the gradients, computed before, to slopes of `loss`, which runs the program forward.
pub fn assert_slopes(device: &mut Cpu, leaves: &[Bound], loss: impl Fn(&mut Cpu) -> f64) {
    for (i, Bound { numbers, value, gradient }) in leaves.iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        let gradient = device.read::<f32>(gradient).unwrap();
        let size = gradient.iter().map(|&g| (g as f64).powi(2)).sum::<f64>().sqrt();
        assert!(size > 1e-3, "leaf {i} has a gradient");
        let direction = normals(31 + i as u64, numbers.len());
        let mut slope = 0.0;
        for step in [STEP, -STEP] {
            let moved: Vec<f32> =
                numbers.iter().zip(&direction).map(|(x, along)| x + step * along).collect();
            device.upload(value, &moved).unwrap();
            slope += loss(device) / (2.0 * step as f64);
        }
        device.upload(value, numbers).unwrap();
        let claimed: f64 = gradient.iter().zip(&direction).map(|(g, d)| (g * d) as f64).sum();
        let error = (slope - claimed).abs() / size;
        assert!(error < TOLERANCE, "leaf {i}: slope {slope}, claimed {claimed}, norm {size}");
    }
}
