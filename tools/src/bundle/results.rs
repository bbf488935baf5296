//! Reading a folder of results.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Environment, Error, Record, StepRecord};

/// A folder of results: of several runs into it, the last word on each step.
#[derive(Clone, Debug)]
pub struct Results {
    /// The machine of the last run.
    pub environment: Environment,
    /// How each step ended the last time that it could run, in the order of their first mention.
    pub steps: Vec<StepRecord>,
    /// Measurements of those runs: the step, and what it wrote.
    pub measurements: Vec<(String, Value)>,
    /// Whether the last run came to its end.
    pub complete: bool,
    /// What `compare_gpu.py` wrote, if it ran.
    pub peers: Option<Value>,
    /// Training curves by name, if some were drawn: (iteration, loss).
    pub curves: Vec<(&'static str, Vec<(u64, f64)>)>,
}

impl Results {
    /// Reads `results.jsonl` and what lies beside it.
    ///
    /// # Errors
    /// If there is none, or a line other than a last one that was cut short is not one of ours.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("results.jsonl");
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let mut environment = None;
        let (mut steps, mut measurements) = (Vec::<StepRecord>::new(), Vec::new());
        let mut complete = false;
        for (number, line) in text.lines().enumerate() {
            let record = match serde_json::from_str(line) {
                Ok(record) => record,
                Err(_) if number + 1 == text.lines().count() && !text.ends_with('\n') => break,
                Err(error) => {
                    let detail = format!("line {}: {error}", number + 1);
                    return Err(Error::Content { path, detail });
                }
            };
            match record {
                Record::Environment(found) => {
                    (environment, complete) = (Some(*found), false);
                }
                Record::End { .. } => complete = true,
                Record::Step(step) => {
                    let ran = step.exit.is_some() || step.status.is_failure();
                    match steps.iter_mut().find(|known| known.step == step.step) {
                        // A later run without what the step needs does not undo an earlier one.
                        Some(_) if !ran => continue,
                        Some(known) => {
                            measurements.retain(|(name, _)| *name != step.step);
                            *known = step;
                        }
                        None => steps.push(step),
                    }
                }
                // They follow their step.
                Record::Measurement { step, values } => measurements.push((step, values)),
            }
        }
        let missing = || Error::Content {
            path: path.clone(),
            detail: "no line tells of the machine; expected what run.sh writes".into(),
        };
        let environment = environment.ok_or_else(missing)?;
        let peers = match fs::read(folder.join("peers.json")) {
            Ok(bytes) => Some(json(&folder.join("peers.json"), &bytes)?),
            Err(_) => None,
        };
        let mut curves = Vec::new();
        for (name, file) in [("ltm", "curve-ltm.jsonl"), ("PyTorch", "curve-pytorch.jsonl")] {
            if let Ok(text) = fs::read_to_string(folder.join(file)) {
                curves.push((name, text.lines().filter_map(point).collect()));
            }
        }
        Ok(Self { environment, steps, measurements, complete, peers, curves })
    }
}

fn json(path: &Path, bytes: &[u8]) -> Result<Value, Error> {
    let content = |error: serde_json::Error| Error::Content {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    serde_json::from_slice(bytes).map_err(content)
}

fn point(line: &str) -> Option<(u64, f64)> {
    let value: Value = serde_json::from_str(line).ok()?;
    Some((value["iteration"].as_u64()?, value["loss"].as_f64()?))
}
