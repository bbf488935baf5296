//! A decoder of one layer, with every operation of the tape in it.

use ltm_autograd::ops::{
    FeedForwardArgs, LatentBlockArgs, LinearArgs, LinearCrossEntropyArgs, Queries,
};
use ltm_autograd::{GradientMode, Program, Result, Segment, Tape, Var};
use ltm_engine::cpu::Cpu;
use ltm_engine::ops::{LatentAttentionShape, WindowAttentionShape};
use ltm_engine::{Buffer, DType, DeviceExt};

use crate::leaves::{Bound, Leaf};
use crate::{bind, normals};

const BATCH: usize = 2;
const SEQ: usize = 7;
const HEADS: usize = 2;
const WIDTH: usize = 8;
const HIDDEN: usize = 12;
const LATENTS: usize = 3;
const VOCAB: usize = 11;
const ROWS: usize = BATCH * SEQ;
const SCALE: f32 = 0.3;

/// Records values in order and remembers their numbers.
struct Recorder {
    tape: Tape,
    leaves: Vec<Leaf>,
    trained: bool,
}

impl Recorder {
    /// A weight with elements of deviation `std` around `mean`.
    fn weight(&mut self, len: usize, mean: f32, std: f32) -> Var {
        let seed = 100 + self.leaves.len() as u64;
        let numbers = normals(seed, len).into_iter().map(|x| mean + std * x).collect();
        let leaf = Leaf::record(&mut self.tape, numbers, self.trained);
        let value = leaf.value;
        self.leaves.push(leaf);
        value
    }

    fn matrix(&mut self, outer: usize, inner: usize) -> Var {
        self.weight(outer * inner, 0.0, 1.0 / (inner as f32).sqrt())
    }

    fn linear(
        &mut self,
        x: Var,
        (inner, outer): (usize, usize),
        residual: Option<Var>,
    ) -> Result<Var> {
        let weight = self.matrix(outer, inner);
        self.tape.linear(LinearArgs { x, weight, residual, inner, outer })
    }

    fn norm(&mut self, x: Var) -> Result<Var> {
        let gain = self.weight(WIDTH, 1.0, 0.2);
        self.tape.rms_norm(x, gain, 1e-5)
    }
}

/// The program with everything bound but the arena.
pub struct Decoder {
    /// As recorded.
    pub program: Program,
    /// Weights, and the latents at the end.
    pub leaves: Vec<Bound>,
    token_nll: Buffer,
}

impl Decoder {
    /// Records and binds; the latents always have a gradient, the weights where `trained`.
    pub fn new(device: &mut Cpu, trained: bool) -> Self {
        let mut r = Recorder { tape: Tape::new(), leaves: Vec::new(), trained };
        let tokens = r.tape.constant(DType::I32, ROWS);
        let order = r.tape.constant(DType::I32, ROWS);
        let targets = r.tape.constant(DType::I32, ROWS);
        let token_nll = r.tape.constant(DType::F32, ROWS);
        let logsumexp = r.tape.constant(DType::F32, ROWS);
        let (z, d_z) = r.tape.variable(BATCH * LATENTS * WIDTH, GradientMode::Overwrite);
        record(&mut r, [tokens, order, targets, token_nll, logsumexp], z).expect("extents agree");
        let Recorder { tape, mut leaves, .. } = r;
        let numbers = normals(7, tape.len(z));
        leaves.push(Leaf { value: z, gradient: Some(d_z), numbers });

        let mut program = tape.finish().expect("gradients can be delivered");
        let of_rows = |f: &dyn Fn(usize) -> usize| (0..ROWS).map(|r| f(r) as i32).collect();
        let token_ids: Vec<i32> = of_rows(&|r| (r * 5) % VOCAB);
        let mut sorted: Vec<i32> = of_rows(&|r| r);
        sorted.sort_by_key(|&r| token_ids[r as usize]);
        let mut target_ids: Vec<i32> = of_rows(&|r| (r * 7 + 3) % VOCAB);
        target_ids[4] = -1;
        for (var, values) in [(tokens, token_ids), (order, sorted), (targets, target_ids)] {
            let buffer = device.alloc_from(&values).expect("memory");
            program.bind(var, &buffer).expect("an external value of this length");
        }
        let nll = bind(device, &mut program, token_nll, &[f32::NAN; ROWS]);
        bind(device, &mut program, logsumexp, &[f32::NAN; ROWS]);
        let leaves = leaves.into_iter().map(|leaf| leaf.bind(device, &mut program)).collect();
        Self { program, leaves, token_nll: nll }
    }

    /// The loss whose gradient the program computes, after a run forward.
    pub fn loss(&self, device: &mut Cpu) -> f64 {
        self.program.run(Segment::Forward, device).expect("everything is bound");
        let losses = device.read::<f32>(&self.token_nll).expect("f32");
        SCALE as f64 * losses.iter().map(|&x| x as f64).sum::<f64>()
    }
}

fn record(r: &mut Recorder, [tokens, order, targets, nll, lse]: [Var; 5], z: Var) -> Result<()> {
    let head_dim = WIDTH / HEADS;
    let theta = 10_000.0;
    let window =
        WindowAttentionShape { batch: BATCH, seq: SEQ, heads: HEADS, head_dim, window: 4, theta };
    let latent = LatentAttentionShape {
        batch: BATCH,
        seq: SEQ,
        heads: HEADS,
        head_dim,
        latents: LATENTS,
        latent_stride: Some(2),
        first_position: 0,
        theta,
    };
    let table = r.matrix(VOCAB, WIDTH);
    let h = r.tape.embedding(table, tokens, order, WIDTH)?;

    let n = r.norm(h)?;
    let qkv = r.linear(n, (WIDTH, 3 * WIDTH), None)?;
    let attended = r.tape.window_attention(qkv, window)?;
    let h = r.linear(attended, (WIDTH, WIDTH), Some(h))?;

    let n = r.norm(h)?;
    let queries = Queries::Product { x: n, weight: r.matrix(WIDTH, WIDTH) };
    let kv = r.linear(z, (WIDTH, 2 * WIDTH), None)?;
    let (out_weight, gain) = (r.matrix(WIDTH, WIDTH), r.weight(WIDTH, 1.0, 0.2));
    let (residual, eps, shape) = (h, 1e-5, latent);
    let block = LatentBlockArgs { queries, kv, out_weight, residual, gain, eps, shape };
    let (h, n) = r.tape.latent_block(block)?;

    let (gate_up, down) = (r.matrix(2 * HIDDEN, WIDTH), r.matrix(WIDTH, HIDDEN));
    let h = r.tape.feed_forward(FeedForwardArgs {
        x: n,
        gate_up,
        down,
        residual: Some(h),
        inner: WIDTH,
        width: HIDDEN,
        outer: WIDTH,
    })?;

    let hidden = r.norm(h)?;
    r.tape.linear_cross_entropy(LinearCrossEntropyArgs {
        hidden,
        weight: table,
        targets,
        token_nll: nll,
        logsumexp: lse,
        scale: SCALE,
        vocab: VOCAB,
    })?;
    Ok(())
}
