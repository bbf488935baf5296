//! Why an NVIDIA GPU cannot be used, or could not go on.

use std::fmt;

use super::Code;
use super::cublas::Status;

/// A CUDA version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CudaVersion {
    /// Before the point.
    pub major: u32,
    /// After the point.
    pub minor: u32,
}

impl CudaVersion {
    /// From 1000 major + 10 minor.
    pub(super) fn from_number(number: u32) -> Self {
        Self { major: number / 1000, minor: number % 1000 / 10 }
    }

    /// The first version whose driver takes PTX of version `major`.`minor`, as NVIDIA's table
    /// of PTX versions has it.
    pub(super) fn of_ptx(major: u32, minor: u32) -> Self {
        match (major, minor) {
            (8, 6..) => Self { major: 12, minor: minor + 1 },
            _ => Self { major: major + 4, minor },
        }
    }

    /// The first series of drivers for it on Linux.
    fn branch(self) -> u32 {
        match (self.major, self.minor) {
            (..=10, _) => 410,
            (11, 0) => 450,
            (11, 1) => 455,
            (11, 2) => 460,
            (11, 3) => 465,
            (11, 4) => 470,
            (11, 5) => 495,
            (11, 6) => 510,
            (11, 7) => 515,
            (11, _) => 520,
            (12, 0) => 525,
            (12, 1) => 530,
            (12, 2) => 535,
            (12, 3) => 545,
            (12, 4) => 550,
            (12, 5) => 555,
            (12, 6) => 560,
            (12, 7) => 565,
            (12, 8) => 570,
            (12, _) => 575,
            (13.., _) => 580,
        }
    }

    /// The driver that offers it, for people.
    pub(super) fn driver(self) -> String {
        format!("a driver of series {} or newer, for CUDA {self}", self.branch())
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What keeps an NVIDIA GPU from being used, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// libcuda is not there.
    #[error(
        "no NVIDIA driver: looked for {looked_for} and could load none of them; install NVIDIA's \
         driver (nvidia-smi comes with it and must work), or use --device cpu or --device vm"
    )]
    NoLibrary {
        /// File names.
        looked_for: String,
    },
    /// libcuda is there, without a function that every driver of the last years has.
    #[error("the NVIDIA driver is too old: its libcuda has no {symbol}; install {}", needed.driver())]
    Symbol {
        /// Function.
        symbol: &'static str,
        /// What the compiled kernels need.
        needed: CudaVersion,
    },
    /// The driver cannot take the kernels.
    #[error(
        "the NVIDIA driver{release} is too old: it offers CUDA {found}, and the kernels need \
         CUDA {needed}; install {}, or use --device cpu",
        needed.driver()
    )]
    OldDriver {
        /// Version of the driver itself with a blank before it; empty where it does not say.
        release: String,
        /// What it offers.
        found: CudaVersion,
        /// What the compiled kernels need.
        needed: CudaVersion,
    },
    /// A driver without a GPU.
    #[error(
        "the NVIDIA driver (CUDA {driver}) offers this process no GPU: see what nvidia-smi lists, \
         whether CUDA_VISIBLE_DEVICES hides it{hidden}, and whether a container was given it"
    )]
    NoDevice {
        /// CUDA version of the driver.
        driver: CudaVersion,
        /// The variable's value with its frame; empty where it is not set.
        hidden: String,
    },
    /// Only GPUs that are older than the kernels.
    #[error("no GPU of compute capability 8.0 (Ampere) or newer, which the kernels need: {found}")]
    OldDevice {
        /// The GPUs with their capabilities.
        found: String,
    },
    /// A call that prepares or moves something failed.
    #[error("CUDA: {call} failed: {code}{hint}")]
    Call {
        /// What was being done.
        call: &'static str,
        /// Result.
        code: Code,
        /// What to do, after a semicolon; empty where nothing special is known.
        hint: &'static str,
    },
    /// The driver did not take a module.
    #[error("the driver rejects the kernels of {module}: {code}{hint}{log}")]
    Rejected {
        /// Operation.
        module: &'static str,
        /// Result.
        code: Code,
        /// What to do, after a semicolon.
        hint: String,
        /// What the driver's compiler says, on lines of its own; empty where it says nothing.
        log: String,
    },
    /// cuBLASLt is not there.
    #[error(
        "no cuBLASLt: looked for {looked_for} and could load none of them; install NVIDIA's library, \
         put its folder into LD_LIBRARY_PATH, or use --gemm own"
    )]
    NoCublas {
        /// File names.
        looked_for: String,
    },
    /// cuBLASLt is there, without a function that every version of the last years has.
    #[error("cuBLASLt has no {symbol}; install one of CUDA 12 or newer, or use --gemm own")]
    CublasSymbol {
        /// Function.
        symbol: &'static str,
    },
    /// A call of cuBLASLt failed.
    #[error("cuBLASLt: {call} failed: {status}; --gemm own does without it")]
    Cublas {
        /// What was being done.
        call: &'static str,
        /// Result.
        status: Status,
    },
    /// One of several launches went wrong after it was put into a stream; the GPU's state is
    /// lost. Of a single one, [`crate::Error::Kernel`] tells.
    #[error(
        "a kernel went wrong on the GPU: {code}; launched since the last successful wait: \
         {kernels}; {SYNCHRONIZE}=1 waits after every launch and names the one"
    )]
    Fault {
        /// Result.
        code: Code,
        /// The kernels in the order of their first launches, with how often each ran.
        kernels: String,
    },
}

/// Variable of the environment: 1 waits after every launch.
pub const SYNCHRONIZE: &str = "LTM_CUDA_SYNC";

impl CudaError {
    /// A failed call, with what is known to help.
    pub(super) fn call(call: &'static str, code: Code) -> Self {
        let hint = match code.0 {
            34 => "; take the directory of stubs out of the library path",
            46 => "; end that process, or set another compute mode with nvidia-smi -c",
            999 => "; see whether nvidia-smi works, and whether the module nvidia_uvm is loaded",
            _ => "",
        };
        CudaError::Call { call, code, hint }
    }
}
