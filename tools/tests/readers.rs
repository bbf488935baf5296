//! Every input format, whole and damaged.

mod common;

use common::*;
use ltm_tools::Error;
use ltm_tools::text::{Documents, ReadOptions, expand_inputs};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use tempfile::tempdir;

const TEXTS: [&str; 3] = ["first\nof all", "zwei – größer 😀", " third "];

#[test]
fn text_files() {
    let dir = tempdir().unwrap();
    for ending in COMPRESSIONS {
        let bytes = compressed(ending, TEXTS[1].as_bytes());
        let path = write(dir.path(), &format!("a.txt{ending}"), &bytes);
        assert_eq!(read(&path, "text", false).unwrap(), [TEXTS[1]], "{ending}");
    }
}

#[test]
fn json_lines_in_every_compression() {
    let dir = tempdir().unwrap();
    for ending in COMPRESSIONS {
        let bytes = compressed(ending, &json_lines(&TEXTS));
        for name in ["a.jsonl", "a.json"] {
            let path = write(dir.path(), &format!("{name}{ending}"), &bytes);
            assert_eq!(read(&path, "text", false).unwrap(), TEXTS, "{ending}");
        }
    }
}

#[test]
fn streams_of_several_frames_are_read_to_the_end() {
    let dir = tempdir().unwrap();
    for ending in &COMPRESSIONS[1..] {
        let mut bytes = compressed(ending, &json_lines(&TEXTS[..1]));
        bytes.extend(compressed(ending, &json_lines(&TEXTS[1..])));
        let path = write(dir.path(), &format!("a.jsonl{ending}"), &bytes);
        assert_eq!(read(&path, "text", false).unwrap(), TEXTS, "{ending}");
    }
}

#[test]
fn lines_without_end_blank_lines_crlf_and_byte_order_mark() {
    let dir = tempdir().unwrap();
    let bytes =
        b"\xEF\xBB\xBF{\"text\":\"a\"}\r\n\r\n  \n{\"text\":\"b\\u00e9\",\"x\":[{\"text\":1}]}";
    let path = write(dir.path(), "a.jsonl", bytes);
    assert_eq!(read(&path, "text", false).unwrap(), ["a", "bé"]);
}

#[test]
fn another_field() {
    let dir = tempdir().unwrap();
    let line = br#"{"question":"How many?","answer":"1 + 1 = <<1+1=2>>2\n#### 2"}"#;
    let path = write(dir.path(), "gsm.jsonl", line);
    assert_eq!(read(&path, "question", false).unwrap(), ["How many?"]);
    let message = read(&path, "text", false).unwrap_err().to_string();
    assert!(message.contains("gsm.jsonl line 1"), "{message}");
    assert!(message.contains("\"question\"") && message.contains("\"answer\""), "{message}");
}

#[test]
fn tars_in_every_compression_and_nested() {
    let dir = tempdir().unwrap();
    for outer in COMPRESSIONS {
        for inner in COMPRESSIONS {
            let nested = tar(&[("deep/1.txt", TEXTS[0].into())]);
            let members = [
                ("README.md", b"not text by its name".to_vec()),
                // As OpenWebText has it: compressed tars that are not called so.
                ("openwebtext/part_data.xz", compressed(".xz", &nested)),
                (&*format!("b.jsonl{inner}"), compressed(inner, &json_lines(&TEXTS[1..2]))),
                (&*format!("c.tar{inner}"), compressed(inner, &tar(&[("x.txt", TEXTS[2].into())]))),
            ];
            let bytes = compressed(outer, &tar(&members));
            let path = write(dir.path(), &format!("a.tar{outer}"), &bytes);
            assert_eq!(read(&path, "text", false).unwrap(), TEXTS, "{outer} {inner}");
        }
    }
}

#[test]
fn nesting_has_an_end() {
    let dir = tempdir().unwrap();
    let mut bytes = b"text".to_vec();
    let mut name = "a.txt";
    for _ in 0..40 {
        bytes = tar(&[(name, bytes)]);
        name = "a.tar";
    }
    let path = write(dir.path(), "a.tar", &bytes);
    assert!(matches!(read(&path, "text", false), Err(Error::Unsupported { .. })));
}

#[test]
fn parquet_columns() {
    let dir = tempdir().unwrap();
    let rows: Vec<Option<&str>> = TEXTS.iter().copied().map(Some).collect();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let path = write(dir.path(), "a.parquet", &parquet(compression, &rows));
        assert_eq!(read(&path, "text", false).unwrap(), TEXTS, "{compression}");
    }
    let path = dir.path().join("a.parquet");
    for column in ["body", "id"] {
        let message = read(&path, column, true).unwrap_err().to_string();
        assert!(message.contains("id (INT64), text (BYTE_ARRAY)"), "{message}");
    }
}

#[test]
fn parquet_null_rows_are_named_or_left_out() {
    let dir = tempdir().unwrap();
    let bytes = parquet(Compression::SNAPPY, &[Some("a"), Some("b"), None, Some("c")]);
    let path = write(dir.path(), "a.parquet", &bytes);
    let message = read(&path, "text", false).unwrap_err().to_string();
    assert!(message.contains("a.parquet row 3") && message.contains("null"), "{message}");
    assert_eq!(read(&path, "text", true).unwrap(), ["a", "b", "c"]);
}

#[test]
fn damaged_parquet_never_panics() {
    let dir = tempdir().unwrap();
    let whole = parquet(Compression::SNAPPY, &[Some("some text"), Some("b"), Some("c")]);
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let path = write(dir.path(), "a.parquet", &bytes);
        let _ = read(&path, "text", at % 2 == 0);
        let path = write(dir.path(), "a.parquet", &whole[..at]);
        assert!(read(&path, "text", false).is_err());
    }
}

#[test]
fn cut_compressed_files_are_noticed() {
    let dir = tempdir().unwrap();
    let texts: Vec<String> = (0..2000).map(|n| format!("text {}", n * 7919)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let lines = json_lines(&texts);
    let contents = [
        ("jsonl", lines.clone()),
        ("txt", lines.clone()),
        ("tar", tar(&[("a.jsonl", lines.clone())])),
    ];
    for ending in &COMPRESSIONS[1..] {
        for (kind, content) in &contents {
            let bytes = compressed(ending, content);
            for cut in [1, 4, bytes.len() / 2, bytes.len() - 10] {
                let path =
                    write(dir.path(), &format!("a.{kind}{ending}"), &bytes[..bytes.len() - cut]);
                let error = read(&path, "text", false).unwrap_err();
                assert!(matches!(error, Error::Unreadable { .. }), "{kind}{ending} {cut}: {error}");
                assert!(error.to_string().contains(&format!("a.{kind}{ending}")), "{error}");
                read(&path, "text", true).unwrap();
            }
        }
    }
}

#[test]
fn cut_tar_is_noticed() {
    let dir = tempdir().unwrap();
    let bytes = tar(&[("a.txt", vec![b'x'; 3000]), ("b.txt", vec![b'y'; 3000])]);
    let path = write(dir.path(), "a.tar", &bytes[..6000]);
    let error = read(&path, "text", false).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}

#[test]
fn invalid_utf8_names_the_line() {
    let dir = tempdir().unwrap();
    let path = write(dir.path(), "a.txt", b"one\ntwo\nthr\xFFee\n");
    let message = read(&path, "text", false).unwrap_err().to_string();
    assert!(message.contains("a.txt line 3") && message.contains("byte 3"), "{message}");
    assert!(read(&path, "text", true).unwrap().is_empty());

    let lines = b"{\"text\":\"a\"}\n{\"text\":\"\xC3(\"}\n{\"text\":\"c\"}\n";
    let path = write(dir.path(), "a.jsonl", lines);
    let message = read(&path, "text", false).unwrap_err().to_string();
    assert!(message.contains("a.jsonl line 2"), "{message}");
    assert_eq!(read(&path, "text", true).unwrap(), ["a", "c"]);
}

#[test]
fn bad_lines_name_the_line_and_what_was_expected() {
    let dir = tempdir().unwrap();
    for (line, part) in [
        (r#"{"text": "cut"#, "expected one JSON object"),
        (r#"{"text": "a"} x"#, "trailing"),
        (r#"[{"text": "a"}]"#, "one object a line"),
        (r#""text""#, "an object"),
        (r#"{"text": "\ud800"}"#, "expected one JSON object"),
        (r#"{"text": null}"#, "null"),
        (r#"{"text": 3}"#, "a number"),
        (r#"{"text": ["a"]}"#, "a list"),
        (r#"{"text": {"text": "a"}}"#, "an object"),
        (r#"{"text": true}"#, "true or false"),
        (r#"{}"#, "no field"),
    ] {
        let lines = format!("{{\"text\":\"ok\"}}\n{line}\n{{\"text\":\"ok\"}}\n");
        let path = write(dir.path(), "bad.jsonl", lines.as_bytes());
        let message = read(&path, "text", false).unwrap_err().to_string();
        assert!(message.contains("bad.jsonl line 2"), "{line}: {message}");
        assert!(message.contains(part), "{line}: {message}");
        assert_eq!(read(&path, "text", true).unwrap(), ["ok", "ok"]);
    }
}

#[test]
fn deeply_nested_json_is_an_error() {
    let dir = tempdir().unwrap();
    let line = format!("{{\"text\": {}}}", "[".repeat(100_000));
    let path = write(dir.path(), "a.jsonl", line.as_bytes());
    assert!(matches!(read(&path, "text", false), Err(Error::BrokenJson { .. })));
}

#[test]
fn names_that_say_nothing() {
    let dir = tempdir().unwrap();
    for name in ["a.csv", "a", "a.gz", "a.parquet.zst"] {
        let ending = COMPRESSIONS[1..].iter().find(|ending| name.ends_with(*ending));
        let path = write(dir.path(), name, &compressed(ending.unwrap_or(&""), b"words"));
        let error = read(&path, "text", false).unwrap_err();
        let expected = matches!(error, Error::UnknownExtension { .. } | Error::Unsupported { .. });
        assert!(expected && error.to_string().contains(name), "{error}");
    }
    assert!(matches!(
        read(&dir.path().join("missing.txt"), "text", false),
        Err(Error::Io { action: "open", .. })
    ));
}

#[test]
fn directories_expand_sorted() {
    let dir = tempdir().unwrap();
    for name in ["b/2.txt", "b/1.txt", "a.jsonl.gz", "notes.md", ".hidden.txt", "c.parquet"] {
        write(dir.path(), name, b"");
    }
    let inputs = expand_inputs(&[dir.path().to_path_buf()]).unwrap();
    let names = ["a.jsonl.gz", "b/1.txt", "b/2.txt", "c.parquet"];
    assert_eq!(inputs.files, names.map(|name| dir.path().join(name)));
    assert_eq!(inputs.ignored, [dir.path().join("notes.md")]);

    let empty = tempdir().unwrap();
    let error = expand_inputs(&[empty.path().to_path_buf()]).unwrap_err();
    assert!(matches!(error, Error::NoDocuments { .. }));
}

#[test]
fn a_large_text_comes_in_pieces_that_make_the_whole() {
    let dir = tempdir().unwrap();
    let text: String = (0..200_000).map(|n| format!("word{n}  \n")).collect();
    let path = write(dir.path(), "a.txt.zst", &compressed(".zst", text.as_bytes()));
    let options = ReadOptions::default();
    let pieces: Vec<_> = Documents::open(vec![path], options).collect::<Result<_, _>>().unwrap();
    assert!(pieces.len() > 3);
    assert!(pieces[0].starts_document && pieces[1..].iter().all(|piece| !piece.starts_document));
    let joined: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert!(joined == text);
    // The pieces know their line in the file.
    let before: String = pieces[..2].iter().map(|piece| piece.text.as_str()).collect();
    let line = before.matches('\n').count() + 1;
    assert!(pieces[2].place.to_string().ends_with(&format!(" line {line}")));
}

#[test]
fn an_endless_word_is_an_error() {
    let dir = tempdir().unwrap();
    let path = write(dir.path(), "a.txt", &vec![b'a'; 65 << 20]);
    assert!(matches!(read(&path, "text", false), Err(Error::TooLong { .. })));
}
