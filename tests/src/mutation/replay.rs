//! Plays recordings with one kernel replaced.

use std::collections::{BTreeMap, HashMap};

use ltm_ptx::vm::fault::FaultKind;
use ltm_ptx::vm::{Config, Program, VirtualGpu, VmError};

use super::programs::Programs;
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

/// Lines of the text of each entry point that some warp came to, and whether they compare values
/// that were equal.
pub type Issued = HashMap<&'static str, BTreeMap<u32, bool>>;

/// Plays a recording as it was, and says which instructions it issues. The `programs` must be
/// those of a device that traces.
///
/// # Errors
/// A recording that does not replay to the same results.
pub fn trace(recording: &Recording, programs: &Programs) -> Result<Issued, String> {
    programs.forget_issued();
    match play(recording, programs, None)? {
        // Else a replay that differs by itself would call everything caught.
        Outcome::Survived => Ok(programs.issued(recording)),
        other => Err(format!("{} is not what was recorded: {other:?}", recording.name)),
    }
}

/// Plays a recording with another program for the kernel `entry`, and compares what it downloads.
///
/// # Errors
/// Whatever is no consequence of the program.
pub fn replay(
    recording: &Recording,
    programs: &Programs,
    entry: &str,
    program: &Program,
) -> Result<Outcome, String> {
    play(recording, programs, Some((entry, program)))
}

fn play(
    recording: &Recording,
    programs: &Programs,
    other: Option<(&str, &Program)>,
) -> Result<Outcome, String> {
    let words = |error: VmError| error.to_string();
    // A block of a mutant that runs twice as long as the whole recording runs forever.
    let budget = 2 * recording.instructions + 1000;
    let gpu = VirtualGpu::new(Config { threads: 1, budget, ..Config::default() });
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
                let program = match other {
                    Some((entry, program)) if entry == name => program,
                    _ => programs.get(name)?,
                };
                let (grid, block, shared) = (launch.grid, launch.block, launch.shared_bytes);
                match gpu.launch(program, name, grid, block, shared, &launch.args) {
                    Ok(_) => {}
                    Err(VmError::Fault(report)) => return Ok(Outcome::Fault(report.kind)),
                    Err(error) => return Err(words(error)),
                }
            }
        }
    }
    Ok(Outcome::Survived)
}
