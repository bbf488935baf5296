//! Results of driver calls, by name.

use std::fmt;

/// Result of a driver call that failed: a `CUresult`, as a number, because newer drivers return
/// results that no binding lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// The driver is told to do what it cannot.
    pub const INVALID_VALUE: Code = Code(1);
    /// No memory is left.
    pub const OUT_OF_MEMORY: Code = Code(2);
    /// The library is the one that programs are linked with, not a driver.
    pub const STUB_LIBRARY: Code = Code(34);
    /// There is no GPU that this process may use.
    pub const NO_DEVICE: Code = Code(100);
    /// A module has no code for this GPU.
    pub const NO_BINARY_FOR_GPU: Code = Code(209);
    /// PTX has a mistake.
    pub const INVALID_PTX: Code = Code(218);
    /// The library that compiles PTX is absent.
    pub const JIT_COMPILER_NOT_FOUND: Code = Code(221);
    /// PTX is of a newer version than the driver knows.
    pub const UNSUPPORTED_PTX_VERSION: Code = Code(222);
    /// An address outside of every block.
    pub const ILLEGAL_ADDRESS: Code = Code(700);
    /// A block asks for more than there is.
    pub const LAUNCH_OUT_OF_RESOURCES: Code = Code(701);
    /// The driver or the GPU does not offer what is asked for.
    pub const NOT_SUPPORTED: Code = Code(801);
    /// Parts of the driver that do not fit one another.
    pub const SYSTEM_DRIVER_MISMATCH: Code = Code(803);
    /// No better known.
    pub const UNKNOWN: Code = Code(999);

    /// Whether this tells of work that was put into a stream earlier, whatever call returns it.
    /// The context is lost then: every later call returns the same.
    pub fn is_fault(self) -> bool {
        matches!(self.0, 214 | 220 | 226 | 700 | 702 | 709 | 710 | 714..=719)
    }

    fn name(self) -> Option<(&'static str, &'static str)> {
        Some(match self.0 {
            1 => ("CUDA_ERROR_INVALID_VALUE", "a value is out of its range"),
            2 => ("CUDA_ERROR_OUT_OF_MEMORY", "no memory is left"),
            3 => ("CUDA_ERROR_NOT_INITIALIZED", "the driver was not started"),
            4 => ("CUDA_ERROR_DEINITIALIZED", "the driver is shutting down"),
            34 => ("CUDA_ERROR_STUB_LIBRARY", "a stub of libcuda was loaded, not a driver"),
            46 => ("CUDA_ERROR_DEVICE_UNAVAILABLE", "another process holds the GPU"),
            100 => ("CUDA_ERROR_NO_DEVICE", "no GPU"),
            101 => ("CUDA_ERROR_INVALID_DEVICE", "no such GPU"),
            200 => ("CUDA_ERROR_INVALID_IMAGE", "the machine code is damaged"),
            201 => ("CUDA_ERROR_INVALID_CONTEXT", "no context is current"),
            209 => ("CUDA_ERROR_NO_BINARY_FOR_GPU", "no code for this GPU"),
            214 => ("CUDA_ERROR_ECC_UNCORRECTABLE", "the GPU's memory is defective"),
            218 => ("CUDA_ERROR_INVALID_PTX", "the PTX has a mistake"),
            220 => ("CUDA_ERROR_NVLINK_UNCORRECTABLE", "a link between GPUs failed"),
            221 => ("CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "the driver's PTX compiler is absent"),
            222 => ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is newer than the driver"),
            226 => ("CUDA_ERROR_CONTAINED", "the GPU's hardware reported an error"),
            500 => ("CUDA_ERROR_NOT_FOUND", "no such name"),
            700 => ("CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel left its memory"),
            701 => ("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a block asks for more than there is"),
            702 => ("CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel ran longer than the display allows"),
            709 => ("CUDA_ERROR_CONTEXT_IS_DESTROYED", "the context is gone"),
            710 => ("CUDA_ERROR_ASSERT", "an assertion failed in a kernel"),
            714 => ("CUDA_ERROR_HARDWARE_STACK_ERROR", "a kernel overran its stack"),
            715 => ("CUDA_ERROR_ILLEGAL_INSTRUCTION", "an instruction that the GPU lacks"),
            716 => ("CUDA_ERROR_MISALIGNED_ADDRESS", "an access that is not aligned"),
            717 => ("CUDA_ERROR_INVALID_ADDRESS_SPACE", "an access to the wrong kind of memory"),
            718 => ("CUDA_ERROR_INVALID_PC", "a kernel left its code"),
            719 => ("CUDA_ERROR_LAUNCH_FAILED", "a kernel failed"),
            801 => ("CUDA_ERROR_NOT_SUPPORTED", "not supported here"),
            802 => ("CUDA_ERROR_SYSTEM_NOT_READY", "the fabric of the GPUs is not started"),
            803 => (
                "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
                "libcuda and the kernel's module are of different versions; restart the machine",
            ),
            804 => (
                "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
                "a compatibility libcuda is loaded that this GPU does not allow",
            ),
            900 => ("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "a call that no graph can hold"),
            901 => ("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "an earlier call broke the recording"),
            902 => ("CUDA_ERROR_STREAM_CAPTURE_MERGE", "two recordings would become one"),
            903 => ("CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the recording began elsewhere"),
            904 => {
                ("CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a second stream was left in a recording")
            }
            905 => {
                ("CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a recording waits for what is not in it")
            }
            906 => ("CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the default stream in a recording"),
            907 => ("CUDA_ERROR_CAPTURED_EVENT", "an event of a recording is used outside of it"),
            908 => ("CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "another thread began the recording"),
            999 => ("CUDA_ERROR_UNKNOWN", "the driver does not say why"),
            _ => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some((name, meaning)) => write!(f, "{name} ({}): {meaning}", self.0),
            None => write!(f, "CUDA error {}", self.0),
        }
    }
}
