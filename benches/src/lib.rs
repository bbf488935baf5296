//! What the benchmarks share: model shapes, random inputs, and how work is counted.

use ltm_engine::cpu::Cpu;
use ltm_engine::ops::AdamWStep;
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, DType, Device, DeviceExt};

/// Extents of a model and of the batch that it is measured with.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Name of the preset.
    pub name: &'static str,
    /// Numbers per token.
    pub width: usize,
    /// Heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// Vocabulary.
    pub vocab: usize,
    /// Tokens per sequence.
    pub seq: usize,
    /// Sequences.
    pub batch: usize,
    /// Latents per layer.
    pub latents: usize,
    /// Hidden features of the feed-forward block.
    pub hidden: usize,
    /// Keys that a token sees.
    pub window: usize,
}

/// The preset that trains on a CPU.
pub const TINY: Model = Model {
    name: "tiny",
    width: 128,
    heads: 4,
    layers: 2,
    vocab: 256,
    seq: 256,
    batch: 8,
    latents: 4,
    hidden: 352,
    window: 256,
};

/// The smallest published model, one sequence at a time.
pub const SMALL: Model = Model {
    name: "small",
    width: 512,
    heads: 8,
    layers: 3,
    vocab: 50_258,
    seq: 1024,
    batch: 1,
    latents: 8,
    hidden: 1376,
    window: 256,
};

/// Both shapes.
pub const MODELS: [Model; 2] = [TINY, SMALL];

impl Model {
    /// Tokens in the batch.
    pub const fn rows(&self) -> usize {
        self.batch * self.seq
    }

    /// Numbers per head.
    pub const fn head_dim(&self) -> usize {
        self.width / self.heads
    }

    /// Parameters of the model: embedding, two attentions, feed-forward and gains.
    pub const fn parameters(&self) -> usize {
        let layer = 8 * self.width * self.width + 3 * self.width * self.hidden + 3 * self.width;
        self.vocab * self.width + self.layers * layer + self.width
    }

    /// Keys that the tokens of the batch see, in one head.
    pub fn visible_keys(&self) -> usize {
        self.batch * (0..self.seq).map(|t| (t + 1).min(self.window)).sum::<usize>()
    }
}

/// What an operation must do at least; rates are relative to it.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Elements of 4 bytes that are read and written once each.
    Elements(usize),
    /// Floating-point operations, a multiply-add counted as two.
    Flops(usize),
}

/// A device, and buffers of random numbers on it: zeros would flatter.
pub struct Rig {
    /// All cores, or as many as `RAYON_NUM_THREADS` says.
    pub device: Cpu,
    seed: u64,
}

impl Default for Rig {
    /// # Panics
    /// If the threads cannot be started.
    fn default() -> Self {
        Self { device: Cpu::new(0).expect("threads can be started"), seed: 0 }
    }
}

impl Rig {
    /// `len` normal numbers of deviation `std`; every call draws others.
    ///
    /// # Panics
    /// If there is no memory.
    pub fn normals(&mut self, len: usize, std: f32) -> Buffer {
        self.seed += 1;
        let stream = Stream { seed: self.seed, site: 0, sample: 0, iteration: 0 };
        let blocks = (0..len.div_ceil(4) as u32).flat_map(|block| stream.normals(block));
        let values: Vec<f32> = blocks.take(len).map(|x| std * x).collect();
        self.device.alloc_from(&values).expect("memory")
    }

    /// `len` positive numbers.
    ///
    /// # Panics
    /// If there is no memory.
    pub fn positive(&mut self, len: usize) -> Buffer {
        let buffer = self.normals(len, 1.0);
        let values = self.device.read::<f32>(&buffer).expect("f32");
        let values: Vec<f32> = values.iter().map(|x| 0.01 + x * x).collect();
        self.device.upload(&buffer, &values).expect("lengths agree");
        buffer
    }

    /// `len` tokens below `vocab`, and the order that sorts them.
    ///
    /// # Panics
    /// If there is no memory.
    pub fn tokens(&mut self, len: usize, vocab: usize) -> (Buffer, Buffer) {
        self.seed += 1;
        let stream = Stream { seed: self.seed, site: 1, sample: 0, iteration: 0 };
        let token = |i: u32| (stream.block(i)[0] as usize % vocab) as i32;
        let tokens: Vec<i32> = (0..len as u32).map(token).collect();
        let mut order: Vec<i32> = (0..len as i32).collect();
        order.sort_by_key(|&row| tokens[row as usize]);
        let mut upload = |values: &[i32]| self.device.alloc_from(values).expect("memory");
        (upload(&tokens), upload(&order))
    }

    /// The constants of a step of AdamW.
    ///
    /// # Panics
    /// If there is no memory.
    pub fn constants(&mut self) -> Buffer {
        let (lr, beta1, beta2, eps, weight_decay, number) = (4e-4, 0.9, 0.95, 1e-8, 0.1, 100);
        let step = AdamWStep { lr, beta1, beta2, eps, weight_decay, number };
        let constants = step.constants().expect("a step from 1");
        self.device.alloc_from(&constants).expect("memory")
    }

    /// Memory for a result.
    ///
    /// # Panics
    /// If there is none.
    pub fn result(&mut self, dtype: DType, len: usize) -> Buffer {
        self.device.alloc(dtype, len).expect("memory")
    }
}
