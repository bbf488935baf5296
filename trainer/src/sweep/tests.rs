use std::fs;

use super::*;
use crate::plan::{Machine, Plan, Room};
use ltm_engine::Processor;

const HEAD: &str = "tokens = 10_000\n[base]\npreset = \"tiny\"\ntrain.batch = 2\n";

/// Reads a file with this text.
fn read(text: &str) -> std::result::Result<SweepFile, SweepError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sweep.toml");
    fs::write(&path, text).unwrap();
    SweepFile::read(&path)
}

fn cells_of(text: &str) -> Result<Vec<Cell>> {
    cells(&read(text)?, Ok)
}

fn names(cells: &[Cell]) -> Vec<&str> {
    cells.iter().map(|cell| cell.name.as_str()).collect()
}

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let error = cells_of(text).map(|cells| names(&cells).join(" ")).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "does not say {word:?}: {error}");
    }
}

#[test]
fn grids_are_products_and_cells_are_themselves_in_the_order_of_the_file() {
    let text = format!(
        "{HEAD}[[cell]]\nname = \"baseline\"\nmodel.latents = 0\nmodel.window = 64\n\
         [[grid]]\nfast.steps = [4, 16]\nmodel.latents = [4, 16]\n\
         [[cell]]\nposterior.logvar_mean = -2.5\n\
         [[grid]]\nname = \"k\"\nslow.trajectory_samples = [1, \"auto\"]\n"
    );
    let cells = cells_of(&text).unwrap();
    let expected = [
        "baseline",
        "steps=4,latents=4",
        "steps=4,latents=16",
        "steps=16,latents=4",
        "steps=16,latents=16",
        "logvar_mean=-2.5",
        "k,trajectory_samples=1",
        "k,trajectory_samples=auto",
    ];
    assert_eq!(names(&cells), expected);
    let (baseline, last) = (&cells[0].config, &cells[4].config);
    assert_eq!((baseline.model.latents, baseline.model.window, baseline.fast.steps), (0, 64, 0));
    assert_eq!((last.fast.steps, last.model.latents, last.train.batch), (16, 16, 2));
    let settings = [("fast.steps", "16"), ("model.latents", "16")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(cells[4].settings, settings);
    assert_eq!(cells[5].config.posterior.logvar_mean, -2.5);
}

/// Never more than was given, and less by under an iteration.
#[test]
fn budgets_are_kept() {
    let text = "seeds = [7]\nflops = 1e12\n[base]\npreset = \"tiny\"\n[grid]\nfast.steps = [4, 16]\n\
                [[cell]]\nname = \"by-tokens\"\ntokens = 3000\n";
    for cell in cells_of(text).unwrap() {
        let config = &cell.config;
        let plan = Plan::new(config, Room::boundless(Processor::Cpu), &[Machine::h200()]).unwrap();
        assert_eq!(cell.iteration_flops, plan.work.iteration);
        assert_eq!(cell.iteration_tokens(), plan.batch.tokens as f64);
        assert_eq!(config.slow_total(), config.train.iterations, "the cosine ends with the run");
        assert_eq!((config.train.seed, cell.with_seed(9).train.seed), (7, 9));
        let (spent, budget, step) = match cell.budget {
            Budget::Tokens(tokens) => (cell.tokens, tokens, cell.iteration_tokens()),
            Budget::Flops(flops) => (cell.flops(), flops, cell.iteration_flops),
        };
        assert!(spent <= budget && spent + step > budget, "{}: {spent} of {budget}", cell.name);
    }
    let dear = "flops = 1e6\n[base]\npreset = \"tiny\"\n[[cell]]\nfast.steps = 4\n";
    refused(dear, &["cell steps=4", "1.000e6 FLOPs", "one iteration", "train.batch"]);
    let dear = "tokens = 100\n[base]\npreset = \"tiny\"\n[[cell]]\nfast.steps = 4\n";
    refused(dear, &["100 tokens", "takes 1024 tokens"]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let at = |line: usize, what: &str| format!("sweep.toml:{line}: {what}");
    let one = "[[cell]]\nname = \"one\"\n";
    refused("tokens = 5\nx = [\n", &["not valid TOML", "sweep.toml:"]);
    refused("", &["there is no cell", "[grid] or a [[cell]]"]);
    refused(one, &["some cell has no budget", "tokens = 500_000"]);
    refused(&format!("tokens = 5\nflops = 5\n{one}"), &[&at(2, "both `tokens` and `flops`")]);
    refused(&format!("tokens = 0\n{one}"), &[&at(1, "`tokens` is no number of at least 1")]);
    refused(&format!("tokens = \"5\"\n{one}"), &[&at(1, "`tokens`")]);
    refused(&format!("tokens = nan\n{one}"), &[&at(1, "`tokens`")]);
    for seeds in ["3", "[]", "[1, 1]", "[-1]", "[1.5]", "[99999999999999999999]"] {
        refused(&format!("seeds = {seeds}\ntokens = 5\n{one}"), &["sweep.toml:1: `seeds`"]);
    }
    refused(&format!("tokens = 5\nbatch = 3\n{one}"), &[&at(2, "`batch`"), "[base]"]);
    let base = |line: &str| format!("tokens = 5\n[base]\n{line}\n{one}");
    refused(&base("preset = \"tini\""), &[&at(3, "`preset"), "tiny, small, medium, large"]);
    refused(&base("preset = 3"), &[&at(3, "`preset` is no text")]);
    refused(&base("seeds = [3]"), &[&at(3, "`seeds` in [base]"), "above all tables"]);
    refused(&base("train.seed = 3"), &[&at(3, "`train.seed` is decided"), "seeds = [...]"]);
    refused(&base("train.iterations = 3"), &[&at(3, "`train.iterations`"), "tokens or flops"]);
    refused(&base("fast.stesp = 3"), &["cell one", &at(3, "unknown key"), "`fast.steps`"]);
    refused(&base("model.heads = 7"), &["cell one", "model.dim"]);
    let block = |text: &str| format!("{HEAD}{text}\n");
    refused(&block("[grid]\nfast.steps = 4"), &[&at(6, "`fast.steps = 4` in a grid"), "a list"]);
    refused(&block("[grid]\nfast.steps = []"), &[&at(6, "`fast.steps` is empty")]);
    refused(&block("[grid]"), &["there is no setting"]);
    refused(&block("[[cell]]\nfast.steps = [4]"), &[&at(6, "a list of `fast.steps`"), "[[grid]]"]);
    refused(&block("[[cell]]\nname = \"a/b\""), &[&at(6, "`name = \"a/b\"`"), "letters"]);
    refused(&block("[[cell]]\nname = \".\""), &["first no point"]);
    refused(&block("[[cell]]\npreset = \"tiny\"\nname = \"a\""), &[&at(6, "`preset` in a cell")]);
    refused(&block("[[cell]]\nfast.steps = 0"), &["cell steps=0", "sweep.toml:6", "at least 1"]);
    refused(&block("[cell]\nfast.steps = 4"), &["[[cell]]"]);
    let scored = |line: &str| block(&format!("{one}[evaluate]\n{line}"));
    refused(&scored("context = -1"), &[&at(8, "`context = -1`"), "0 or above"]);
    refused(&scored("samples = 0"), &[&at(8, "`samples = 0`"), "at least 1"]);
    refused(
        &scored("sequence = 1"),
        &[&at(8, "`sequence`"), "sequences, samples, context or block"],
    );
}

#[test]
fn no_cell_is_trained_twice() {
    let twice = format!("{HEAD}[[cell]]\nname = \"a\"\n[[cell]]\nname = \"a\"\nfast.steps = 4\n");
    refused(&twice, &["two cells are called a", "name = "]);
    // Without latents there is no fast loop that could differ.
    let same = format!("{HEAD}[grid]\nmodel.latents = [0, 4]\nfast.steps = [4, 8]\n");
    refused(&same, &["latents=0,steps=4 and latents=0,steps=8 have the same settings"]);
}

#[test]
fn a_result_is_that_of_its_run_alone() {
    let cell = &cells_of(&format!("{HEAD}[[cell]]\nfast.steps = 4\n")).unwrap()[0];
    let dir = tempfile::tempdir().unwrap();
    let (config, scoring) = (cell.with_seed(3), Scoring::default());
    let run = dir.path().join("run");
    assert_eq!(RunResult::read(&run).unwrap(), None);
    let mut result = RunResult {
        config: config.clone(),
        data: "shards".into(),
        scoring,
        seconds: 2.5,
        ending: Ending::Finished { figures: Vec::new() },
    };
    result.write(&run).unwrap();
    assert_eq!(RunResult::read(&run).unwrap(), Some(result.clone()));
    let data = Path::new("shards");
    assert!(result.is_of(&config, data, scoring));
    assert!(!result.is_of(&cell.with_seed(4), data, scoring));
    assert!(!result.is_of(&config, Path::new("others"), scoring));
    let wider = Scoring { sequences: 0, ..scoring };
    assert!(!result.is_of(&config, data, wider));
    let mut longer = config.clone();
    longer.train.iterations += 1;
    assert!(!result.is_of(&longer, data, scoring));
    // What a run failed of does not depend on how it would have been scored.
    result.ending = Ending::Failed { error: "diverged".to_owned() };
    assert!(result.is_of(&config, data, wider) && !result.is_of(&longer, data, scoring));
    fs::write(RunResult::path(&run), "{").unwrap();
    let error = RunResult::read(&run).unwrap_err().to_string();
    assert!(error.contains("result.json is damaged") && error.contains("remove it"), "{error}");
}
