//! AdamW and the global-norm clip.

use ltm_engine::ops::{AdamW, AdamWSegment, AdamWStep, GlobalNorm};
use ltm_engine::{Buffer, DType, Device, Result};

use crate::numbers::{gaussians, normals};
use crate::reference::adamw::{State, global_norm};
use crate::{Arg, Case, Data, Expected, Format, Inputs, Role, Rounding};

/// `adamw`. In bf16 it keeps a rounded copy of the parameters, which are f32 either way.
#[derive(Clone, Debug)]
pub struct Step {
    /// Lengths of the segments; every other one decays.
    pub segments: Vec<usize>,
    /// Number of the step, from 1.
    pub number: u64,
    /// Factor of the gradients.
    pub clip: Option<f64>,
}

/// `global_norm`.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Elements.
    pub len: usize,
    /// Norm that is not exceeded after clipping; 0 disables.
    pub limit: f64,
}

printed!(Step, Norm);

impl Step {
    fn len(&self) -> usize {
        self.segments.iter().sum()
    }

    /// Constants of the step.
    pub fn constants(&self) -> AdamWStep {
        let number = self.number;
        AdamWStep { lr: 4e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, number }
    }

    /// The arguments where the norm of the gradients is `norm`; with a clip factor alone.
    pub fn args_of_norm(&self, norm: f64, format: Format) -> Vec<Arg> {
        let mut args = self.args(format);
        for arg in args.iter_mut().filter(|arg| arg.name == "clip") {
            arg.data = Data::F64(vec![norm, self.clip.unwrap_or(1.0)]);
        }
        args
    }

    fn segments(&self) -> Vec<AdamWSegment> {
        let mut offset = 0;
        let segment = |(i, &len): (usize, &usize)| {
            offset += len;
            AdamWSegment { offset: offset - len, len, decay: i % 2 == 0 }
        };
        self.segments.iter().enumerate().map(segment).collect()
    }

    /// Moments as earlier steps leave them.
    fn moments(&self) -> [Vec<f32>; 2] {
        let n = self.len();
        let moments = |seed| match self.number {
            1 => vec![0.0; n],
            _ => gaussians(seed, n, 0.0, 0.3),
        };
        [moments(3), moments(4).iter().map(|x| x * x).collect()]
    }
}

impl Case for Step {
    fn op(&self) -> &'static str {
        "adamw"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let n = self.len();
        let [first, second] = self.moments();
        let mut args = vec![
            Arg::updated("params", normals(1, n)),
            Arg::input("gradients", normals(2, n)),
            Arg::updated("first_moment", first),
            Arg::updated("second_moment", second),
        ];
        if format.storage == DType::BF16 {
            args.push(format.overwritten("copy", n));
        }
        let constants = self.constants().constants().expect("a step from 1");
        args.push(Arg::input("step", constants.to_vec()));
        if let Some(factor) = self.clip {
            let data = Data::F64(vec![1e300, factor]);
            args.push(Arg { name: "clip", data, role: Role::Input });
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let copy = b.len() > 5 + self.clip.is_some() as usize;
        device.adamw(&AdamW {
            params: &b[0],
            gradients: &b[1],
            first_moment: &b[2],
            second_moment: &b[3],
            copy: copy.then(|| &b[4]),
            clip: self.clip.map(|_| &b[b.len() - 1]),
            segments: &self.segments(),
            step: &b[4 + usize::from(copy)],
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let factor = self.clip.unwrap_or(1.0);
        let gradients: Vec<f64> = inputs.numbers("gradients").iter().map(|g| g * factor).collect();
        let segments = self.segments();
        let decays = |i: usize| {
            segments.iter().any(|s| s.decay && (s.offset..s.offset + s.len).contains(&i))
        };
        let [params, first, second] =
            ["params", "first_moment", "second_moment"].map(|name| inputs.numbers(name));
        let mut state = State { params, first, second };
        state.step(&gradients, &self.constants(), decays);
        let State { params, first, second } = state;
        let params = Expected::new(params, 2.0);
        let mut expected =
            vec![params.clone(), Expected::new(first, 4.0), Expected::new(second, 4.0)];
        if inputs.has("copy") {
            expected.push(params);
        }
        expected
    }
}

impl Case for Norm {
    fn op(&self) -> &'static str {
        "global_norm"
    }

    fn args(&self, _: Format) -> Vec<Arg> {
        vec![Arg::input("gradients", normals(1, self.len)), Arg::overwritten_f64("out", 2)]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (gradients, out, limit) = (&b[0], &b[1], self.limit);
        device.global_norm(&GlobalNorm { gradients, out, limit })
    }

    /// Any length is well-formed.
    fn has_free_length(&self, name: &str) -> bool {
        name == "gradients"
    }

    /// Summed in f64. The engine adds 1e-6 to the norm in the factor only.
    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let out = global_norm(&inputs.numbers("gradients"), self.limit);
        let tiny = 2e-6 / f32::EPSILON as f64;
        let near = self.limit > 0.0 && (out[0] - self.limit).abs() < 1e-5;
        vec![Expected::new(out.to_vec(), if near { tiny } else { 1e-5 })]
    }
}
