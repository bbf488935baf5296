//! Waiting for a training to come to some point.

use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// Far beyond what any of these trainings takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whole lines of a file; none if it does not exist yet.
pub fn lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count())
}

/// Waits until a file has `count` lines while `child`, which writes it, runs.
#[track_caller]
pub fn wait_for_lines(path: &Path, count: usize, child: &mut Child) {
    wait_until(child, || lines(path) >= count);
}

/// Waits until something holds while `child` runs.
#[track_caller]
pub fn wait_until(child: &mut Child, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the program ended early: {ended:?}");
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        // Polling: the file tells, and nothing depends on how long this is.
        thread::sleep(Duration::from_millis(1));
    }
}
