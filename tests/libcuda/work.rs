//! What is put into streams.

use std::thread::ThreadId;

use ltm_ptx::Arg;

use crate::cublaslt::Product;
use crate::state::{Error, Function, Module, State};

/// What runs in a stream, or is captured there.
#[derive(Clone)]
pub enum Work {
    Launch { function: usize, grid: [u32; 3], block: [u32; 3], shared_bytes: u32, args: Vec<Arg> },
    Copy { from: u64, to: u64, bytes: usize },
    Zero { at: u64, bytes: usize },
    Product(Product),
}

/// A stream that is captured, of which there is one at a time.
pub struct Capture {
    pub stream: usize,
    /// Whose it is.
    pub thread: ThreadId,
    pub works: Vec<Work>,
    /// A call that does not go together with it was made.
    pub broken: bool,
}

impl State {
    /// Runs work, or captures it.
    pub fn put(&mut self, stream: usize, work: Work) -> Result<(), Error> {
        self.stream(stream)?;
        match &mut self.capture {
            Some(capture) if capture.stream == stream && capture.broken => {
                Err(Error::CAPTURE_INVALIDATED)
            }
            Some(capture) if capture.stream == stream => {
                capture.works.push(work);
                Ok(())
            }
            _ => self.run(&work),
        }
    }

    /// Runs work.
    pub fn run(&mut self, work: &Work) -> Result<(), Error> {
        let invalid = |_| Error::INVALID_VALUE;
        match work {
            Work::Launch { function, grid, block, shared_bytes, args } => {
                self.launches += 1;
                if self.launches == self.setting("fault", 0) {
                    self.pending = Some(Error(700));
                }
                let Function { module, name, .. } =
                    self.functions.get(function).ok_or(Error::INVALID_HANDLE)?;
                let Module { program, .. } = &self.modules[module];
                let ran = self.gpu.launch(program, name, *grid, *block, *shared_bytes, args);
                if let Err(error) = ran {
                    eprintln!("{name}: {error}");
                    self.pending = Some(Error(700));
                }
                Ok(())
            }
            &Work::Copy { from, to, bytes } => self.gpu.copy(from, to, bytes).map_err(invalid),
            Work::Product(product) => self.multiply(product),
            &Work::Zero { at, bytes } => self.gpu.zero(at, bytes).map_err(invalid),
        }
    }

    /// Breaks the capture of a stream that a call would wait for or let others wait for.
    pub fn not_captured(&mut self, stream: usize) -> Result<(), Error> {
        match &mut self.capture {
            Some(capture) if capture.stream == stream => capture.refuse(),
            _ => Ok(()),
        }
    }

    /// Breaks the capture of a thread that makes a call which is unsafe in it.
    pub fn not_capturing(&mut self) -> Result<(), Error> {
        match &mut self.capture {
            Some(capture) if capture.thread == std::thread::current().id() => capture.refuse(),
            _ => Ok(()),
        }
    }
}

impl Capture {
    fn refuse(&mut self) -> Result<(), Error> {
        self.broken = true;
        Err(Error::CAPTURE_UNSUPPORTED)
    }
}
