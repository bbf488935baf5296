use super::*;

fn check(detokenizer: Detokenizer, pairs: &[(&str, &str)]) {
    for (text, expected) in pairs {
        assert_eq!(detokenizer.apply(text), *expected, "{detokenizer}: {text}");
    }
}

#[test]
fn penn_treebank() {
    check(
        Detokenizer::Ptb,
        &[
            (
                "it 's the banks ' fault and it was n't ours",
                "it's the banks' fault and it wasn't ours",
            ),
            (
                "revenue of $ N million rose N N in the year",
                "revenue of $1 million rose 1 1 in the year",
            ),
            ("# N N N to N", "#1 1 1 to N"),
            ("<unk> and\\/or <unk> \n the next", "? and/or ?\nthe next"),
        ],
    );
}

#[test]
fn wikitext() {
    check(
        Detokenizer::WikiText,
        &[
            (" = = = Heading = = = \n", " === Heading ===\n"),
            (" = = = = Deep = = = = \n \n text", " ==== Deep ====\n\ntext"),
            ("a well @-@ known 1 @,@ 000 or 2 @.@ 5", "a well-known 1,000 or 2.5"),
            (
                "one , two ; three : four . Five ! Six ? Seven",
                "one, two; three: four. Five! Six? Seven",
            ),
            ("( in brackets ) [ or these ] { or those }", "(in brackets) [or these] {or those}"),
            ("said \" quite so \" and ' that '", "said \"quite so\" and 'that'"),
            ("the lobsters ' 20 ° C", "the lobsters' 20°C"),
            ("the sea 's edge", "the sea's edge"),
            // Two apostrophes are taken for a quotation, as the published figures have it.
            ("it 's the sea 's edge", "it's the sea's edge"),
            ("of ' 96 and ' 97", "of '96 and' 97"),
        ],
    );
}

#[test]
fn one_billion_words() {
    check(
        Detokenizer::Lm1b,
        &[
            ("They 've said so , he says .", "They've said so, he says."),
            ("He left . She stayed .", "He left. She stayed."),
            ("Is it ? Yes ! Really ?", "Is it? Yes! Really?"),
            ("Go !", "Go!"),
            ("see http : / / example.org / a ; or b : c", "see http://example.org/a; or b: c"),
            ("\" no comment \" ( he said ) [ twice ]", "\"no comment\" (he said) [twice]"),
            ("$ 5 and £ 6", "$5 and £6"),
        ],
    );
}

#[test]
fn lambada_and_none() {
    check(Detokenizer::Lambada, &[(" “ well , ” he said \n", "\n\" well , \" he said")]);
    check(Detokenizer::None, &[(" as , it 's ", " as , it 's ")]);
}

#[test]
fn names_are_read_back() {
    for detokenizer in Detokenizer::ALL {
        assert_eq!(detokenizer.name().parse::<Detokenizer>().unwrap(), detokenizer);
    }
    let error = "treebank".parse::<Detokenizer>().unwrap_err().to_string();
    assert!(error.contains("treebank") && error.contains("none, ptb, wikitext, lm1b"), "{error}");
}
