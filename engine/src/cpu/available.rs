//! How much memory the machine has left for this process.

use crate::MemoryInfo;

/// The memory of the machine, or of the control group that this process is held in where that has
/// less; `None` where the kernel does not tell.
pub fn memory() -> Option<MemoryInfo> {
    let machine = machine(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let number = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    Some(match (number("max"), number("current")) {
        (Some(most), Some(used)) => MemoryInfo {
            total: machine.total.min(most),
            free: machine.free.min(most.saturating_sub(used)),
        },
        _ => machine,
    })
}

/// What `/proc/meminfo` says; memory that caches can give back counts as free.
fn machine(text: &str) -> Option<MemoryInfo> {
    let kib = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some(MemoryInfo { total: kib("MemTotal:")? * 1024, free: kib("MemAvailable:")? * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        let text = "MemTotal:       24 kB\nMemFree: 1 kB\nMemAvailable:   16 kB\n";
        assert_eq!(machine(text), Some(MemoryInfo { total: 24 << 10, free: 16 << 10 }));
        assert_eq!(machine("MemTotal: many kB"), None);
    }

    #[test]
    fn what_others_use_is_no_part_of_a_limit() {
        let info = MemoryInfo { total: 100, free: 60 };
        assert_eq!(info.limited(50), MemoryInfo { total: 50, free: 50 });
        assert_eq!(info.limited(80), MemoryInfo { total: 80, free: 60 });
        assert_eq!(info.limited(1000), info);
    }
}
