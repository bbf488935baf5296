//! Running a call on a device.

use ltm_engine::{Buffer, Device};

use crate::{Arg, Case, Data, Role};

/// What the memory around an argument holds.
const PATTERN: u8 = 0xA5;

/// Where an argument lies in its allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Elements before it that the call must leave alone.
    pub before: usize,
    /// Elements after it, likewise.
    pub after: usize,
    /// The one argument that this holds for, by its place in [`Case::args`]; the others fill their
    /// allocations. None for all.
    pub only: Option<usize>,
}

impl Layout {
    /// Guards on both sides. An odd number of elements, so that arguments do not lie on cache
    /// lines as whole allocations do.
    pub const GUARDED: Self = Self { before: 5, after: 5, only: None };
    /// The whole allocation, for a device that watches the ends itself.
    pub const WHOLE: Self = Self { before: 0, after: 0, only: None };
    /// One element into an allocation, so that no wide access is aligned.
    pub const SHIFTED: Self = Self { before: 1, after: 0, only: None };

    /// [`Layout::SHIFTED`] for one argument, [`Layout::WHOLE`] for the others.
    pub const fn shifted_at(argument: usize) -> Self {
        Self { only: Some(argument), ..Self::SHIFTED }
    }

    fn of(self, argument: usize) -> Self {
        match self.only {
            Some(only) if only != argument => Self::WHOLE,
            _ => self,
        }
    }
}

/// An argument inside an allocation.
struct Guarded {
    whole: Buffer,
    inner: Buffer,
    layout: Layout,
}

impl Guarded {
    fn new(device: &mut dyn Device, data: &Data, layout: Layout) -> ltm_engine::Result<Self> {
        let (n, Layout { before, after, .. }) = (data.len(), layout);
        let whole = device.alloc(data.dtype(), before + n + after)?;
        device.upload_bytes(&whole, &vec![PATTERN; whole.byte_len()])?;
        let inner = whole.slice(before..before + n)?;
        device.upload_bytes(&inner, &data.bytes())?;
        Ok(Self { whole, inner, layout })
    }

    /// The contents, and whether the guards are whole.
    fn contents(&self, device: &mut dyn Device) -> ltm_engine::Result<(Vec<u8>, bool)> {
        let mut bytes = vec![0; self.whole.byte_len()];
        device.download_bytes(&self.whole, &mut bytes)?;
        let size = self.whole.dtype().size();
        let (start, end) = (self.layout.before * size, bytes.len() - self.layout.after * size);
        let whole = bytes[..start].iter().chain(&bytes[end..]).all(|&b| b == PATTERN);
        Ok((bytes[start..end].to_vec(), whole))
    }
}

/// Runs a call once; returns the bytes of all arguments.
///
/// # Errors
/// What the device says, and writes to inputs or beyond outputs.
pub fn run(
    case: &dyn Case,
    args: &[Arg],
    device: &mut dyn Device,
    layout: Layout,
) -> Result<Vec<Vec<u8>>, String> {
    let text = |e: ltm_engine::Error| e.to_string();
    let guarded = args
        .iter()
        .enumerate()
        .map(|(at, arg)| Guarded::new(device, &arg.data, layout.of(at)))
        .collect::<ltm_engine::Result<Vec<_>>>()
        .map_err(text)?;
    let buffers: Vec<Buffer> = guarded.iter().map(|g| g.inner.clone()).collect();
    case.call(device, &buffers).map_err(text)?;
    device.synchronize().map_err(text)?;
    let mut results = Vec::new();
    for (arg, guarded) in args.iter().zip(&guarded) {
        let (bytes, whole) = guarded.contents(device).map_err(text)?;
        if !whole {
            return Err(format!("wrote beyond the ends of {}", arg.name));
        }
        if arg.role == Role::Input && bytes != arg.data.bytes() {
            return Err(format!("changed its input {}", arg.name));
        }
        results.push(bytes);
    }
    Ok(results)
}
