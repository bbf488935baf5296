//! Latent attention with the products around it and the norm after it.

use ltm_engine::ops::LatentAttentionShape as Shape;
use ltm_tests::cases::latent_block::{Backward, Forward};
use ltm_tests::{Case, Format, Kernels, Layout, TestGpu, run};

use crate::APPROXIMATE;

/// Sequence length, latents, numbers per head, sequences and heads, all of them for the kernels of this
/// operation: every width of them, whole and not, ragged tiles and chunks, one to four groups of
/// latents.
const SHAPES: [(usize, usize, usize, usize, usize); 12] = [
    (1, 1, 64, 9, 1),
    (5, 8, 16, 2, 4),
    (64, 4, 32, 1, 2),
    (70, 16, 16, 1, 8),
    (65, 33, 64, 2, 2),
    (257, 17, 64, 1, 1),
    (40, 64, 128, 1, 1),
    (33, 9, 32, 2, 6),
    (66, 8, 64, 1, 4),
    (20, 32, 128, 1, 2),
    (67, 8, 64, 1, 8),
    (130, 16, 64, 1, 5),
];

/// Shapes that other kernels must take: of heads too narrow or of other sizes, too wide, and with more
/// latents than one block has room for.
const OTHERS: [(usize, usize, usize, usize, usize); 5] =
    [(33, 3, 2, 1, 3), (20, 5, 48, 1, 4), (17, 4, 16, 1, 2), (9, 2, 64, 1, 9), (9, 64, 64, 1, 8)];

fn shape(
    i: usize,
    (seq, latents, head_dim, batch, heads): (usize, usize, usize, usize, usize),
) -> Shape {
    Shape {
        batch,
        seq,
        heads,
        head_dim,
        latents,
        latent_stride: [None, Some(43), Some(1)][i % 3],
        first_position: [0, 9][i % 2],
        theta: 10_000.0,
    }
}

fn shapes() -> impl Iterator<Item = (usize, Shape)> {
    SHAPES.into_iter().enumerate().map(|(i, extents)| (i, shape(i, extents)))
}

#[test]
fn forward() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (i, shape) in shapes() {
        kernels.check(&Forward { shape, queries: i % 4 > 0 }, Format::BF16, Layout::WHOLE);
    }
    kernels.finish();
}

#[test]
fn backward() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (i, shape) in shapes() {
        kernels.check(&Backward { shape, queries: i % 4 > 0 }, Format::BF16, Layout::WHOLE);
    }
    kernels.finish();
}

#[test]
fn in_steps() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (i, extents) in OTHERS.into_iter().enumerate() {
        let shape = shape(i, extents);
        kernels.check_both(&Forward { shape, queries: i % 2 == 0 });
        kernels.check_both(&Backward { shape, queries: i % 2 == 0 });
    }
    for (_, shape) in shapes().skip(2).take(2) {
        kernels.check_shifted(&Forward { shape, queries: true });
        kernels.check_shifted(&Backward { shape, queries: true });
    }
    kernels.finish();
}

fn launches(case: &dyn Case, format: Format, layout: Layout) -> Vec<&'static str> {
    let mut gpu = TestGpu::open(1);
    run(case, &case.args(format), gpu.device(), layout).unwrap();
    gpu.take_launches().iter().map(|launch| launch.entry.name).collect()
}

/// One launch forward, and backward one and the sum over the chunks of tokens; where these kernels do
/// not take a call, its steps.
#[test]
fn a_call_is_one_launch() {
    let small = shape(0, (3, 2, 64, 1, 2));
    for queries in [false, true] {
        let cases: [&dyn Case; 2] =
            [&Forward { shape: small, queries }, &Backward { shape: small, queries }];
        let names = |format, layout| cases.map(|case| launches(case, format, layout));
        let [forward, backward] = names(Format::BF16, Layout::WHOLE);
        assert_eq!(forward, ["latent_block_forward_128_bf16"]);
        let sum = "latent_attention_backward_reduce_bf16";
        assert_eq!(backward, ["latent_block_backward_128_bf16", sum]);
        let steps = if queries { [4, 5] } else { [3, 3] };
        assert_eq!(names(Format::F32, Layout::WHOLE).map(|names| names.len()), steps);
        assert_eq!(names(Format::BF16, Layout::SHIFTED).map(|names| names.len()), steps);
    }
    let many = shape(0, (3, 64, 64, 1, 8));
    let names = launches(&Backward { shape: many, queries: true }, Format::BF16, Layout::WHOLE);
    assert_eq!(names.len(), 5, "{names:?}");
}

/// The steps round the same numbers in the same order as far as they store them: where the latents are
/// one group, queries and stream are the same to the bit.
#[test]
fn the_bits_of_the_stream_are_those_of_its_steps() {
    let mut gpu = TestGpu::open(1);
    for (_, shape) in shapes().filter(|(_, shape)| shape.latents <= 16) {
        for queries in [false, true] {
            let case = Forward { shape, queries };
            let args = case.args(Format::BF16);
            let mut run = |layout| run(&case, &args, gpu.device(), layout).unwrap();
            let [gain, out] =
                ["gain", "out"].map(|name| args.iter().position(|arg| arg.name == name).unwrap());
            // What stands off the grid sends the call to the steps, and matters to the norm alone.
            let (one, steps) = (run(Layout::WHOLE), run(Layout::shifted_at(gain)));
            assert!(one[0] == steps[0], "queries of {case}");
            assert!(one[out] == steps[out], "stream of {case}");
        }
    }
}

/// Without tokens the latents get a gradient of zero.
#[test]
fn empty_sequences() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (batch, seq) in [(0, 5), (2, 0)] {
        let shape = Shape { batch, seq, ..shape(0, SHAPES[0]) };
        kernels.check_both(&Forward { shape, queries: true });
        kernels.check_both(&Backward { shape, queries: true });
    }
    kernels.finish();
}
