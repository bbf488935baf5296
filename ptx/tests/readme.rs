//! README.md shows what the commands that it names print, and links to files that are there.

#[allow(dead_code)]
#[path = "../examples/fault.rs"]
mod fault;
#[allow(dead_code)]
#[path = "../examples/ladder.rs"]
mod ladder;

use std::path::Path;

use ltm_ptx::launch::modules;

const README: &str = include_str!("../README.md");

#[test]
fn the_ladder_is_as_printed() {
    let table = ladder::table().unwrap();
    assert!(README.contains(&table), "README.md has another table than\n{table}");
}

#[test]
fn the_report_is_as_printed() {
    let report = fault::report().unwrap();
    assert!(README.contains(&report), "README.md has another report than\n{report}");
}

/// A number of a column of the ladder, row by row.
fn column(table: &str, name: &str) -> Vec<f64> {
    let cells = |line: &str| -> Vec<String> {
        line.split('|').map(|cell| cell.trim().trim_end_matches(" %").to_owned()).collect()
    };
    let mut lines = table.lines();
    let at = cells(lines.next().unwrap()).iter().position(|cell| cell == name).unwrap();
    lines.skip(1).map(|line| cells(line)[at].parse().unwrap()).collect()
}

/// What each step of the ladder is said to gain.
#[test]
fn every_step_is_a_step_up() {
    let table = ladder::table().unwrap();
    let of = |name: &str| column(&table, name);
    for (name, least) in [("warp instructions", 1.2), ("sectors", 1.3)] {
        let values = of(name);
        assert_eq!(values.len(), 5);
        assert!(values.windows(2).all(|pair| pair[0] >= least * pair[1]), "{name}: {values:?}");
    }
    assert_eq!(of("bank conflicts").iter().map(|&n| n > 0.0).collect::<Vec<_>>(), {
        [false, false, true, false, false]
    });
    let tensor = of("tensor MFLOP");
    assert_eq!(tensor[..2], [0.0; 2]);
    assert!(tensor[2..].iter().all(|&flop| flop == tensor[2] && flop > 30.0), "{tensor:?}");
    assert_eq!(of("coalesced")[3..], [100.0; 2]);
}

#[test]
fn links_lead_to_files_and_every_operation_has_its_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links {
        assert!(root.join(link).exists(), "README.md links to {link}");
    }
    for module in modules() {
        let entries = ltm_ptx::entry_points().filter(|e| e.module == module.name).count();
        let row = format!("| [`{0}`](kernels/{0}.cu) | {entries} |", module.name);
        assert!(README.contains(&row), "README.md has no row {row}");
    }
}
