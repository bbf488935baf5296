use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A kernel that is added and that no call here reaches would have no row.
#[test]
fn every_kernel_is_launched() {
    let launched: BTreeSet<&str> = launches().unwrap().iter().map(|l| l.entry.name).collect();
    let known: BTreeSet<&str> = ltm_ptx::entry_points().map(|entry| entry.name).collect();
    assert_eq!(launched, known);
}

#[test]
fn what_runs_is_what_is_shown_without_running() {
    let all = measure(0).unwrap();
    let shape = |l: &LaunchRecord| (l.entry, l.grid, l.block, l.shared_bytes);
    let ran: Vec<_> = all.iter().flat_map(|call| &call.launches).map(shape).collect();
    let shown: Vec<_> =
        launches().unwrap().iter().map(|l| (l.entry, l.grid, l.block, l.shared_bytes)).collect();
    assert_eq!(ran, shown);
    // Calls are told apart by their names, and none moves less than the least.
    let mut seen = BTreeSet::new();
    for call in &all {
        assert!(seen.insert((call.operation.as_str(), call.storage.to_string())), "{call:?}");
        assert!(call.moved_bytes() >= call.minimum_bytes, "{call:?}");
        assert!(call.minimum_bytes > 0, "{call:?}");
    }
}

#[test]
fn every_kernel_has_been_assembled() {
    let all = usage().unwrap();
    let unknown: Vec<&str> =
        all.iter().filter(|(_, usage)| usage.is_none()).map(|(entry, _)| entry.name).collect();
    assert_eq!(unknown, [""; 0]);
    let by_name: BTreeMap<&str, &Usage> =
        all.iter().filter_map(|(entry, usage)| Some((entry.name, usage.as_ref()?))).collect();
    assert!(by_name["linear_forward_bf16"].registers > 32);
    assert_eq!(by_name["linear_forward_bf16"].static_shared, 49_152);
}
