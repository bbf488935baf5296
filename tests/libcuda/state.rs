//! What the library remembers.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use ltm_ptx::vm::{Config, Program, VirtualGpu};

use crate::work::{Capture, Work};

/// A result other than success.
#[derive(Clone, Copy, Debug)]
pub struct Error(pub u32);

impl Error {
    pub const INVALID_VALUE: Error = Error(1);
    pub const OUT_OF_MEMORY: Error = Error(2);
    pub const NOT_INITIALIZED: Error = Error(3);
    pub const INVALID_CONTEXT: Error = Error(201);
    pub const INVALID_HANDLE: Error = Error(400);
    pub const CAPTURE_UNSUPPORTED: Error = Error(900);
    pub const CAPTURE_INVALIDATED: Error = Error(901);
}

/// A loaded module.
pub struct Module {
    pub program: Arc<Program>,
    pub text: String,
}

/// A kernel of a module.
#[derive(Clone)]
pub struct Function {
    pub module: usize,
    pub name: String,
    pub dynamic_shared: u32,
}

/// An event.
pub struct Event {
    /// Whether it can be asked for its time.
    pub timed: bool,
    /// When it was last recorded: streams are eager.
    pub reached: Option<Instant>,
}

/// A link in the making.
#[derive(Default)]
pub struct Link {
    /// Where the compiler's words go, and how many bytes there are.
    pub log: Option<(usize, usize)>,
    pub image: Vec<u8>,
}

/// Everything.
pub struct State {
    pub gpu: VirtualGpu,
    pub initialised: bool,
    pub contexts: usize,
    pub blocks: HashMap<u64, usize>,
    pub pinned: HashMap<usize, Box<[u8]>>,
    pub streams: HashSet<usize>,
    pub events: HashMap<usize, Event>,
    pub modules: HashMap<usize, Module>,
    pub functions: HashMap<usize, Function>,
    pub links: HashMap<usize, Link>,
    /// The stream that is captured.
    pub capture: Option<Capture>,
    pub graphs: HashMap<usize, Vec<Work>>,
    pub executables: HashMap<usize, Vec<Work>>,
    /// Launches so far.
    pub launches: u64,
    /// A kernel went wrong and nobody has noticed yet.
    pub pending: Option<Error>,
    /// What is returned since somebody has.
    pub fault: Option<Error>,
    next: usize,
    settings: HashMap<String, u64>,
}

/// Address of the only context.
pub const CONTEXT: usize = 0xc0;

thread_local! {
    /// Whether the context is current on this thread.
    pub static CURRENT: Cell<bool> = const { Cell::new(false) };
}

pub fn state() -> &'static Mutex<State> {
    static STATE: OnceLock<Mutex<State>> = OnceLock::new();
    STATE.get_or_init(|| Mutex::new(State::new()))
}

impl State {
    fn new() -> Self {
        let variable = std::env::var("VIRTUAL_LIBCUDA").unwrap_or_default();
        let setting = |text: &str| {
            let (key, value) = text.split_once('=').expect("key=number");
            (key.to_owned(), value.parse().expect("a number"))
        };
        Self {
            gpu: VirtualGpu::new(Config { threads: 1, ..Config::default() }),
            initialised: false,
            contexts: 0,
            blocks: HashMap::new(),
            pinned: HashMap::new(),
            streams: HashSet::new(),
            events: HashMap::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            links: HashMap::new(),
            capture: None,
            graphs: HashMap::new(),
            executables: HashMap::new(),
            launches: 0,
            pending: None,
            fault: None,
            next: 0x1000,
            settings: variable.split(',').filter(|text| !text.is_empty()).map(setting).collect(),
        }
    }

    /// A setting of the variable.
    pub fn setting(&self, key: &str, usual: u64) -> u64 {
        self.settings.get(key).copied().unwrap_or(usual)
    }

    /// Fails where a setting says so.
    pub fn may_fail(&self, call: &str) -> Result<(), Error> {
        match self.setting(call, 0) {
            0 => Ok(()),
            code => Err(Error(code as u32)),
        }
    }

    /// A new handle.
    pub fn handle(&mut self) -> usize {
        self.next += 0x10;
        self.next
    }

    /// Whether calls that need a context may go on.
    pub fn in_context(&self) -> Result<(), Error> {
        if !self.initialised {
            return Err(Error::NOT_INITIALIZED);
        }
        if self.contexts == 0 || !CURRENT.get() {
            return Err(Error::INVALID_CONTEXT);
        }
        self.fault.map_or(Ok(()), Err)
    }

    /// The host waits: what went wrong shows.
    pub fn notice(&mut self) -> Result<(), Error> {
        self.fault = self.fault.or(self.pending.take());
        self.fault.map_or(Ok(()), Err)
    }

    pub fn stream(&self, stream: usize) -> Result<(), Error> {
        if self.streams.contains(&stream) { Ok(()) } else { Err(Error::INVALID_HANDLE) }
    }

    pub fn event(&self, event: usize) -> Result<(), Error> {
        if self.events.contains_key(&event) { Ok(()) } else { Err(Error::INVALID_HANDLE) }
    }
}
