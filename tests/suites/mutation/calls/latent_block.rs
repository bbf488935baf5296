//! Calls of latent attention with the products around it and the norm after it.

use ltm_engine::ops::LatentAttentionShape;
use ltm_tests::cases::latent_block::{Backward, Forward};
use ltm_tests::mutation::Recording;
use ltm_tests::{Case, Format, Layout};

use super::Calls;

/// In bf16, which alone has kernels of this operation; they take nothing off the 16-byte grid.
pub fn latent_block() -> Calls {
    let shape = |batch, seq, heads, head_dim, latents, latent_stride| LatentAttentionShape {
        batch,
        seq,
        heads,
        head_dim,
        latents,
        latent_stride,
        first_position: 9,
        theta: 1e4,
    };
    let mut recordings = Vec::new();
    for (i, shape) in [
        shape(2, 5, 4, 16, 3, Some(43)),
        shape(1, 70, 1, 64, 18, None),
        shape(1, 64, 8, 16, 16, Some(3)),
        shape(1, 40, 1, 128, 40, Some(1)),
        shape(1, 258, 2, 32, 1, None),
        shape(1, 33, 4, 32, 64, Some(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let queries = i % 2 == 0;
        let cases: [&dyn Case; 4] = [
            &Forward { shape, queries },
            &Backward { shape, queries },
            &Forward { shape, queries: !queries },
            &Backward { shape, queries: !queries },
        ];
        for &case in &cases[..if i < 2 { 4 } else { 2 }] {
            recordings.push(Recording::new(case, Format::BF16, Layout::WHOLE)?);
        }
    }
    // Four groups of latents, with the gradient of the queries too.
    let case = Backward { shape: shape(1, 33, 4, 32, 64, Some(2)), queries: true };
    recordings.push(Recording::new(&case, Format::BF16, Layout::WHOLE)?);
    // Every place of the last row in a tile, and every number of latents in a group.
    for seq in (1..=64).step_by(3).chain([65, 256]) {
        let shape = shape(1, seq, 4, 16, 1 + seq % 17, Some(3));
        let cases: [&dyn Case; 2] =
            [&Forward { shape, queries: true }, &Backward { shape, queries: true }];
        for case in cases {
            let recording = Recording::new(case, Format::BF16, Layout::WHOLE)?;
            recordings.push(recording.of_comparisons());
        }
    }
    Ok(recordings)
}
