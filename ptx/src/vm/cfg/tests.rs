use proptest::prelude::*;

use super::*;
use crate::vm::parse::parse;

/// A function of one instruction a line; `work` stands for one that has no part in control flow.
fn function(lines: &[&str]) -> Function {
    let body = lines.join("\n").replace("work", "membar.gl");
    let head = ".version 8.0\n.target sm_80\n.entry k()\n{ .reg .pred p, q;\n";
    let module = parse(&format!("{head}{body}\n}}"));
    module.unwrap_or_else(|error| panic!("{error}")).functions.remove(0)
}

fn meeting(lines: &[&str]) -> Vec<usize> {
    let function = function(lines);
    let meeting = reconvergence(&function);
    assert_eq!(meeting.len(), function.body.len());
    meeting
}

#[test]
fn blocks_cover_the_body() {
    let function = function(&[
        "work;",
        "@p bra A;",
        "work;",
        "work;",
        "bra B;",
        "A: work;",
        "B: @q ret;",
        "work;",
        "ret;",
        "work;",
    ]);
    let block =
        |start, end, successors: &[usize]| Block { start, end, successors: successors.into() };
    let expected = [
        block(0, 2, &[2, 1]),
        block(2, 5, &[3]),
        block(5, 6, &[3]),
        block(6, 7, &[6, 4]),
        block(7, 9, &[6]),
        block(9, 10, &[6]),
    ];
    assert_eq!(blocks(&function), expected);
}

#[test]
fn an_empty_body() {
    assert!(blocks(&Function::default()).is_empty());
    assert!(reconvergence(&Function::default()).is_empty());
}

#[test]
fn if_and_if_else() {
    assert_eq!(meeting(&["@p bra A;", "work;", "A: work;", "ret;"]), [2, 2, 3, 4]);
    let both = ["@p bra A;", "work;", "bra B;", "A: work;", "B: work;", "ret;"];
    assert_eq!(meeting(&both), [4, 2, 4, 4, 5, 6]);
}

#[test]
fn an_if_in_an_if() {
    let lines = ["@p bra OUTER;", "@q bra INNER;", "work;", "INNER: work;", "OUTER: work;", "ret;"];
    assert_eq!(meeting(&lines), [4, 3, 3, 4, 5, 6]);
}

#[test]
fn loops() {
    // Tested at the end, tested at the head, and one in the other.
    assert_eq!(meeting(&["L: work;", "@p bra L;", "work;", "ret;"]), [1, 2, 3, 4]);
    assert_eq!(meeting(&["L: @p bra X;", "work;", "bra L;", "X: work;", "ret;"]), [3, 2, 0, 4, 5]);
    let nested = ["O: work;", "I: work;", "@p bra I;", "@q bra O;", "work;", "ret;"];
    assert_eq!(meeting(&nested), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_break_and_a_continue() {
    let lines = ["L: work;", "@p bra X;", "work;", "@q bra L;", "X: work;", "ret;"];
    assert_eq!(meeting(&lines), [1, 4, 3, 4, 5, 6]);
    let lines = ["L: work;", "@p bra C;", "work;", "C: work;", "@q bra L;", "work;", "ret;"];
    assert_eq!(meeting(&lines), [1, 3, 3, 4, 5, 6, 7]);
}

#[test]
fn lanes_that_return_early_keep_no_one_waiting() {
    // By a guarded return, and by a branch to the return at the end.
    assert_eq!(meeting(&["@p ret;", "work;", "ret;"]), [1, 2, 3]);
    assert_eq!(meeting(&["@p bra X;", "work;", "work;", "X: ret;"]), [1, 2, 3, 4]);
    // Within a branch: all others still meet after it.
    let within = ["@p bra A;", "work;", "@q bra X;", "work;", "A: work;", "X: ret;"];
    assert_eq!(meeting(&within), [4, 2, 3, 4, 5, 6]);
    let within = ["@p bra A;", "@q ret;", "work;", "A: work;", "ret;"];
    assert_eq!(meeting(&within), [3, 2, 3, 4, 5]);
    // Within a loop, whose regular end is a return as well.
    let looped = ["@p bra X;", "L: work;", "@q ret;", "work;", "@p bra L;", "X: ret;"];
    assert_eq!(meeting(&looped), [1, 2, 3, 4, 5, 6]);
    // Before a trap likewise.
    assert_eq!(meeting(&["@p bra A;", "@q trap;", "A: work;", "ret;"]), [2, 2, 3, 4]);
    let trap = ["@p bra A;", "@q bra B;", "trap;", "B: work;", "A: work;", "ret;"];
    assert_eq!(meeting(&trap), [4, 3, 6, 4, 5, 6]);
}

#[test]
fn both_ways_return() {
    assert_eq!(meeting(&["@p bra A;", "work;", "ret;", "A: work;", "ret;"]), [5, 2, 5, 4, 5]);
    assert_eq!(meeting(&["@p bra A;", "ret;", "A: ret;"]), [3, 3, 3]);
}

#[test]
fn a_return_that_does_something_first_is_no_early_return() {
    let lines = ["@p bra X;", "work;", "@q bra X;", "work;", "X: work;", "ret;"];
    assert_eq!(meeting(&lines), [4, 2, 4, 4, 5, 6]);
}

#[test]
fn code_that_nothing_reaches() {
    let lines = ["@p bra A;", "work;", "A: ret;", "work;", "@q bra A;", "ret;"];
    assert_eq!(meeting(&lines), [1, 2, 6, 4, 6, 6]);
}

#[test]
fn loops_without_a_way_out() {
    assert_eq!(meeting(&["L: work;", "bra L;"]), [1, 2]);
    assert_eq!(meeting(&["L: @p bra L;", "bra L;"]), [2, 2]);
    // One side is lost in a loop: the other does not wait for it.
    assert_eq!(meeting(&["@p bra L;", "work;", "ret;", "L: bra L;"]), [1, 2, 4, 4]);
    assert_eq!(meeting(&["bra E;", "E:"]), [1]);
}

#[test]
fn a_branch_to_the_next_instruction_parts_no_one() {
    assert_eq!(meeting(&["@p bra A;", "A: work;", "ret;"]), [1, 2, 3]);
}

#[test]
fn a_long_chain_takes_no_long_time() {
    let count = 20_000;
    let mut lines = Vec::new();
    for n in 0..count {
        lines.push(format!("@p bra L{n};\nwork;\n@q bra END;\nL{n}:"));
    }
    lines.push("END: ret;".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let meeting = meeting(&lines);
    assert_eq!((meeting[0], meeting[2], meeting.len()), (3, 3, 3 * count + 1));
}

/// Post-dominators by definition: `d` post-dominates `b` where no path from `b` to the exit avoids
/// it. The immediate one is that which all others post-dominate.
fn by_definition(successors: &[Vec<usize>]) -> Vec<usize> {
    let exit = successors.len();
    let reaches_exit = |from: usize, avoided: usize| {
        let mut seen = vec![false; exit + 1];
        let mut left = vec![from];
        while let Some(block) = left.pop() {
            if block == avoided || std::mem::replace(&mut seen[block], true) {
                continue;
            }
            if block == exit {
                return true;
            }
            left.extend(&successors[block]);
        }
        false
    };
    let nowhere = usize::MAX;
    let of = |block: usize| {
        if !reaches_exit(block, nowhere) {
            return exit;
        }
        let all: Vec<usize> =
            (0..exit).filter(|&d| d != block && !reaches_exit(block, d)).collect();
        let first = |&d: &usize| all.iter().all(|&other| other == d || !reaches_exit(d, other));
        all.iter().copied().find(|d| first(d)).unwrap_or(exit)
    };
    (0..exit).map(of).collect()
}

proptest! {
    #[test]
    fn post_dominators_are_those_of_the_definition(
        graph in (1usize..12).prop_flat_map(|count| {
            prop::collection::vec(prop::collection::vec(0..=count, 0..3), count)
        }),
    ) {
        prop_assert_eq!(post_dominators(&graph), by_definition(&graph));
    }

    #[test]
    fn early_returns_leave_every_way_to_the_exit(
        branches in prop::collection::vec((0u8..5, any::<prop::sample::Index>()), 1..16),
    ) {
        let lines: Vec<String> = branches.iter().enumerate().map(|(at, (kind, target))| {
            let target = target.index(branches.len());
            match kind {
                0 => format!("L{at}: work;"),
                1 => format!("L{at}: ret;"),
                2 => format!("L{at}: @p ret;"),
                3 => format!("L{at}: bra L{target};"),
                _ => format!("L{at}: @p bra L{target};"),
            }
        }).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let function = function(&lines);
        let blocks = blocks(&function);
        let whole: Vec<Vec<usize>> = blocks.iter().map(|b| b.successors.clone()).collect();
        let kept = without_early_returns(&function, &blocks);
        let leaves = |graph: &[Vec<usize>]| {
            let mut marked = vec![false; graph.len() + 1];
            mark_backwards(graph.len(), &predecessors(graph), &mut marked);
            marked
        };
        prop_assert_eq!(leaves(&whole), leaves(&kept));
    }
}
