use std::fs;
use std::path::Path;
use std::sync::Arc;

use ltm_engine::HostBlock;
use ltm_tools::tokenizer::{TokenizerInfo, TokenizerKind};
use proptest::prelude::*;

use super::*;

/// A corpus whose shards have these tokens, made by hand in llm.c's format.
fn corpus(split: &str, shards: &[Vec<u16>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (number, tokens) in shards.iter().enumerate() {
        write_shard(&dir.path().join(format!("{split}_{number:06}.bin")), tokens);
    }
    TokenizerInfo::from(TokenizerKind::Bytes).write(dir.path()).unwrap();
    dir
}

fn write_shard(path: &Path, tokens: &[u16]) {
    let mut header = [0_i32; 256];
    header[..3].copy_from_slice(&[20240520, 1, tokens.len() as i32]);
    let header = header.iter().flat_map(|word| word.to_le_bytes());
    let tokens = tokens.iter().flat_map(|token| token.to_le_bytes());
    fs::write(path, header.chain(tokens).collect::<Vec<u8>>()).unwrap();
}

/// Ids that give away their position: consecutive modulo 251, each shard from another start.
fn numbered(shard: usize, len: usize) -> Vec<u16> {
    (0..len).map(|token| ((token + 37 * shard) % 251) as u16).collect()
}

fn open(dir: &Path, seq_len: usize) -> Result<Loader, DataError> {
    Loader::open(dir, Split::Train, seq_len, 7, 256)
}

fn batch(loader: &mut Loader, size: usize) -> (Vec<i32>, Vec<i32>) {
    let (mut tokens, mut targets) = (vec![99], vec![99]);
    loader.next_batch(size, &mut tokens, &mut targets).unwrap();
    (tokens, targets)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_epoch_visits_every_window_once(
        lengths in prop::collection::vec(1_usize..120, 1..6),
        seq_len in 1_usize..9,
        batch_size in 1_usize..7,
    ) {
        prop_assume!(lengths.iter().any(|&len| len > seq_len));
        let shards: Vec<_> = lengths.iter().enumerate().map(|(n, &len)| numbered(n, len)).collect();
        let dir = corpus("train", &shards);
        let mut loader = open(dir.path(), seq_len).unwrap();
        let mut expected: Vec<Vec<i32>> = shards
            .iter()
            .flat_map(|tokens| {
                let windows = (tokens.len() - 1) / seq_len;
                (0..windows).map(|w| &tokens[w * seq_len..=(w + 1) * seq_len])
            })
            .map(|window| window.iter().map(|&id| i32::from(id)).collect())
            .collect();
        prop_assert_eq!(loader.windows(), expected.len() as u64);
        expected.sort();
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        while tokens.len() < 2 * expected.len() * seq_len {
            let (more, more_targets) = batch(&mut loader, batch_size);
            tokens.extend(more);
            targets.extend(more_targets);
        }
        let seen: Vec<Vec<i32>> = tokens
            .chunks(seq_len)
            .zip(targets.chunks(seq_len))
            .map(|(inputs, targets)| [&inputs[..1], targets].concat())
            .collect();
        for epoch in seen.chunks_exact(expected.len()).take(2) {
            let mut epoch = epoch.to_vec();
            epoch.sort();
            prop_assert_eq!(&epoch, &expected);
        }
    }

    #[test]
    fn a_resumed_loader_continues_exactly(
        before in 0_usize..40,
        after in 1_usize..20,
    ) {
        let dir = corpus("train", &[numbered(0, 50), numbered(1, 33)]);
        let mut whole = open(dir.path(), 4).unwrap();
        batch(&mut whole, before);
        let mut resumed = open(dir.path(), 4).unwrap();
        resumed.resume("bytes", whole.windows(), whole.position()).unwrap();
        prop_assert_eq!(resumed.epoch(), whole.epoch());
        prop_assert_eq!(batch(&mut resumed, after), batch(&mut whole, after));
    }
}

#[test]
fn targets_are_the_next_tokens() {
    let dir = corpus("train", &[numbered(0, 9)]);
    let loader = open(dir.path(), 4).unwrap();
    let (mut tokens, mut targets) = (Vec::new(), Vec::new());
    loader.read_windows(&[0, 1], &mut tokens, &mut targets).unwrap();
    assert_eq!(tokens, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(targets, [1, 2, 3, 4, 5, 6, 7, 8]);
    let beyond = loader.read_windows(&[2], &mut tokens, &mut targets);
    assert!(matches!(beyond, Err(DataError::NoSuchWindow { window: 2, windows: 2 })));
}

#[test]
fn seeds_and_epochs_differ_in_order() {
    let dir = corpus("train", &[numbered(0, 401)]);
    let mut loader = open(dir.path(), 4).unwrap();
    let first = batch(&mut loader, 100);
    assert_eq!((loader.epoch(), loader.position()), (1, 100));
    assert_ne!(batch(&mut loader, 100), first);
    let mut other = Loader::open(dir.path(), Split::Train, 4, 8, 256).unwrap();
    assert_ne!(batch(&mut other, 100), first);
    loader.seek(0);
    assert_eq!(batch(&mut loader, 100), first);
}

#[test]
fn a_token_beyond_the_vocabulary_is_located() {
    let mut tokens = numbered(0, 41);
    tokens[17] = 300;
    let dir = corpus("train", &[numbered(1, 9), tokens]);
    let mut loader = open(dir.path(), 8).unwrap();
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    let error = loader.next_batch(6, &mut inputs, &mut targets).unwrap_err().to_string();
    assert!(error.contains("train_000001.bin"), "{error}");
    assert!(error.contains("300") && error.contains("17"), "{error}");
    assert_eq!(loader.position(), 0);
}

#[test]
fn an_unusable_corpus_says_why() {
    let message = |result: Result<Loader, DataError>| result.unwrap_err().to_string();
    let dir = corpus("train", &[numbered(0, 8)]);
    let error = message(open(dir.path(), 8));
    assert!(error.contains("8 tokens") && error.contains("needs 9"), "{error}");
    assert!(matches!(open(dir.path(), 0), Err(DataError::NoLength)));
    let error = message(Loader::open(dir.path(), Split::Val, 4, 7, 256));
    assert!(error.contains("no val shard"), "{error}");
    let error = message(Loader::open(dir.path(), Split::Train, 4, 7, 255));
    assert!(error.contains("model.vocab_size = 255"), "{error}");
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert!(message(open(dir.path(), 4)).contains("tokenizer.json"));
}

#[test]
fn a_run_is_not_resumed_on_another_corpus() {
    let dir = corpus("train", &[numbered(0, 50)]);
    let mut loader = open(dir.path(), 4).unwrap();
    let windows = loader.windows();
    let error = loader.resume("gpt2", windows, 3).unwrap_err().to_string();
    assert!(error.contains("bytes") && error.contains("gpt2"), "{error}");
    let error = loader.resume("bytes", windows + 1, 3).unwrap_err().to_string();
    assert!(error.contains("12 windows") && error.contains("had 13"), "{error}");
    assert_eq!(loader.position(), 0);
}

#[test]
fn validation_windows_are_fixed() {
    let dir = corpus("val", &[numbered(0, 401)]);
    let loader = Loader::open(dir.path(), Split::Val, 4, 7, 256).unwrap();
    assert_eq!(loader.fixed_windows(4), [0, 25, 50, 75]);
    assert_eq!(loader.fixed_windows(1000).len(), 100);
}

/// Tokens of a batch as they are read ahead.
fn ahead(loader: Loader, from: u64, batch: usize) -> Prefetch {
    let fill = |block: &mut HostBlock, tokens: &[i32], targets: &[i32]| {
        let numbers: &mut [i32] = bytemuck::cast_slice_mut(block);
        numbers[..tokens.len()].copy_from_slice(tokens);
        numbers[tokens.len()..].copy_from_slice(targets);
    };
    let prefetch = Prefetch::new(Arc::new(loader), from, batch, fill).unwrap();
    (0..2).for_each(|_| prefetch.give(HostBlock::plain(2 * 4 * batch * 5)));
    prefetch
}

#[test]
fn what_is_read_ahead_is_what_would_be_read() {
    let dir = corpus("train", &[numbered(0, 64), numbered(1, 36)]);
    let open = || open(dir.path(), 5).unwrap();
    let mut loader = open();
    // Four windows at a time, over the ends of epochs, from the third batch on.
    loader.seek(8);
    let mut prefetch = ahead(open(), 8, 4);
    for _ in 0..12 {
        let windows = loader.next_windows(4);
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        loader.next_batch(4, &mut tokens, &mut targets).unwrap();
        let batch = prefetch.next().unwrap();
        assert_eq!((batch.windows, batch.position), (windows, loader.position()));
        let numbers: &[i32] = bytemuck::cast_slice(&batch.block);
        assert_eq!(numbers, [tokens, targets].concat());
        prefetch.give(batch.block);
    }
}

/// A token that the model has no row for, in a batch that nobody may come to.
#[test]
fn a_damaged_batch_is_told_of_when_it_is_wanted() {
    let mut tokens = numbered(0, 61);
    let dir = corpus("train", &[tokens.clone()]);
    let third = open(dir.path(), 5).unwrap().next_windows(3)[2] as usize;
    tokens[5 * third + 2] = 300;
    let dir = corpus("train", &[tokens]);
    let mut prefetch = ahead(open(dir.path(), 5).unwrap(), 0, 1);
    for _ in 0..2 {
        let batch = prefetch.next().unwrap();
        prefetch.give(batch.block);
    }
    // It has been read by now, or is about to be; looking ahead does not show it.
    assert!(prefetch.ready().is_none());
    for expected in ["300", "has ended"] {
        let error = prefetch.next().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
