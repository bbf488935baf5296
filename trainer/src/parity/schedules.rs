//! The schedule tables of the `ops` fixture.

use serde_json::Value;

use super::Result;
use super::report::Checker;
use crate::config::{Config, FastConfig, Ramp, Reading};
use crate::schedule::{fast_lr, fast_peak, slow_lr};

/// Schedules are computed in f64 on both sides.
const ALLOWED: f64 = 1e-15;

/// Checks every table by the settings that its title names.
pub(super) fn check(checker: &mut Checker<'_>) -> Result<()> {
    let fixture = checker.fixture;
    let Some(tables) = fixture.json.get("schedules").and_then(Value::as_object) else {
        return Ok(());
    };
    let mut released = Config { reading: Reading::Released, ..Config::default() };
    released.slow.total = 60_000;
    let mut ramped = released.clone();
    ramped.fast.ramp = Ramp::On;
    let fast =
        |steps, schedule_steps| FastConfig { steps, schedule_steps, ..released.fast.clone() };
    for (title, table) in tables {
        let of: Box<dyn Fn(u64) -> f64> = match title.as_str() {
            t if t.starts_with("slow_lr") => Box::new(|i| slow_lr(&released, i)),
            t if t.starts_with("fast peak") => Box::new(|i| fast_peak(&ramped, i)),
            t if t.contains("24 steps") => {
                let fast = fast(24, 16);
                Box::new(move |i| fast_lr(&fast, i as usize, 0.34))
            }
            t if t.contains(" 16 steps") => {
                let fast = fast(16, 0);
                Box::new(move |i| fast_lr(&fast, i as usize, 0.34))
            }
            t if t.contains(" 4 steps") => {
                let fast = fast(4, 0);
                Box::new(move |i| fast_lr(&fast, i as usize, 0.34))
            }
            _ => return Err(fixture.malformed(format!("unknown schedule table {title:?}"))),
        };
        let mut worst = 0.0f64;
        for (index, value) in entries(table) {
            worst = worst.max((of(index) - value).abs());
        }
        checker.record(title, worst, ALLOWED, "abs");
    }
    Ok(())
}

/// A list by position, or an object whose keys are positions.
fn entries(table: &Value) -> Vec<(u64, f64)> {
    match table {
        Value::Array(list) => {
            list.iter().enumerate().filter_map(|(i, v)| Some((i as u64, v.as_f64()?))).collect()
        }
        Value::Object(map) => {
            map.iter().filter_map(|(k, v)| Some((k.parse().ok()?, v.as_f64()?))).collect()
        }
        _ => Vec::new(),
    }
}
