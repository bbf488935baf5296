//! GPT-2 tokens against tiktoken's, and the way back.

use ltm_tools::Error;
use ltm_tools::tokenizer::{Tokenizer, TokenizerInfo, TokenizerKind};
use proptest::prelude::*;
use tempfile::tempdir;

fn gpt2() -> Tokenizer {
    Tokenizer::new(TokenizerKind::Gpt2).unwrap()
}

fn assert_same(text: &str) {
    let expected = tiktoken_rs::r50k_base_singleton().encode_ordinary(text);
    assert_eq!(gpt2().encode(text), expected, "{text:?}");
}

#[test]
fn tricky_texts() {
    for text in [
        "",
        " ",
        "  ",
        "\n",
        "\n\n\n",
        " \n ",
        "a ",
        "a  ",
        "a \n",
        "a\r\nb\r\n\r\nc",
        "a  b   c\td\t\te",
        "I'm you're he'll we've they'd it's don't 'tis 's' ''s '' ' s 'S I'LL",
        "x'lly 'llama 'vector 're 'r 'l 'v",
        "can't\u{2019}s",
        "1234567 12.5% ½ Ⅷ ٣٤ x2y",
        "a\u{a0}b\u{a0}\u{a0}c \u{3000}d\u{2003}e\u{85}f\u{2028}g",
        "zero\u{200b}width\u{feff}bom",
        "e\u{301}\u{301} combining",
        "😀 👩‍👩‍👧 🇩🇪",
        "日本語のテキスト、です。 中文 한국어",
        "<|endoftext|> and <|endoftext|>",
        "...!!! --- == ()[] {}\n\t}",
        "\0\u{1}\u{7f}",
        "   leading and trailing   ",
        "snake_case CamelCase http://x.y/z?q=1&r=2",
        "\u{10ffff}\u{e000}\u{378}",
    ] {
        assert_same(text);
    }
}

#[test]
fn long_words() {
    for length in [95, 96, 97, 98, 499, 500, 501, 20_000] {
        assert_same(&"a".repeat(length));
        assert_same(&"-=".repeat(length));
        assert_same(&"\n".repeat(length));
        let letters: String = (0..length).map(|n| char::from(b'a' + (n * n % 26) as u8)).collect();
        assert_same(&letters);
    }
}

#[test]
fn known_ids() {
    assert_eq!(gpt2().encode("Hello world"), [15496, 995]);
    assert_eq!(gpt2().end_of_text(), 50256);
    assert_eq!(gpt2().decode(&[50256]).unwrap(), "<|endoftext|>");
}

#[test]
fn ids_outside_the_vocabulary() {
    for kind in [TokenizerKind::Gpt2, TokenizerKind::Bytes] {
        let tokenizer = Tokenizer::new(kind).unwrap();
        let size = tokenizer.vocab_size();
        assert!(tokenizer.decode_bytes(&[size - 1]).is_ok());
        for token in [size, u32::MAX] {
            let error = tokenizer.decode_bytes(&[1, token]).unwrap_err();
            assert!(matches!(error, Error::UnknownToken { position: 1, .. }));
        }
    }
}

#[test]
fn names() {
    for kind in [TokenizerKind::Gpt2, TokenizerKind::Bytes] {
        assert_eq!(kind.name().parse::<TokenizerKind>().unwrap(), kind);
    }
    assert!("gpt3".parse::<TokenizerKind>().is_err());
}

#[test]
fn tokenizer_json() {
    let dir = tempdir().unwrap();
    let read = || TokenizerInfo::read(dir.path());
    let error = read().unwrap_err();
    assert!(matches!(error, Error::IncompleteDirectory { .. }));
    assert!(error.to_string().contains("ltm tokenize"), "{error}");
    let path = dir.path().join("tokenizer.json");
    for kind in [TokenizerKind::Gpt2, TokenizerKind::Bytes] {
        let info = TokenizerInfo::from(kind);
        info.write(dir.path()).unwrap();
        assert_eq!(read().unwrap(), info);
    }
    TokenizerInfo::from(TokenizerKind::Gpt2).write(dir.path()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let expected = r#"{"tokenizer":"gpt2","vocab_size":50257,"end_of_text":50256}"#;
    assert_eq!(text.trim(), expected);
    for bad in [
        "",
        "{}",
        "[1]",
        r#"{"tokenizer":"gpt3","vocab_size":50257,"end_of_text":50256}"#,
        r#"{"tokenizer":"gpt2","vocab_size":50258,"end_of_text":50256}"#,
        r#"{"tokenizer":"gpt2","vocab_size":-1,"end_of_text":50256}"#,
    ] {
        std::fs::write(&path, bad).unwrap();
        let error = read().unwrap_err();
        assert!(matches!(error, Error::TokenizerFile { .. }), "{bad}: {error}");
    }
}

/// Texts made of what the pattern tells apart, close together.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            " ", "  ", "\n", "\r\n", "\t", "\u{a0}", "\u{3000}", "\u{85}", "\u{2028}", "'", "'s",
            "'ll", "'ve", "'re", "'t", "a", "the", "The", "ing", "é", "ß", "日本", "1", "23", "½",
            "٣", ".", "...", "-", "e\u{301}", "😀", "\u{200b}", "<|endoftext|>", "l", "v", "r",
        ]).prop_map(str::to_owned),
        1 => "[a-zA-Z]{1,12}",
        1 => any::<char>().prop_map(String::from),
        1 => "[ -~]{0,6}",
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn same_tokens_as_tiktoken(text in texts()) {
        assert_same(&text);
    }

    #[test]
    fn same_tokens_as_tiktoken_in_long_words(text in "[a-e]{80,600}") {
        assert_same(&text);
    }

    #[test]
    fn text_comes_back(text in any::<String>()) {
        let tokenizer = gpt2();
        prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text)).unwrap(), text);
    }

    #[test]
    fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in [TokenizerKind::Gpt2, TokenizerKind::Bytes] {
            let tokenizer = Tokenizer::new(kind).unwrap();
            let ids = tokenizer.encode_bytes(&bytes);
            prop_assert!(ids.iter().all(|&id| id < tokenizer.vocab_size()));
            prop_assert_eq!(tokenizer.decode_bytes(&ids).unwrap(), bytes.clone());
        }
    }

    #[test]
    fn an_encoder_forgets_nothing_wrongly(texts in prop::collection::vec(texts(), 1..8)) {
        let tokenizer = gpt2();
        let mut encoder = tokenizer.encoder();
        for text in &texts {
            let mut ids = Vec::new();
            encoder.encode_into(text.as_bytes(), &mut ids);
            let ids: Vec<u32> = ids.into_iter().map(u32::from).collect();
            prop_assert_eq!(ids, tokenizer.encode(text));
        }
    }
}
