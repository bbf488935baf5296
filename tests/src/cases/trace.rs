//! What a pass found of each sequence.

use ltm_engine::ops::Trace;
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::gaussians;
use crate::{Arg, Case, Data, Expected, Format, Inputs, Role, Rounding};

/// `trace`. The sequences are at different steps.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Sequences.
    pub samples: usize,
    /// Tokens of each.
    pub seq: usize,
    /// Steps of the trace, at least 1.
    pub rows: usize,
}

printed!(Record);

impl Record {
    fn steps(&self) -> Vec<i32> {
        (0..self.samples).map(|sample| (sample * 5 % self.rows) as i32).collect()
    }
}

impl Case for Record {
    fn op(&self) -> &'static str {
        "trace"
    }

    fn args(&self, _: Format) -> Vec<Arg> {
        let Self { samples, seq, rows } = *self;
        // Nats of a large vocabulary; of several magnitudes, so that the order of a sum shows.
        let nll = gaussians(1, samples * seq, 0.0, 3.0).iter().map(|x| x.exp()).collect();
        let kl = gaussians(2, samples, 40.0, 9.0).iter().map(|&x| f64::from(x) / 3.0).collect();
        let step = Arg { name: "step", data: Data::I32(self.steps()), role: Role::Output };
        vec![
            Arg::input("token_nll", nll),
            Arg { name: "kl", data: Data::F64(kl), role: Role::Input },
            step,
            Arg::overwritten_f64("trace", rows * 2 * samples),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { samples, seq, rows } = *self;
        let (token_nll, kl, step, trace) = (&b[0], &b[1], &b[2], &b[3]);
        device.trace(&Trace { token_nll, kl, step, trace, samples, seq, rows })
    }

    /// Bit for bit: one order of the sum.
    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let (nll, kl) = (inputs.numbers("token_nll"), inputs.numbers("kl"));
        let mut trace = vec![f64::NAN; self.rows * 2 * self.samples];
        for (sample, step) in self.steps().into_iter().enumerate() {
            let at = step as usize * 2 * self.samples + sample;
            let tokens = &nll[sample * self.seq..(sample + 1) * self.seq];
            trace[at] = tokens.iter().fold(0.0, |sum, x| sum + x);
            trace[at + self.samples] = kl[sample];
        }
        let next = self.steps().into_iter().map(|step| f64::from(step) + 1.0).collect();
        vec![Expected::exact(next), Expected::exact(trace)]
    }
}
