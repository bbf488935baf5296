//! What the assembler says of each kernel, from the record beside the compiled files.

use ltm_ptx::{EntryPoint, MANIFEST, entry_points};
use serde::Deserialize;

use crate::{Error, Result};

/// What an entry point takes of the machine, compiled for sm_80.
#[derive(Clone, Debug, Deserialize)]
pub struct Usage {
    /// Name of the entry point.
    pub entry: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Static shared memory of a block, bytes.
    pub static_shared: u32,
    /// Bytes of spill stores of a thread.
    pub spill_stores: u32,
    /// Bytes of spill loads of a thread.
    pub spill_loads: u32,
}

#[derive(Deserialize)]
struct Manifest {
    entries: Vec<Usage>,
}

/// Every entry point of this build with its usage; `None` for one that was compiled without the
/// assembler at hand.
///
/// # Errors
/// [`Error::Value`] if the record is damaged.
pub fn usage() -> Result<Vec<(&'static EntryPoint, Option<Usage>)>> {
    let manifest: Manifest = serde_json::from_str(MANIFEST).map_err(|e| Error::Value {
        op: "inspect",
        detail: format!("the record of the compiled kernels is damaged: {e}"),
    })?;
    let of = |entry: &EntryPoint| manifest.entries.iter().find(|u| u.entry == entry.name).cloned();
    Ok(entry_points().map(|entry| (entry, of(entry))).collect())
}
