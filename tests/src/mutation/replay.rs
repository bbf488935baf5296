//! Plays recordings with one kernel replaced.

use std::collections::{BTreeMap, HashMap};

use ltm_ptx::launch::module;
use ltm_ptx::vm::fault::FaultKind;
use ltm_ptx::vm::{Config, Program, VirtualGpu, VmError};

use super::mutate::isolate;
use super::recorder::{Event, Recording};

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every check passed, every result was the same.
    Survived,
    /// A check found something.
    Fault(FaultKind),
    /// A result was another.
    Differs,
}

/// Texts of entry points, each alone in its module.
#[derive(Default)]
pub struct Texts(HashMap<&'static str, String>);

impl Texts {
    /// Those that the recordings launch.
    ///
    /// # Errors
    /// Modules that are absent or cannot be parsed.
    pub fn new(recordings: &[Recording]) -> Result<Self, String> {
        let mut texts = HashMap::new();
        for entry in recordings.iter().flat_map(Recording::launches).map(|launch| launch.entry) {
            if !texts.contains_key(entry.name) {
                let module = module(entry.module).ok_or(format!("no module {}", entry.module))?;
                let text = isolate(module.ptx, entry.name).map_err(|error| error.to_string())?;
                texts.insert(entry.name, text);
            }
        }
        Ok(Self(texts))
    }

    /// Entry points, sorted.
    pub fn entries(&self) -> Vec<&'static str> {
        let mut entries: Vec<_> = self.0.keys().copied().collect();
        entries.sort_unstable();
        entries
    }

    /// The text of an entry point; empty for one that is not launched.
    pub fn text(&self, entry: &str) -> &str {
        self.0.get(entry).map_or("", String::as_str)
    }
}

/// Lines of the text of each entry point that some warp came to, and whether they compare values
/// that were equal.
pub type Issued = HashMap<&'static str, BTreeMap<u32, bool>>;

/// Plays a recording as it was, and says which instructions it issues.
///
/// # Errors
/// A recording that does not replay to the same results.
pub fn trace(recording: &Recording, texts: &Texts) -> Result<Issued, String> {
    let mut programs = HashMap::new();
    match play(recording, texts, ("", ""), true, &mut programs)? {
        // Else a replay that differs by itself would call everything caught.
        Outcome::Survived => {
            let issued = programs.iter().map(|(&name, program)| (name, program.issued(name)));
            Ok(issued.collect())
        }
        other => Err(format!("{} is not what was recorded: {other:?}", recording.name)),
    }
}

/// Plays a recording with `entry` run from another `text`, and compares what it downloads.
///
/// # Errors
/// A text that the virtual GPU does not load, and whatever is no consequence of the text.
pub fn replay(
    recording: &Recording,
    texts: &Texts,
    entry: &str,
    text: &str,
) -> Result<Outcome, String> {
    play(recording, texts, (entry, text), false, &mut HashMap::new())
}

fn play(
    recording: &Recording,
    texts: &Texts,
    (entry, text): (&str, &str),
    trace: bool,
    programs: &mut HashMap<&'static str, Program>,
) -> Result<Outcome, String> {
    let words = |error: VmError| error.to_string();
    // A block of a mutant that runs twice as long as the whole recording runs forever.
    let budget = 2 * recording.instructions + 1000;
    let gpu = VirtualGpu::new(Config { threads: 1, budget, trace, ..Config::default() });
    for event in &recording.events {
        match event {
            Event::Alloc { bytes, address } => {
                let found = gpu.alloc(*bytes).map_err(words)?;
                if found != *address {
                    return Err(format!("{found:#x} was allocated, {address:#x} before"));
                }
            }
            Event::Free { address } => gpu.free(*address).map_err(words)?,
            Event::Upload { to, bytes } => gpu.write(*to, bytes).map_err(words)?,
            Event::Copy { from, to, bytes } => gpu.copy(*from, *to, *bytes).map_err(words)?,
            Event::Zero { at, bytes } => gpu.zero(*at, *bytes).map_err(words)?,
            Event::Download { from, bytes } => {
                let mut found = vec![0; bytes.len()];
                gpu.read(*from, &mut found).map_err(words)?;
                if found != *bytes {
                    return Ok(Outcome::Differs);
                }
            }
            Event::Launch(launch) => {
                let name = launch.entry.name;
                if !programs.contains_key(name) {
                    let text = if name == entry { text } else { texts.text(name) };
                    programs.insert(name, gpu.load(text).map_err(words)?);
                }
                let (grid, block, shared) = (launch.grid, launch.block, launch.shared_bytes);
                match gpu.launch(&programs[name], name, grid, block, shared, &launch.args) {
                    Ok(_) => {}
                    Err(VmError::Fault(report)) => return Ok(Outcome::Fault(report.kind)),
                    Err(error) => return Err(words(error)),
                }
            }
        }
    }
    Ok(Outcome::Survived)
}
