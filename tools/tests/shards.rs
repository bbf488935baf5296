//! Shards: what is written is read, and what is damaged is refused.

mod common;

use std::fs;
use std::path::Path;

use common::{names, write};
use ltm_tools::Error;
use ltm_tools::shard::{
    OutputDirectory, Shard, ShardFormat, ShardSet, ShardWriter, Split, describe,
};
use ltm_tools::tokenizer::{Tokenizer, TokenizerInfo, TokenizerKind};
use proptest::prelude::*;
use tempfile::tempdir;

/// A shard's bytes, put together by hand.
fn llm_c(magic: i32, version: i32, count: i32, tokens: &[u16]) -> Vec<u8> {
    let mut words = [0i32; 256];
    words[..3].copy_from_slice(&[magic, version, count]);
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    bytes
}

fn shard_of(tokens: &[u16]) -> Vec<u8> {
    llm_c(20240520, 1, tokens.len() as i32, tokens)
}

#[test]
fn the_writer_writes_what_llm_c_reads() {
    let dir = tempdir().unwrap();
    let mut writer = ShardWriter::create(dir.path(), Split::Train, 100).unwrap();
    writer.write(&[50256, 1, 2, 3]).unwrap();
    let paths = writer.finish().unwrap();
    assert_eq!(paths, [dir.path().join("train_000000.bin")]);
    assert_eq!(fs::read(&paths[0]).unwrap(), shard_of(&[50256, 1, 2, 3]));
    let shard = Shard::open(&paths[0]).unwrap();
    assert_eq!(shard.tokens(), [50256, 1, 2, 3]);
    assert_eq!((shard.format(), shard.len()), (ShardFormat::LlmC, 4));
}

#[test]
fn shards_roll_over_when_full() {
    let tokens: Vec<u16> = (0..100).collect();
    for (per_shard, step) in [(1, 7), (10, 3), (10, 10), (10, 100), (99, 100), (100, 1), (101, 9)] {
        let dir = tempdir().unwrap();
        let mut writer = ShardWriter::create(dir.path(), Split::Val, per_shard).unwrap();
        tokens.chunks(step).for_each(|chunk| writer.write(chunk).unwrap());
        assert_eq!(writer.tokens(), 100);
        let paths = writer.finish().unwrap();
        assert_eq!(paths.len() as u64, 100u64.div_ceil(per_shard));
        let set = ShardSet::open(dir.path(), Split::Val).unwrap();
        let read: Vec<u16> =
            set.shards().iter().flat_map(|shard| shard.tokens().to_vec()).collect();
        assert_eq!((read, set.tokens()), (tokens.clone(), 100));
        assert_eq!(set.max_token_id(), 99);
    }
}

#[test]
fn a_tail_moves_from_one_writer_to_another() {
    let tokens: Vec<u16> = (0..95).collect();
    for start in [0, 1, 9, 10, 11, 50, 89, 90, 94, 95] {
        let dir = tempdir().unwrap();
        let mut train = ShardWriter::create(dir.path(), Split::Train, 10).unwrap();
        let mut val = ShardWriter::create(dir.path(), Split::Val, 10).unwrap();
        train.write(&tokens).unwrap();
        train.move_tail(start, &mut val).unwrap();
        assert_eq!((train.tokens(), val.tokens()), (start, 95 - start));
        train.finish().unwrap();
        val.finish().unwrap();
        let read = |split| match ShardSet::open(dir.path(), split) {
            Ok(set) => set.shards().iter().flat_map(|shard| shard.tokens().to_vec()).collect(),
            Err(Error::NoShards { .. }) => Vec::new(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(read(Split::Train), tokens[..start as usize]);
        assert_eq!(read(Split::Val), tokens[start as usize..]);
        assert!(names(dir.path()).iter().all(|name| name.ends_with(".bin")));
    }
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let dir = tempdir().unwrap();
    let mut writer = ShardWriter::create(dir.path(), Split::Train, 10).unwrap();
    writer.write(&[7; 25]).unwrap();
    assert_eq!(names(dir.path()).len(), 3);
    assert!(names(dir.path()).iter().all(|name| name.ends_with(".tmp")));
    drop(writer);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn what_a_killed_writer_left_is_no_shard_and_goes() {
    let dir = tempdir().unwrap();
    let mut writer = ShardWriter::create(dir.path(), Split::Train, 10).unwrap();
    writer.write(&[7; 25]).unwrap();
    // As when killed: nothing is cleaned up.
    std::mem::forget(writer);
    fs::write(dir.path().join("tokenizer.json.tmp"), "{").unwrap();
    fs::write(dir.path().join("mine.tmp"), "not ours").unwrap();
    let error = ShardSet::open(dir.path(), Split::Train).unwrap_err();
    assert!(matches!(error, Error::NoShards { .. }), "{error}");
    drop(OutputDirectory::create(dir.path(), false).unwrap());
    assert_eq!(names(dir.path()), ["mine.tmp"]);
}

#[test]
fn one_process_writes_at_a_time() {
    let dir = tempdir().unwrap();
    let first = OutputDirectory::create(dir.path(), false).unwrap();
    let second = OutputDirectory::create(dir.path(), false);
    assert!(matches!(second, Err(Error::DirectoryLocked { .. })));
    drop(first);
    OutputDirectory::create(dir.path(), false).unwrap();
}

#[test]
fn bounds_of_tokens_per_shard() {
    let dir = tempdir().unwrap();
    for count in [0, 1 << 31, u64::MAX] {
        let writer = ShardWriter::create(dir.path(), Split::Train, count);
        assert!(matches!(writer, Err(Error::BadOption { .. })));
    }
}

fn open_bytes(name: &str, bytes: &[u8]) -> Result<Vec<u16>, Error> {
    let dir = tempdir().unwrap();
    let path = write(dir.path(), name, bytes);
    Shard::open(&path).map(|shard| shard.tokens().to_vec())
}

#[test]
fn damaged_shards_are_named() {
    let whole = shard_of(&[1, 2, 3]);
    let cut = |length: usize| whole[..length].to_vec();
    let mut longer = whole.clone();
    longer.extend([0, 0]);
    for (bytes, part) in [
        (Vec::new(), "empty"),
        (cut(1), "no whole number"),
        (cut(4), "1024 bytes"),
        (cut(1023), "1024 bytes"),
        (cut(1024), "1030 bytes"),
        (cut(1029), "has 1029"),
        (longer, "has 1032"),
        (llm_c(20240520, 1, 0, &[]), "empty"),
        (llm_c(20240520, 1, -1, &[]), "token count is -1"),
        (llm_c(20240520, 2, 1, &[1]), "version is 2"),
        (llm_c(20240801, 7, 1, &[1, 0]), "Llama"),
    ] {
        let message = open_bytes("other.bin", &bytes).unwrap_err().to_string();
        assert!(message.contains("other.bin") && message.contains(part), "{message}");
    }
    let missing = Shard::open(Path::new("/nonexistent/train_0.bin")).unwrap_err();
    assert!(matches!(missing, Error::Io { action: "open", .. }));
    let directory = tempdir().unwrap();
    assert!(Shard::open(directory.path()).is_err());
}

#[test]
fn raw_tokens_are_read_where_they_are_expected() {
    let bytes: Vec<u8> = [5u16, 50256, 6].iter().flat_map(|token| token.to_le_bytes()).collect();
    for name in ["train.bin", "val.bin", "tokens.bin"] {
        assert_eq!(open_bytes(name, &bytes).unwrap(), [5, 50256, 6]);
    }
    for name in ["train_000000.bin", "val_000000.bin"] {
        let error = open_bytes(name, &bytes).unwrap_err();
        assert!(matches!(error, Error::ShardFormat { .. }), "{error}");
    }
    assert!(open_bytes("tokens.bin", &bytes[..5]).is_err());
    assert_eq!(open_bytes("tokens.bin", &bytes[..2]).unwrap(), [5]);
}

#[test]
fn sets_list_a_directory_or_one_file() {
    let dir = tempdir().unwrap();
    for (name, token) in [("x_train_2.bin", 2), ("x_train_1.bin", 1), ("x_val_1.bin", 3)] {
        write(dir.path(), name, &shard_of(&[token]));
    }
    let firsts = |path: &Path, split| -> Vec<u16> {
        let set = ShardSet::open(path, split).unwrap();
        set.shards().iter().map(|shard| shard.tokens()[0]).collect()
    };
    assert_eq!(firsts(dir.path(), Split::Train), [1, 2]);
    assert_eq!(firsts(dir.path(), Split::Val), [3]);
    assert_eq!(firsts(&dir.path().join("x_val_1.bin"), Split::Train), [3]);
    let empty = tempdir().unwrap();
    let error = ShardSet::open(empty.path(), Split::Val).unwrap_err();
    assert!(error.to_string().contains("ltm tokenize"), "{error}");
}

#[test]
fn ids_outside_the_vocabulary_are_found() {
    let dir = tempdir().unwrap();
    let mut tokens = vec![7u16; 3 << 20];
    tokens[2_500_000] = 300;
    tokens[2_600_000] = 400;
    write(dir.path(), "train_0.bin", &shard_of(&[1, 2]));
    write(dir.path(), "train_1.bin", &shard_of(&tokens));
    let set = ShardSet::open(dir.path(), Split::Train).unwrap();
    assert_eq!(set.max_token_id(), 400);
    set.validate_vocab(401).unwrap();
    set.validate_vocab(u32::MAX).unwrap();
    let message = set.validate_vocab(300).unwrap_err().to_string();
    for part in ["train_1.bin", "token 300", "position 2500000"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn descriptions() {
    let dir = tempdir().unwrap();
    let tokenizer = Tokenizer::new(TokenizerKind::Gpt2).unwrap();
    let mut tokens = vec![50256u16];
    tokens.extend(tokenizer.encode("Hello world").iter().map(|&id| id as u16));
    let path = write(dir.path(), "train_0.bin", &shard_of(&tokens));
    let text = describe(&path).unwrap();
    assert!(text.contains("tokens     3") && text.contains("unknown"), "{text}");
    let text = describe(dir.path()).unwrap();
    assert!(text.contains("incomplete"), "{text}");

    TokenizerInfo::from(TokenizerKind::Gpt2).write(dir.path()).unwrap();
    for text in [describe(&path).unwrap(), describe(dir.path()).unwrap()] {
        for part in ["llm.c", "1030 bytes", "995 to 50256", "documents  1", "Hello world"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    write(dir.path(), "val_0.bin", &shard_of(&[60000]));
    assert!(describe(dir.path()).unwrap().contains("WRONG"));
    write(dir.path(), "val_0.bin", b"damaged");
    assert!(describe(dir.path()).is_err());
    assert!(describe(tempdir().unwrap().path()).is_err());
}

proptest! {
    #[test]
    fn no_damage_makes_a_panic(
        tokens in prop::collection::vec(any::<u16>(), 0..50),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
        ours in any::<bool>(),
    ) {
        let mut bytes = shard_of(&tokens);
        for (index, flip) in flips {
            // The first words decide the most.
            let at = if flip % 2 == 0 { index.index(12) } else { index.index(bytes.len()) };
            bytes[at] ^= flip;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let dir = tempdir().unwrap();
        let path = write(dir.path(), if ours { "train_0.bin" } else { "x.bin" }, &bytes);
        if let Ok(shard) = Shard::open(&path) {
            prop_assert_eq!(shard.tokens().len(), shard.len());
            prop_assert!(!shard.is_empty());
            let _ = shard.validate_vocab(100);
        }
        let _ = describe(&path);
    }

    #[test]
    fn any_bytes_open_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = open_bytes("x.bin", &bytes);
    }
}
