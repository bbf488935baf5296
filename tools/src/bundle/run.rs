//! Runs the steps on the machine at hand, and writes down how each ended as it ends.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::pack::{MANIFEST, PAYLOAD};
use super::payload::{create_folder, unpack};
use super::process::{answer, last_line, shell};
use super::{Environment, Error, GROUPS, Manifest, Need, Record, STEPS, Status, Step, StepRecord};

/// Less than this is no time to run anything in.
const LEAST: Duration = Duration::from_secs(5);
/// Bytes of each stream of a step that are kept in the log, from its end.
const LOGGED: usize = 200_000;
/// Characters of a detail.
const DETAIL: usize = 300;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the bundle.
    pub bundle: PathBuf,
    /// The folder of the results.
    pub out: PathBuf,
    /// Groups of steps.
    pub groups: Vec<String>,
    /// If not empty, only the steps with these names.
    pub only: Vec<String>,
    /// Time for everything.
    pub limit: Duration,
    /// The Python that has PyTorch, if one has.
    pub python: String,
    /// Sequences of an iteration in measurements.
    pub batch: usize,
    /// Seconds of training for the curve.
    pub curve_seconds: u64,
}

/// Runs the chosen steps. Returns how each ended; `told` hears of each as it ends.
///
/// # Errors
/// A group that does not exist, a damaged bundle, or a folder that cannot be written. What a step
/// does is no error.
pub fn run(options: &Options, told: &mut dyn FnMut(&StepRecord)) -> Result<Vec<StepRecord>, Error> {
    let start = Instant::now();
    if let Some(name) = options.groups.iter().find(|name| !GROUPS.contains(&name.as_str())) {
        return Err(Error::UnknownGroup { name: name.clone(), known: GROUPS.join(", ") });
    }
    create_folder(&options.out)?;
    let machine = Machine::prepare(options)?;
    let mut records = Vec::new();
    machine.write(&Record::Environment(Box::new(machine.environment.clone())))?;
    for step in STEPS.iter().filter(|step| options.chooses(step)) {
        let left = options.limit.saturating_sub(start.elapsed());
        let (record, measured) = match machine.obstacle(step, left) {
            Some((status, detail)) => (machine.record(step, status, detail), Vec::new()),
            None => machine.step(step, left)?,
        };
        machine.write(&Record::Step(record.clone()))?;
        for values in measured {
            machine.write(&Record::Measurement { step: step.name.to_owned(), values })?;
        }
        told(&record);
        records.push(record);
    }
    machine.write(&Record::End { seconds: start.elapsed().as_secs_f64() })?;
    Ok(records)
}

impl Options {
    fn chooses(&self, step: &Step) -> bool {
        self.groups.iter().any(|group| group == step.group)
            && (self.only.is_empty() || self.only.iter().any(|name| name == step.name))
    }
}

/// The machine with the bundle unpacked on it.
struct Machine<'a> {
    options: &'a Options,
    /// Absolute path of the results.
    out: PathBuf,
    environment: Environment,
    /// Removed with this value.
    place: TempDir,
    bundle: PathBuf,
}

impl<'a> Machine<'a> {
    fn prepare(options: &'a Options) -> Result<Self, Error> {
        let absolute = |path: &Path| fs::canonicalize(path).map_err(Error::file("find", path));
        let (out, bundle) = (absolute(&options.out)?, absolute(&options.bundle)?);
        let manifest = bundle.join(MANIFEST);
        let text = fs::read(&manifest).map_err(Error::file("read", &manifest))?;
        let content = |error: serde_json::Error| Error::Content {
            path: manifest.clone(),
            detail: format!("not the manifest of a bundle: {error}"),
        };
        let manifest: Manifest = serde_json::from_slice(&text).map_err(content)?;
        let place =
            tempfile::tempdir().map_err(Error::file("write into", &std::env::temp_dir()))?;
        unpack(&bundle.join(PAYLOAD), &place.path().join("payload"))?;
        create_folder(&place.path().join("shared"))?;
        let environment = Environment::look(manifest, options.groups.clone(), &options.python);
        Ok(Self { options, out, environment, place, bundle })
    }

    fn payload(&self, name: &str) -> PathBuf {
        self.place.path().join("payload").join(name)
    }

    /// Why a step cannot run.
    fn obstacle(&self, step: &Step, left: Duration) -> Option<(Status, String)> {
        if left < LEAST {
            let limit = self.options.limit.as_secs();
            return Some((Status::NoTime, format!("the {limit} s for everything were over")));
        }
        step.needs.iter().find_map(|need| match need {
            Need::Gpu if self.environment.gpu.is_none() => {
                Some((Status::NoGpu, "no GPU was found on this machine".to_owned()))
            }
            Need::Sanitizer if self.environment.sanitizer.is_none() => {
                Some((Status::NoTool, "compute-sanitizer is not on this machine".to_owned()))
            }
            Need::Torch if self.environment.torch.is_none() => {
                Some((Status::NoTool, format!("{} has no PyTorch", self.options.python)))
            }
            Need::Command(name) if answer(self.payload("bin/ltm"), &["help", name]).is_none() => {
                Some((Status::NotInBuild, format!("this build has no command {name}")))
            }
            _ => None,
        })
    }

    fn record(&self, step: &Step, status: Status, detail: String) -> StepRecord {
        let (step, group) = (step.name.to_owned(), step.group.to_owned());
        StepRecord { step, group, status, seconds: 0.0, exit: None, detail }
    }

    fn variables(&self, limit: Duration) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let sanitizer = self.environment.sanitizer.clone().unwrap_or_default();
        let pairs = [
            ("LTM", text(self.payload("bin/ltm"))),
            ("LTM_PROGRAM", text(self.payload("bin/ltm"))),
            ("LTM_VIRTUAL_LIBCUDA", text(self.payload("lib/libcuda.so"))),
            ("LTM_TESTS_DIR", text(self.payload("tests"))),
            ("LTM_COMMIT", self.environment.bundle.commit.chars().take(12).collect()),
            ("SUITES", text(self.payload("suites"))),
            ("BENCHES", text(self.payload("benches"))),
            ("GOLDEN", text(self.payload("tests/golden"))),
            ("TEXT", text(self.payload("text"))),
            ("PEERS", text(self.bundle.join("peers"))),
            ("SHARED", text(self.place.path().join("shared"))),
            ("CRITERION_HOME", text(self.place.path().join("shared/criterion"))),
            ("OUT", text(self.out.clone())),
            ("PYTHON", self.options.python.clone()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ("SANITIZER", sanitizer),
            ("BATCH", self.options.batch.to_string()),
            ("CURVE_SECONDS", self.options.curve_seconds.to_string()),
            ("LIMIT_SECONDS", limit.as_secs().to_string()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Runs a step and writes its log; how it ended, and the objects that it wrote.
    fn step(&self, step: &Step, left: Duration) -> Result<(StepRecord, Vec<Value>), Error> {
        let folder = self.place.path().join("step");
        create_folder(&folder)?;
        let streams = [self.place.path().join("stdout"), self.place.path().join("stderr")];
        let limit = left.min(Duration::from_secs(step.limit));
        let ended =
            shell(step.script, &self.variables(limit), &folder, limit, (&streams[0], &streams[1]))?;
        fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
        let [out, err] = streams.map(|path| {
            fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        });

        let mut record = self.record(step, Status::Passed, String::new());
        record.seconds = ended.elapsed.as_secs_f64();
        record.exit = ended.code;
        if ended.timed_out {
            record.status = Status::TimedOut;
            record.detail = format!("stopped after {} s", limit.as_secs());
        } else if ended.code != Some(0) {
            record.status = Status::Failed;
            record.detail = complaint(&out, &err);
        }
        self.log(&record, step, &out, &err)?;
        let lines = out.lines().filter(|line| line.starts_with('{'));
        let measured = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok((record, measured))
    }

    fn log(&self, record: &StepRecord, step: &Step, out: &str, err: &str) -> Result<(), Error> {
        let StepRecord { status, seconds, exit, .. } = record;
        let text = format!(
            "==== {}: {status}, exit {exit:?}, {seconds:.1} s\n$ {}\n{}\n---- standard error\n{}\n",
            step.name,
            step.script,
            end_of(out),
            end_of(err)
        );
        self.append("log.txt", text.as_bytes())
    }

    fn write(&self, record: &Record) -> Result<(), Error> {
        let mut line = serde_json::to_vec(record).expect("strings and numbers make JSON");
        line.push(b'\n');
        self.append("results.jsonl", &line)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.out.join(name);
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(bytes)?;
            file.sync_data()
        };
        write().map_err(Error::file("write", &path))
    }
}

/// What a failed program said last, an error or a panic before anything else.
fn complaint(out: &str, err: &str) -> String {
    let telling = |text: &str| {
        let tells = |line: &&str| line.starts_with("error") || line.contains("FAIL");
        text.lines().map(str::trim).rfind(tells).map(str::to_owned)
    };
    let last = || last_line(err).or(last_line(out)).map(str::to_owned);
    let text = telling(err).or_else(|| telling(out)).or_else(last).unwrap_or_default();
    text.chars().take(DETAIL).collect()
}

fn end_of(text: &str) -> &str {
    let from = text.ceil_char_boundary(text.len().saturating_sub(LOGGED));
    &text[from..]
}
