//! Memory of this process, as the kernel tells it.
//!
//! Memory-mapped shards count in these figures as far as their pages happen to be cached; they
//! are clean and shared, and the kernel takes them back at will.

/// Resident set now, in bytes; `None` where the kernel does not tell.
pub fn rss_bytes() -> Option<u64> {
    status_kib("VmRSS:")
}

/// Largest resident set so far, in bytes; `None` where the kernel does not tell.
pub fn peak_rss_bytes() -> Option<u64> {
    status_kib("VmHWM:")
}

fn status_kib(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
