//! What kernels do to memory, counted: traffic against the least possible, coalescing, bank
//! conflicts and tensor operations. The counts are exact, so these are properties, not timings.

use ltm_engine::gpu::LaunchRecord;
use ltm_engine::ops::{GaussianShape, LatentAttentionShape, WindowAttentionShape};
use ltm_ptx::vm::counters::Counters;
use ltm_tests::cases::*;
use ltm_tests::{Case, Format, Layout, run, virtual_gpu};

const FORMATS: [Format; 2] = [Format::F32, Format::BF16];

/// The launches of a call.
fn launches(case: &dyn Case, format: Format) -> Vec<LaunchRecord> {
    let mut gpu = virtual_gpu(2);
    run(case, &case.args(format), &mut gpu, Layout::WHOLE)
        .unwrap_or_else(|e| panic!("{case}: {e}"));
    gpu.driver().take_launches()
}

/// The sum of the counts of a call.
fn counts(case: &dyn Case, format: Format) -> Counters {
    let mut sum = Counters::default();
    launches(case, format).iter().for_each(|launch| sum += launch.counters);
    sum
}

/// Bytes of the arguments that the call must move: each once, and those that it adds to twice.
fn least_bytes(case: &dyn Case, format: Format, added_to: &[&str]) -> usize {
    let args = case.args(format);
    let times = |name: &str| 1 + added_to.contains(&name) as usize;
    args.iter().map(|arg| times(arg.name) * arg.data.bytes().len()).sum()
}

/// A streaming kernel moves at most 1.05 of the least, in whole sectors.
fn streams(case: &dyn Case, format: Format, added_to: &[&str]) {
    let counts = counts(case, format);
    let ratio = counts.moved_bytes() as f64 / least_bytes(case, format, added_to) as f64;
    assert!((0.99..=1.05).contains(&ratio), "{case} in {format} moves {ratio:.3} of the least");
    let coalescing = counts.coalescing_percent();
    assert!(coalescing >= 95.0, "{case} in {format}: {coalescing:.1} % of its sectors are used");
}

#[test]
fn norms_move_each_number_once() {
    for (rows, width) in [(256, 512), (512, 256)] {
        for format in FORMATS {
            streams(&rms_norm::Forward { rows, width, residual: false }, format, &[]);
            streams(&rms_norm::Forward { rows, width, residual: true }, format, &[]);
            let input = rms_norm::Backward { rows, width, wanted: rms_norm::Wanted::Input };
            streams(&input, format, &[]);
            let added = rms_norm::Backward { rows, width, wanted: rms_norm::Wanted::AddedInput };
            streams(&added, format, &["d_x"]);
            let both = rms_norm::Backward { rows, width, wanted: rms_norm::Wanted::Both };
            streams(&both, format, &["d_weight"]);
        }
    }
}

#[test]
fn elementwise_operations_move_each_number_once() {
    for format in FORMATS {
        streams(&add::Sum { len: 1 << 16 }, format, &["into"]);
        streams(&swiglu::Forward { rows: 64, width: 1376 }, format, &[]);
        streams(&swiglu::Backward { rows: 64, width: 1376 }, format, &[]);
        let shape = GaussianShape { samples: 4, layers: 3, per_layer: 4096 };
        streams(&gaussian::Reparameterise { shape }, format, &[]);
        streams(&gaussian::Kl { shape }, format, &[]);
        streams(&gaussian::Backward { shape }, format, &[]);
        let updated = ["mu", "logvar", "mu_moments", "logvar_moments"];
        streams(&gaussian_update::Update { shape, number: 3 }, format, &updated);
        let step = adamw::Step { segments: vec![1 << 14; 3], number: 3, clip: None };
        streams(&step, format, &["params", "first_moment", "second_moment"]);
        streams(&adamw::Norm { len: 1 << 16, limit: 1.0 }, format, &[]);
        streams(&normal::Noise { samples: 4, per_sample: 4096, ..normal::PLAIN }, format, &[]);
    }
}

/// Every row of the table is wanted once.
#[test]
fn embeddings_move_the_rows_that_are_asked_for() {
    for format in FORMATS {
        let (rows, width, vocab) = (256, 512, 97);
        let counts = counts(&embedding::Forward { rows, width, vocab }, format);
        let least = (2 * rows * width * format.storage.size() + 4 * rows) as f64;
        let ratio = counts.moved_bytes() as f64 / least;
        assert!((0.99..=1.05).contains(&ratio), "{format}: {ratio:.3} of the least");
    }
}

/// A product of whole tiles has exactly its own operations, all on the tensor cores.
#[test]
fn products_do_no_operation_twice() {
    for (rows, inner, outer) in [(128, 64, 128), (256, 256, 128)] {
        let shape = linear::Shape { rows, inner, outer };
        let least = 2 * (rows * inner * outer) as u64;
        let cases: [&dyn Case; 3] = [
            &linear::Forward { shape, residual: false },
            &linear::BackwardInput { shape, accumulate: false },
            &linear::BackwardWeight { shape },
        ];
        for case in cases {
            assert_eq!(counts(case, Format::BF16).tensor_flops, least, "{case}");
            let f32 = counts(case, Format::F32);
            assert_eq!(f32.tensor_flops, 0, "{case}");
            assert!((least..least + least / 8).contains(&f32.flops), "{case}: {}", f32.flops);
        }
    }
}

/// Whatever the prologue and the epilogue do, more steps of the main loop add no bank conflict
/// and only coalesced reads.
#[test]
fn main_loops_of_products_have_no_bank_conflicts() {
    type Make = fn(usize) -> Box<dyn Case>;
    let cases: [Make; 5] = [
        |inner| {
            let shape = linear::Shape { rows: 256, inner, outer: 256 };
            Box::new(linear::Forward { shape, residual: false })
        },
        |outer| {
            let shape = linear::Shape { rows: 256, inner: 256, outer };
            Box::new(linear::BackwardInput { shape, accumulate: false })
        },
        |rows| {
            let shape = linear::Shape { rows, inner: 256, outer: 256 };
            Box::new(linear::BackwardWeight { shape })
        },
        |inner| {
            let (rows, outer, residual, apart) = (64, 256, false, false);
            Box::new(linear_rms_norm::Forward { rows, inner, outer, residual, apart })
        },
        |outer| {
            let (rows, width, accumulate, apart) = (64, 512, false, false);
            Box::new(linear_rms_norm::Backward { rows, width, outer, accumulate, apart })
        },
    ];
    for make in cases {
        let [short, long] = [256, 512].map(|extent| counts(&*make(extent), Format::BF16));
        let case = make(512);
        assert!(long.matrix > short.matrix, "{case}");
        assert_eq!(long.shared_bank_conflicts, short.shared_bank_conflicts, "{case}");
        assert!(long.coalescing_percent() >= 95.0, "{case}: {}", long.coalescing_percent());
    }
}

/// One warp reads a row of the weights once, whatever the number of rows.
#[test]
fn products_of_few_rows_read_the_weights_once() {
    for format in FORMATS {
        for rows in [1, 8] {
            let shape = linear::Shape { rows, inner: 512, outer: 512 };
            let case = linear::Forward { shape, residual: false };
            let read = counts(&case, format).global_read_bytes;
            let size = format.storage.size() as u64;
            // The rows of x come once per row of the weights, from the nearest cache.
            let least = size * (512 * 512 + 512 * 512 * rows as u64);
            assert!(read <= least, "{case} in {format}: {read} bytes of {least}");
        }
    }
}

fn attention(seq: usize, window: usize) -> window_attention::Forward {
    let shape =
        WindowAttentionShape { batch: 1, seq, heads: 1, head_dim: 64, window, theta: 10_000.0 };
    window_attention::Forward { shape }
}

/// Keys and values are read in tiles of 64: those that meet the window of a tile of 64 queries
/// (bf16) and no others.
#[test]
fn window_attention_reads_the_tiles_that_meet_the_window() {
    const TILE: usize = 64;
    for (seq, window) in [(512, 64), (512, 256), (512, 1), (512, 65), (512, 512), (320, 100)] {
        let case = attention(seq, window);
        let counts = counts(&case, Format::BF16);
        let pairs: usize = (0..seq / TILE)
            .map(|tile| {
                let first = (tile * TILE).saturating_sub(window - 1) / TILE;
                tile + 1 - first
            })
            .sum();
        let (head_dim, angles) = (64, 2 * 4 * 64 / 2);
        let queries = seq * (2 * head_dim + angles);
        let keys = pairs * TILE * (2 * 2 * head_dim + angles);
        let read = counts.global_read_bytes as usize;
        assert!(
            read <= queries + keys,
            "{case}: {read} bytes, {} in {pairs} tiles",
            queries + keys
        );
        assert_eq!(counts.global_written_bytes as usize, seq * (2 * head_dim + 4), "{case}");
        assert!(counts.coalescing_percent() >= 95.0, "{case}: {}", counts.coalescing_percent());
    }
}

/// The work grows with the sequence, not with its square.
#[test]
fn window_attention_is_linear_in_the_sequence() {
    for format in FORMATS {
        let [a, b, c] = [256, 512, 1024].map(|seq| counts(&attention(seq, 64), format));
        for (what, of) in [
            ("bytes", (|c| c.global_read_bytes) as fn(&Counters) -> u64),
            ("operations", |c| c.tensor_flops + c.flops),
        ] {
            // The first tile sees fewer keys than the others, which all do the same.
            let (first, second) = (of(&b) - of(&a), of(&c) - of(&b));
            assert_eq!(second, 2 * first, "{what} in {format}");
        }
    }
}

/// Beside the weights, once per 64 rows, and the angles, forward moves each number once, and backward
/// those of the gradient once more and a little for the sums of a chunk.
#[test]
fn latent_blocks_move_each_number_once() {
    let (seq, heads, head_dim, latents) = (256, 4, 64, 8);
    let shape = LatentAttentionShape {
        batch: 2,
        seq,
        heads,
        head_dim,
        latents,
        latent_stride: None,
        first_position: 0,
        theta: 1e4,
    };
    let (rows, width) = (shape.rows(), shape.width());
    let angles = 4 * rows * width;
    let weights = (rows / 64) * 2 * 2 * width * width;
    let kv = rows / 64 * 2 * 2 * latents * width;
    let array = 2 * rows * width;
    let moved = |case: &dyn Case| counts(case, Format::BF16).moved_bytes() as usize;
    let forward = moved(&latent_block::Forward { shape, queries: true });
    let least = 5 * array + weights + kv + angles;
    assert!(forward <= least + least / 20, "{forward} bytes of {least}");
    let backward = moved(&latent_block::Backward { shape, queries: true });
    // Sums of each chunk, four times written, three times read, and once more at the end.
    let sums = 8 * (rows / 256) * 4 * 2 * latents * width;
    // Queries are turned back by half sectors of angles.
    let least = 5 * array + weights + kv + 3 * angles + sums;
    assert!(backward <= least, "{backward} bytes of {least}");
}

/// Beside the second factor, once per 64 rows, each number is moved once: with the product by itself a
/// norm would read its rows once more, or write and read them.
#[test]
fn norms_beside_products_move_each_number_once() {
    let (rows, features, width) = (256, 128, 256);
    let factors = 2 * rows * features + rows / 64 * 2 * features * width;
    // A statistic for each row, a sector when it is read, and the gain for each warp.
    let (array, rest) = (2 * rows * width, 32 * rows + rows / 64 * 8 * 2 * width);
    let moved = |case: &dyn Case| counts(case, Format::BF16).moved_bytes() as usize;
    let (inner, outer, residual, apart) = (features, width, true, false);
    let forward = moved(&linear_rms_norm::Forward { rows, inner, outer, residual, apart });
    let least = factors + 3 * array + rest;
    assert!(forward <= least + least / 50, "{forward} bytes of {least}");
    let (outer, accumulate) = (features, true);
    let backward = moved(&linear_rms_norm::Backward { rows, width, outer, accumulate, apart });
    assert!(backward <= least + least / 50, "{backward} bytes of {least}");
}

/// Logits stay on the chip: what is written does not grow with the vocabulary beyond the
/// gradient of its weights.
#[test]
fn losses_write_no_logits() {
    use linear_cross_entropy::{Loss, Wanted};
    let (rows, width) = (128, 64);
    for format in FORMATS {
        let written = [256, 2048].map(|vocab| {
            let wanted = Wanted::Hidden;
            counts(&Loss { rows, width, vocab, wanted, differences: false }, format)
                .global_written_bytes
        });
        let logits = (rows * (2048 - 256) * 2) as u64;
        let grown = written[1] - written[0];
        assert!(grown < logits, "{format}: {grown} bytes more, of logits it would be {logits}");
    }
}
