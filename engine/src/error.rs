//! What can go wrong on a device.

use crate::DType;
use crate::gpu::cuda::CudaError;

/// Errors of devices and operations. Each names the operation and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Extents of the arguments of an operation contradict each other.
    #[error("{op}: {what} holds {found} elements, expected {expected}")]
    Extent {
        /// Operation.
        op: &'static str,
        /// Argument.
        what: &'static str,
        /// Elements that the argument holds.
        found: usize,
        /// Elements that the stated shape needs.
        expected: usize,
    },
    /// A buffer has another element type than the operation takes.
    #[error("{op}: {what} is {found}, expected {expected}")]
    Type {
        /// Operation.
        op: &'static str,
        /// Argument.
        what: &'static str,
        /// Type of the argument.
        found: DType,
        /// Type that is needed.
        expected: DType,
    },
    /// An output shares memory with another argument.
    #[error("{op}: two arguments overlap in memory; an output needs memory of its own")]
    Overlap {
        /// Operation.
        op: &'static str,
    },
    /// A buffer lives on another device.
    #[error("{op}: an argument lives on another device")]
    Foreign {
        /// Operation.
        op: &'static str,
    },
    /// A scalar argument or an element is out of its range.
    #[error("{op}: {detail}")]
    Value {
        /// Operation.
        op: &'static str,
        /// What was found and what was expected.
        detail: String,
    },
    /// The operation has no kernel for a GPU yet.
    #[error("{op} has no kernel for a GPU yet; use --device cpu")]
    NoKernel {
        /// Operation.
        op: &'static str,
    },
    /// The allocator could not serve a request.
    #[error("cannot allocate {bytes} bytes on {device}; use a smaller train.micro_batch or model")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
        /// Device name.
        device: String,
    },
    /// The device does not compute in the type in which an argument is stored.
    #[error(
        "{device} computes in f32, not on {found}; use --dtype f32, or a GPU (--device cuda or vm)"
    )]
    Storage {
        /// Device name.
        device: String,
        /// Type of the argument.
        found: DType,
    },
    /// A kernel could not be launched, or went wrong while it ran.
    #[error("{kernel}: {report}")]
    Kernel {
        /// Entry point.
        kernel: &'static str,
        /// What the driver says of it.
        report: String,
    },
    /// An NVIDIA GPU cannot be used, or could not go on.
    #[error(transparent)]
    Cuda(CudaError),
    /// A call that cannot be recorded, because it would wait for the device, allocate or copy from
    /// or to the host, or that has no recording to work on.
    #[error(
        "{op} is not possible here: a recording holds launches, copies and zeroings on the device \
         alone, and what they need must exist before it begins"
    )]
    Recording {
        /// The call.
        op: &'static str,
    },
    /// The device cannot be used on this machine.
    #[error("device {device}: {reason}")]
    Unavailable {
        /// Device as asked for.
        device: String,
        /// Why, and what to do.
        reason: String,
    },
}
