//! Drawing tokens.

use ltm_engine::ops::Sample;
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::gaussians;
use crate::reference::sample::{Cut, draw};
use crate::{Arg, Case, Expected, Format, Inputs, Rounding};

/// Stream of [`PLAIN`].
pub const STREAM: Stream = Stream { seed: 99, site: 4, sample: 7, iteration: 0 };

/// `sample`.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Rows.
    pub rows: usize,
    /// Logits per row.
    pub vocab: usize,
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// 0 keeps all.
    pub top_k: usize,
    /// 1 keeps all.
    pub top_p: f32,
    /// Position of the token.
    pub position: u32,
    /// Source of the uniform numbers.
    pub stream: Stream,
}

printed!(Draw);

/// A small case without cuts.
pub const PLAIN: Draw = Draw {
    rows: 3,
    vocab: 97,
    temperature: 1.0,
    top_k: 0,
    top_p: 1.0,
    position: 11,
    stream: STREAM,
};

impl Draw {
    /// How the distribution is cut.
    pub fn cut(&self) -> Cut {
        let (temperature, top_p) = (self.temperature as f64, self.top_p as f64);
        Cut { temperature, top_k: self.top_k, top_p }
    }

    /// Rounded to tenths, so that there are ties.
    pub fn logits(&self) -> Vec<f32> {
        let logits = gaussians(1, self.rows * self.vocab, 0.0, 2.0);
        logits.into_iter().map(|l| (l * 10.0).round() / 10.0).collect()
    }
}

impl Case for Draw {
    fn op(&self) -> &'static str {
        "sample"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        vec![format.input("logits", self.logits()), Arg::overwritten_i32("tokens", self.rows)]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.sample(&Sample {
            logits: &b[0],
            tokens: &b[1],
            rows: self.rows,
            vocab: self.vocab,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            stream: self.stream,
            position: self.position,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let token = |(row, logits): (usize, &[f64])| {
            let sample = self.stream.sample.wrapping_add(row as u32);
            let uniform = Stream { sample, ..self.stream }.uniform(self.position);
            draw(logits, self.cut(), uniform as f64) as f64
        };
        let logits = inputs.numbers("logits");
        let tokens = logits.chunks_exact(self.vocab).enumerate().map(token).collect();
        vec![Expected::exact(tokens)]
    }
}
