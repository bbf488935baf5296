//! Calls of the two attentions.

use ltm_engine::ops::{LatentAttentionShape, WindowAttentionShape};
use ltm_ptx::Launch;
use ltm_ptx::launch::Arg;
use ltm_tests::cases::{latent_attention, window_attention, window_attention_decode};
use ltm_tests::mutation::Recording;
use ltm_tests::{Case, Layout};

use super::{Calls, LAYOUTS, record, record_each_shifted};

pub fn latent() -> Calls {
    use latent_attention::{Backward, Forward, Queries};
    let shape = |batch, seq, head_dim, latents, stride| LatentAttentionShape {
        batch,
        seq,
        heads: 2,
        head_dim,
        latents,
        latent_stride: stride,
        first_position: 9,
        theta: 1e4,
    };
    let plain = shape(1, 37, 16, 5, Some(43));
    let bare = shape(2, 20, 16, 18, None);
    let mut recordings = record_each_shifted(&[
        &Forward { shape: plain },
        &Forward { shape: bare },
        &Backward { shape: plain, queries: Queries::Added },
        &Backward { shape: bare, queries: Queries::Overwritten },
    ])?;
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for (shape, queries) in [
        (shape(1, 65, 16, 40, None), Queries::Overwritten),
        (shape(1, 130, 16, 8, Some(3)), Queries::Skipped),
        (shape(1, 64, 16, 64, Some(1)), Queries::Added),
        (shape(1, 32, 16, 16, Some(7)), Queries::Added),
        (shape(2, 35, 12, 17, Some(3)), Queries::Added),
        (shape(1, 66, 10, 33, None), Queries::Overwritten),
        (shape(1, 130, 12, 5, Some(2)), Queries::Added),
        (shape(1, 20, 6, 5, None), Queries::Added),
        (shape(1, 20, 4, 5, None), Queries::Overwritten),
        (shape(1, 257, 4, 3, Some(5)), Queries::Skipped),
    ] {
        cases.push(Box::new(Forward { shape }));
        cases.push(Box::new(Backward { shape, queries }));
    }
    // Enough chunks for every turn of the loop that adds them, which is unrolled by four.
    for seq in [1024, 1540] {
        cases.push(Box::new(Backward {
            shape: LatentAttentionShape { heads: 1, ..shape(1, seq, 4, 1, Some(2)) },
            queries: Queries::Skipped,
        }));
    }
    let cases: Vec<&dyn Case> = cases.iter().map(|case| &**case).collect();
    recordings.extend(record(&cases, &LAYOUTS)?);
    // Every place of the last row in a tile.
    for seq in (1..=64).chain([255, 256, 257]) {
        let shape = shape(1, seq, 16, 1 + seq % 37, Some(3));
        let cases: [&dyn Case; 3] = [
            &Forward { shape },
            &Backward { shape, queries: Queries::Added },
            &Backward { shape, queries: Queries::Overwritten },
        ];
        let sweep = record(&cases, &[Layout::WHOLE])?.into_iter();
        let sweep: Vec<Recording> = sweep.map(Recording::of_comparisons).collect();
        recordings.extend(unturned(&sweep)?);
        recordings.extend(sweep);
    }
    let narrow = shape(2, 35, 12, 17, None);
    let some: [&dyn Case; 4] = [
        &Forward { shape: bare },
        &Backward { shape: bare, queries: Queries::Added },
        &Forward { shape: narrow },
        &Backward { shape: narrow, queries: Queries::Added },
    ];
    recordings.extend(unturned(&record(&some, &LAYOUTS)?)?);
    Ok(recordings)
}

/// Of a kernel, by how its name begins: which arguments are angles that may be null, and which is
/// the head's number of elements.
const ARGUMENTS: [(&str, &[usize], usize); 5] = [
    ("window_attention_forward_", &[3, 4], 7),
    ("window_attention_backward_", &[5, 6], 9),
    ("window_attention_decode_", &[], 7),
    ("latent_attention_forward_", &[3, 4], 9),
    ("latent_attention_backward_d", &[5, 6], 11),
];

fn arguments(launch: &Launch) -> Option<(&'static [usize], usize)> {
    let of_kernel = |(name, ..): &&(&str, _, _)| launch.entry.name.starts_with(name);
    ARGUMENTS.iter().find(of_kernel).map(|&(_, angles, head_dim)| (angles, head_dim))
}

/// Recordings with null for the angles, which leaves the rows as they are.
fn unturned(recordings: &[Recording]) -> Calls {
    let change = |launch: &mut Launch| {
        for &at in arguments(launch).into_iter().flat_map(|(angles, _)| angles) {
            launch.args[at] = Arg::Pointer(0);
        }
    };
    recordings.iter().map(|recording| recording.altered(&change)).collect()
}

/// Recordings with heads of other numbers of elements, odd ones too, in the same memory.
fn narrowed(recordings: &[Recording], head_dim: u32) -> Calls {
    let change = |launch: &mut Launch| {
        if let Some((_, at)) = arguments(launch) {
            launch.args[at] = Arg::U32(head_dim);
        }
    };
    let narrowed = recordings.iter().map(|recording| recording.altered(&change));
    narrowed.map(|recording| recording.map(Recording::of_comparisons)).collect()
}

pub fn window() -> Calls {
    use window_attention::{Backward, Forward};
    use window_attention_decode::Decode;
    let shape = |batch, seq, head_dim, window| WindowAttentionShape {
        batch,
        seq,
        heads: 2,
        head_dim,
        window,
        theta: 1e4,
    };
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for shape in [
        shape(1, 65, 16, 64),
        shape(1, 130, 16, 33),
        shape(1, 64, 16, 32),
        shape(2, 20, 16, 1),
        shape(1, 70, 16, 1),
        shape(1, 96, 16, 200),
        shape(2, 35, 12, 7),
        shape(1, 66, 10, 20),
        shape(1, 70, 4, 65),
        shape(1, 17, 14, 9),
        shape(1, 33, 8, 5),
        shape(1, 18, 6, 4),
        shape(1, 19, 2, 3),
    ] {
        cases.push(Box::new(Forward { shape }));
        cases.push(Box::new(Backward { shape }));
    }
    for head_dim in [16, 14, 12, 10, 8, 6, 4, 2] {
        for (window, position) in [(7, 3), (64, 200), (33, 33), (32, 31), (70, 64), (1, 0)] {
            cases.push(Box::new(Decode { shape: shape(2, 1, head_dim, window), position }));
        }
    }
    let cases: Vec<&dyn Case> = cases.iter().map(|case| &**case).collect();
    let mut recordings = record(&cases, &LAYOUTS)?;
    let plain = shape(1, 37, 16, 7);
    recordings.extend(record_each_shifted(&[
        &Forward { shape: plain },
        &Backward { shape: plain },
        &Decode { shape: shape(2, 1, 16, 40), position: 50 },
    ])?);
    // Every place of the last row in a tile.
    for seq in 1..=66 {
        let shape = shape(1, seq, 16, 1 + seq / 2);
        let cases: [&dyn Case; 2] = [&Forward { shape }, &Backward { shape }];
        let sweep = record(&cases, &[Layout::WHOLE])?.into_iter();
        let sweep: Vec<Recording> = sweep.map(Recording::of_comparisons).collect();
        recordings.extend(unturned(&sweep)?);
        recordings.extend(sweep);
    }
    let narrow = shape(1, 37, 12, 7);
    let some: [&dyn Case; 4] = [
        &Forward { shape: plain },
        &Backward { shape: plain },
        &Forward { shape: narrow },
        &Backward { shape: narrow },
    ];
    recordings.extend(unturned(&record(&some, &LAYOUTS)?)?);
    // The kernels alone take odd heads too.
    let some: [&dyn Case; 2] = [
        &Backward { shape: shape(1, 20, 16, 7) },
        &Decode { shape: shape(2, 1, 16, 40), position: 50 },
    ];
    let some = record(&some, &[Layout::WHOLE])?;
    for head_dim in 1..16 {
        recordings.extend(narrowed(&some, head_dim)?);
        recordings.extend(unturned(&narrowed(&some[..2], head_dim)?)?);
    }
    Ok(recordings)
}
