//! ptxas: assembles PTX and tells what a kernel takes of the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::Error;

/// What ptxas told about one entry point on one architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Registers of a thread.
    pub registers: u32,
    /// Static shared memory of a block, bytes.
    pub static_shared: u32,
    /// Stack of a thread, bytes.
    pub stack: u32,
    /// Bytes of spill stores.
    pub spill_stores: u32,
    /// Bytes of spill loads.
    pub spill_loads: u32,
}

/// The assembler.
pub struct Ptxas {
    program: PathBuf,
}

impl Ptxas {
    /// The assembler at `program`.
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Assembles `ptx` for `architecture`; usage by entry point.
    ///
    /// # Errors
    /// [`Error::Assemble`] with the assembler's log.
    pub fn assemble(
        &self,
        module: &str,
        ptx: &Path,
        architecture: &str,
    ) -> Result<BTreeMap<String, Usage>, Error> {
        let output = Command::new(&self.program)
            .args(["-v", "-arch", architecture, "-o"])
            .arg(if cfg!(windows) { "NUL" } else { "/dev/null" })
            .arg(ptx)
            .output()
            .map_err(Error::file(&self.program))?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok(read_log(&log));
        }
        Err(Error::Assemble { kernel: module.into(), architecture: architecture.into(), log })
    }
}

/// Reads what `ptxas -v` prints.
fn read_log(log: &str) -> BTreeMap<String, Usage> {
    let mut usages = BTreeMap::new();
    let mut entry = String::new();
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            entry = rest.split('\'').next().unwrap_or_default().to_owned();
            usages.insert(entry.clone(), Usage::default());
            continue;
        }
        let Some(usage) = usages.get_mut(&entry) else { continue };
        // "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" and
        // "Used 26 registers, used 1 barriers, 256 bytes smem, 372 bytes cmem[0]"
        let facts = line.split_once(':').map_or(line, |(_, facts)| facts);
        for fact in facts.split(',') {
            let words: Vec<&str> = fact.split_whitespace().collect();
            let number = |i: usize| words.get(i).and_then(|w| w.parse().ok());
            match words.as_slice() {
                ["Used", _, "registers"] => usage.registers = number(1).unwrap_or_default(),
                [_, "bytes", "smem"] => usage.static_shared = number(0).unwrap_or_default(),
                [_, "bytes", "stack", "frame"] => usage.stack = number(0).unwrap_or_default(),
                [_, "bytes", "spill", "stores"] => {
                    usage.spill_stores = number(0).unwrap_or_default()
                }
                [_, "bytes", "spill", "loads"] => usage.spill_loads = number(0).unwrap_or_default(),
                _ => {}
            }
        }
    }
    usages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_ptxas_is_read() {
        let log = "ptxas info    : 0 bytes gmem\n\
            ptxas info    : Compiling entry function 'k' for 'sm_80'\n\
            ptxas info    : Function properties for k\n    \
            8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n\
            ptxas info    : Used 26 registers, used 1 barriers, 256 bytes smem, 372 bytes cmem[0]\n";
        let expected = Usage {
            registers: 26,
            static_shared: 256,
            stack: 8,
            spill_stores: 12,
            spill_loads: 16,
        };
        assert_eq!(read_log(log), BTreeMap::from([("k".into(), expected)]));
    }
}
