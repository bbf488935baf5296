//! Modules and their kernels, loaded when they are first launched.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::CString;

use ltm_ptx::launch::module;
use ltm_ptx::{EntryPoint, Module};

use super::Code;
use super::api::{Api, Handle, Outcome, Rejection};
use super::cache::Cache;
use super::error::CudaError;
use super::survey::{Survey, needed};
use crate::{Error, Result};

/// A kernel that can be launched.
#[derive(Clone, Copy)]
pub struct Function {
    /// For the driver.
    pub handle: Handle,
    /// Dynamic shared memory that a launch may ask for so far, bytes.
    pub dynamic_shared: u32,
}

/// What is loaded.
pub struct Modules {
    cache: Cache,
    /// For the words of a rejection.
    driver: String,
    loaded: HashMap<&'static str, Handle>,
    functions: HashMap<&'static str, Function>,
}

impl Modules {
    /// Nothing is loaded yet.
    pub fn new(cache: Cache, survey: &Survey) -> Self {
        let driver = match &survey.release {
            Some(release) => format!("driver {release} offers CUDA {}", survey.cuda),
            None => format!("the driver offers CUDA {}", survey.cuda),
        };
        Self { cache, driver, loaded: HashMap::new(), functions: HashMap::new() }
    }

    /// Whether a kernel can be launched without anything being loaded.
    pub fn has(&self, entry: &EntryPoint) -> bool {
        self.functions.contains_key(entry.name)
    }

    /// A kernel, from its module, which is loaded when there was no other of it.
    pub fn function(
        &mut self,
        api: &impl Api,
        entry: &'static EntryPoint,
    ) -> Result<&mut Function> {
        // Looked up twice, so that a new entry is made only when everything has gone well.
        if !self.functions.contains_key(entry.name) {
            let function = self.find(api, entry)?;
            self.functions.insert(entry.name, function);
        }
        match self.functions.entry(entry.name) {
            Entry::Occupied(function) => Ok(function.into_mut()),
            Entry::Vacant(_) => Err(absent(entry, "was not loaded")),
        }
    }

    fn find(&mut self, api: &impl Api, entry: &'static EntryPoint) -> Result<Function> {
        let Some(module) = module(entry.module) else {
            return Err(absent(entry, "has no module in this build"));
        };
        let handle = match self.loaded.get(module.name) {
            Some(&handle) => handle,
            None => {
                let handle = self.load(api, module)?;
                self.loaded.insert(module.name, handle);
                handle
            }
        };
        let name = CString::new(entry.name).map_err(|_| absent(entry, "has no legal name"))?;
        let found = api.function(handle, &name).and_then(|handle| {
            Ok(Function { handle, dynamic_shared: api.dynamic_shared(handle)? })
        });
        found.map_err(|code| absent(entry, &format!("cannot be found: {code}")))
    }

    fn load(&self, api: &impl Api, module: &'static Module) -> Result<Handle> {
        if let Some(code) = self.cache.read(module)
            && let Ok(handle) = api.load(&code)
        {
            return Ok(handle);
        }
        let code = compile(api, module).map_err(|rejection| self.rejected(module, rejection))?;
        // A cache that cannot be written costs the next process a compilation, nothing else.
        let _ = self.cache.write(module, &code);
        api.load(&code)
            .map_err(|code| self.rejected(module, Rejection { code, log: String::new() }))
    }

    fn rejected(&self, module: &'static Module, rejection: Rejection) -> Error {
        let Rejection { code, log } = rejection;
        if code.is_fault() {
            return Error::Cuda(CudaError::call("loading a module", code));
        }
        let hint = match code {
            Code::UNSUPPORTED_PTX_VERSION => {
                format!("; {}; install {}", self.driver, needed().driver())
            }
            Code::JIT_COMPILER_NOT_FOUND => {
                "; install all of the driver's libraries (libnvidia-ptxjitcompiler is one)".into()
            }
            Code::OUT_OF_MEMORY => "; end what else uses the GPU".into(),
            _ => format!("; {}; ltm doctor shows which modules load here", self.driver),
        };
        let log = if log.is_empty() { log } else { format!("\n{log}") };
        Error::Cuda(CudaError::Rejected { module: module.name, code, hint, log })
    }

    /// Unloads everything. No launch may be running.
    pub fn unload(&mut self, api: &impl Api) -> Outcome<()> {
        self.functions.clear();
        self.loaded.drain().try_for_each(|(_, handle)| api.unload(handle))
    }
}

fn compile(api: &impl Api, module: &Module) -> std::result::Result<Vec<u8>, Rejection> {
    let refused = |_| Rejection { code: Code::INVALID_PTX, log: "a zero byte in the text".into() };
    api.compile(&CString::new(module.ptx).map_err(refused)?)
}

fn absent(entry: &'static EntryPoint, report: &str) -> Error {
    Error::Kernel { kernel: entry.name, report: report.into() }
}
