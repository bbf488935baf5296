//! The kernels that recordings launch, each alone in its module.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ltm_ptx::EntryPoint;
use ltm_ptx::launch::module;
use ltm_ptx::vm::{Config, Program, VirtualGpu};

use super::mutate::isolate;
use super::recorder::Recording;
use super::replay::Issued;

/// Entry points by name.
pub struct Programs {
    loaded: HashMap<&'static str, (String, Program)>,
}

/// Loads the text of one entry point. The kernels have no variables in global memory that they
/// use, so the program serves every device.
///
/// # Errors
/// A text that the virtual GPU does not load.
pub fn load(text: &str, trace: bool) -> Result<Program, String> {
    let gpu = VirtualGpu::new(Config { trace, ..Config::default() });
    gpu.load(text).map_err(|error| error.to_string())
}

fn text(entry: &EntryPoint) -> Result<String, String> {
    let module = module(entry.module).ok_or(format!("no module {}", entry.module))?;
    isolate(module.ptx, entry.name).map_err(|error| error.to_string())
}

/// The program of an entry point, loaded when it is first asked for.
///
/// # Errors
/// A module that is absent or cannot be loaded.
pub(super) fn original(entry: &'static EntryPoint) -> Result<Arc<Program>, String> {
    static LOADED: OnceLock<Mutex<HashMap<&'static str, Arc<Program>>>> = OnceLock::new();
    let mut loaded =
        LOADED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = loaded.get(entry.name) {
        return Ok(Arc::clone(program));
    }
    let program = Arc::new(load(&text(entry)?, false)?);
    loaded.insert(entry.name, Arc::clone(&program));
    Ok(program)
}

impl Programs {
    /// Those that the recordings launch; `trace` for a device that traces.
    ///
    /// # Errors
    /// Modules that are absent or cannot be loaded.
    pub fn new(recordings: &[Recording], trace: bool) -> Result<Self, String> {
        let mut loaded = HashMap::new();
        for entry in recordings.iter().flat_map(Recording::launches).map(|launch| launch.entry) {
            if !loaded.contains_key(entry.name) {
                let text = text(entry)?;
                let program = load(&text, trace)?;
                loaded.insert(entry.name, (text, program));
            }
        }
        Ok(Self { loaded })
    }

    /// Entry points, sorted.
    pub fn entries(&self) -> Vec<&'static str> {
        let mut entries: Vec<_> = self.loaded.keys().copied().collect();
        entries.sort_unstable();
        entries
    }

    /// The text of an entry point; empty for one that is not launched.
    pub fn text(&self, entry: &str) -> &str {
        self.loaded.get(entry).map_or("", |(text, _)| text)
    }

    pub(super) fn get(&self, entry: &str) -> Result<&Program, String> {
        let loaded = self.loaded.get(entry).ok_or(format!("{entry} is not loaded"))?;
        Ok(&loaded.1)
    }

    pub(super) fn forget_issued(&self) {
        self.loaded.values().for_each(|(_, program)| program.forget_issued());
    }

    /// What the kernels of a recording have issued since.
    pub(super) fn issued(&self, recording: &Recording) -> Issued {
        let names = recording.launches().map(|launch| launch.entry.name);
        let issued = names.filter_map(|name| Some((name, self.loaded.get(name)?.1.issued(name))));
        issued.collect()
    }
}
