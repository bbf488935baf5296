//! Names of event files: `events.out.tfevents.<unix seconds>.<host>.<process>.<n>`.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

const PREFIX: &str = "events.out.tfevents.";

/// A name that no other writer uses and that sorts after every event file in `dir`.
///
/// TensorBoard reads the files of a directory in the order of their names, and a session start
/// purges only what was read before it. A run resumed within the second in which it died, or after
/// the clock was set back, therefore takes a later second than the clock's.
pub(super) fn fresh(dir: &Path, now: u64) -> io::Result<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut seconds = now;
    for entry in fs::read_dir(dir)? {
        if let Some(taken) = seconds_of(&entry?.file_name().to_string_lossy()) {
            seconds = seconds.max(taken.saturating_add(1));
        }
    }
    let host = host();
    let process = process::id();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{PREFIX}{seconds:010}.{host}.{process}.{count}"))
}

fn seconds_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix(PREFIX)?;
    rest.split('.').next()?.parse().ok()
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| env::var("HOSTNAME"))
        .unwrap_or_default();
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
