//! `ltm inspect --kernels`.

use ltm_tests::program::Sandbox;

/// The row of a kernel, cut into its fields.
fn row<'a>(table: &'a str, kernel: &str) -> Vec<&'a str> {
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.find(|row| row.first() == Some(&kernel)).unwrap_or_else(|| panic!("no row {kernel}"))
}

#[test]
fn every_kernel_is_listed_with_what_it_takes() {
    let sandbox = Sandbox::with_corpus();
    let table = sandbox.run(["inspect", "--kernels"]).succeeds();
    for entry in ltm_ptx::entry_points() {
        let row = row(&table, entry.name);
        let [_, registers, spills, shared, grid, "x", block] = row[..] else {
            panic!("{row:?}");
        };
        let number = |text: &str| text.parse::<u32>().unwrap_or_else(|e| panic!("{row:?}: {e}"));
        assert!((1..=255).contains(&number(registers)), "{row:?}");
        assert_eq!(number(spills), 0, "{row:?}");
        assert!(number(shared) <= 99 << 10, "{row:?}");
        let threads: u32 = block.split('x').map(number).product();
        assert!((32..=1024).contains(&threads), "{row:?}");
        assert!(grid.split('x').all(|extent| number(extent) > 0), "{row:?}");
    }
    let count = format!("{} kernels", ltm_ptx::entry_points().count());
    assert!(table.contains(&count), "{table}");
}

#[test]
fn every_kernel_is_measured() {
    let sandbox = Sandbox::with_corpus();
    let table = sandbox.run(["inspect", "--kernels", "--measure", "--threads", "2"]).succeeds();
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(140), "a line of {widest:?} characters");
    let ends = |line: &str| line.trim_end().chars().count();
    let heading = ends(table.lines().next().unwrap());
    for entry in ltm_ptx::entry_points() {
        let row = row(&table, entry.name);
        assert!(row.len() >= 11, "{row:?}");
        let line = table.lines().find(|line| line.trim_start().starts_with(&row[..1].concat()));
        assert_eq!(line.map(ends), Some(heading), "{line:?} ends where its column does not");
    }
    for word in ["moved:", "least:", "coalesced:", "conflicts:", "vocabulary 1001"] {
        assert!(table.contains(word), "no {word} in {table}");
    }
    let tensor: f64 = row(&table, "linear_forward_bf16").last().unwrap().parse().unwrap();
    assert_eq!(tensor, 268.44);
}

#[test]
fn flags_that_mean_nothing_alone_are_refused() {
    let sandbox = Sandbox::with_corpus();
    sandbox.run(["inspect", "--measure"]).is_misused(&["--kernels"]);
    sandbox.run(["inspect", "shards", "--measure"]).is_misused(&["--kernels"]);
    sandbox.run(["inspect", "--kernels", "--threads", "1"]).is_misused(&["--measure"]);
    let help = sandbox.run(["inspect", "--help"]).succeeds();
    assert!(help.contains("--kernels") && help.contains("--measure"), "{help}");
}
