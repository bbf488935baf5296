use std::path::PathBuf;

use ltm_tools::tokenizer::{Tokenizer, TokenizerKind};
use tempfile::TempDir;

use super::*;

fn question(line: usize, question: &str, answer: &str) -> Question {
    let gold = answer_of(answer).unwrap();
    Question { line, question: question.to_owned(), answer: answer.to_owned(), gold }
}

fn questions() -> Vec<Question> {
    let of = |i: usize| question(i + 1, &format!("{i} and {i}?"), &format!("so\n#### {}", 2 * i));
    (0..5).map(of).collect()
}

fn settings() -> Settings {
    Settings {
        format: Settings::FORMAT,
        model: "w".to_owned(),
        questions: hash_of_questions(&questions()),
        examples: hash_of_questions(&[]),
        shots: 0,
        drop_shots: false,
        latents: "question".to_owned(),
        fast: None,
        temperature: 0.8,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        max_tokens: 12,
        seed: 1,
    }
}

fn answer(question: usize, sample: usize, correct: bool) -> Answer {
    Answer {
        question,
        sample,
        shots: 2,
        answer: correct.then(|| "1".to_owned()),
        gold: "1".to_owned(),
        correct,
        end: "answered".to_owned(),
        tokens: 3,
        text: "so\n#### 1".to_owned(),
    }
}

struct Place {
    _dir: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.jsonl");
    Place { _dir: dir, path }
}

#[test]
fn answers_are_found_again_and_a_cut_line_is_not() {
    let Place { _dir, path } = place();
    let mut results = Results::open(&path, &settings(), 5).unwrap();
    results.add(&answer(3, 0, true)).unwrap();
    results.add(&answer(3, 1, false)).unwrap();
    drop(results);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..30 {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut results = Results::open(&path, &settings(), 5).unwrap();
        let last = cut == 0;
        assert_eq!((results.has(3, 0), results.has(3, 1), results.has(0, 0)), (true, last, false));
        assert_eq!(results.tally(3, 2).is_some(), last);
        if !last {
            results.add(&answer(3, 1, false)).unwrap();
        }
        let tally = Tally { samples: 2, answered: 1, correct: 1 };
        assert_eq!((results.tally(3, 2), results.mean_shots()), (Some(tally), Some(2.0)));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    // A crash within the first line.
    std::fs::write(&path, &whole[..20]).unwrap();
    assert!(!Results::open(&path, &settings(), 5).unwrap().has(3, 0));
}

#[test]
fn results_of_another_kind_are_refused_and_left_alone() {
    let Place { _dir, path } = place();
    Results::open(&path, &settings(), 5).unwrap().add(&answer(4, 0, true)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let refused = |settings: &Settings, questions: usize, words: &str| {
        let before = std::fs::read(&path).unwrap();
        let error = Results::open(&path, settings, questions).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    };
    let changed = Settings { temperature: 1.0, seed: 2, ..settings() };
    refused(&changed, 5, "seed was 1, is now 2; temperature was 0.8, is now 1.0");
    refused(&settings(), 4, "line 2: question 4; the data has 4");
    let held = Results::open(&path, &settings(), 5).unwrap();
    refused(&settings(), 5, "another ltm gsm8k is writing this file");
    drop(held);
    std::fs::write(&path, [&whole[..], b"{}\n{}\n"].concat()).unwrap();
    refused(&settings(), 5, "line 3: expected an answer");
    std::fs::write(&path, "a diary").unwrap();
    refused(&settings(), 5, "line 1: expected the settings of an ltm gsm8k");
}

#[test]
fn fingerprints_tell_questions_apart() {
    let mut other = questions();
    other[2].answer.push(' ');
    assert_ne!(hash_of_questions(&questions()), hash_of_questions(&other));
    assert_ne!(hash_of_questions(&questions()), hash_of_questions(&questions()[..4]));
    let split = |a: &str, b: &str| hash_of_questions(&[question(1, a, &format!("{b}#### 1"))]);
    assert_ne!(split("ab", "c"), split("a", "bc"));
}

#[test]
fn prompts_are_those_of_the_few_shot_literature() {
    let (shots, tokenizer) = (questions(), Tokenizer::new(TokenizerKind::Bytes).unwrap());
    let mut shots = Shots { examples: shots[..2].to_vec(), drop: false };
    let asked = question(9, "Why?", "#### 3");
    let text = |prompt: &prompt::Prompt| {
        assert_eq!(prompt.tokens[0], tokenizer.end_of_text() as i32);
        let ids: Vec<u32> = prompt.tokens[1..].iter().map(|&id| id as u32).collect();
        tokenizer.decode(&ids).unwrap()
    };
    let make = |shots: &Shots, most: usize| {
        Prompts { tokenizer, shots, most: Some(most), new_tokens: 10 }.of(&asked)
    };
    let first = "Question: 0 and 0?\nAnswer: so\n#### 0\n\n";
    let second = "Question: 1 and 1?\nAnswer: so\n#### 2\n\n";
    let last = "Question: Why?\nAnswer:";
    let whole = [first, second, last].concat();
    let prompt = make(&shots, whole.len() + 1).unwrap();
    assert_eq!((text(&prompt), prompt.shots), (whole.clone(), 2));
    let error = make(&shots, whole.len()).unwrap_err().to_string();
    assert!(
        error.contains("line 9: the question with 2 example(s) has") && error.contains("--drop")
    );

    // Dropped from the front, with room for what is to be written.
    shots.drop = true;
    let prompt = make(&shots, whole.len() + 1).unwrap();
    assert_eq!((text(&prompt), prompt.shots), ([second, last].concat(), 1));
    assert_eq!(make(&shots, whole.len() + 11).unwrap().shots, 2);
    assert_eq!(make(&shots, last.len() + 1).unwrap().shots, 0);
    let error = make(&shots, last.len()).unwrap_err().to_string();
    assert!(error.contains("with 0 example(s)"), "{error}");
}
