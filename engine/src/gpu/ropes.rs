//! Tables of rotary angles in device memory, kept from call to call.

use super::{Driver, memory};
use crate::rope::RopeTable;
use crate::{Buffer, DType, DeviceId, Error, GPU_GRANULE, Result};

/// Device addresses of `[count, head_dim / 2]` f32 tables, one number per pair of a head. Rows
/// are aligned as far as their length is: to 16 bytes for a `head_dim` that 8 divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rope {
    /// Cosines.
    pub cos: u64,
    /// Sines.
    pub sin: u64,
}

/// Angles that an operation asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Position of the first row.
    pub first: i64,
    /// Distance of neighbouring positions.
    pub stride: i64,
    /// Rows.
    pub count: usize,
    /// Numbers of a head; even.
    pub head_dim: usize,
    /// Base of the angles.
    pub theta: f64,
}

struct Entry {
    request: Request,
    cos: Buffer,
    sin: Buffer,
}

/// Tables by head size, base and stride; one that starts at 0 grows to the longest sequence. A
/// table that was outgrown stays: a launch may still be given its address, and as each has twice
/// the rows of the one before, all of them take less than twice the last.
#[derive(Default)]
pub struct Ropes {
    entries: Vec<Entry>,
}

impl Entry {
    /// The row of this table that a request starts at, where all of it is here.
    fn row(&self, wanted: &Request) -> Option<usize> {
        let have = &self.request;
        if !have.same_kind(wanted) {
            return None;
        }
        let distance = wanted.first - have.first;
        let row = match wanted.stride {
            0 => (distance == 0).then_some(0)?,
            stride => (distance % stride == 0).then_some(distance / stride)?,
        };
        let row = usize::try_from(row).ok()?;
        (row.checked_add(wanted.count)? <= have.count).then_some(row)
    }
}

impl Request {
    fn same_kind(&self, other: &Request) -> bool {
        self.head_dim == other.head_dim && self.theta == other.theta && self.stride == other.stride
    }

    /// The table that holds this request: from position 0 where that one does, so that decoding
    /// at ever later positions finds one table.
    fn table(&self) -> Request {
        let mut table = *self;
        if self.stride > 0 && self.first >= 0 && self.first % self.stride == 0 {
            table.first = 0;
            table.count += (self.first / self.stride) as usize;
        }
        table
    }
}

impl Ropes {
    /// Bytes of the tables, as allocated.
    pub fn bytes(&self) -> usize {
        let rounded = |table: &Buffer| table.byte_len().next_multiple_of(GPU_GRANULE);
        self.entries.iter().map(|entry| rounded(&entry.cos) + rounded(&entry.sin)).sum()
    }

    /// Addresses of the rows of a request.
    pub fn get<D: Driver>(
        &mut self,
        driver: &mut D,
        device: DeviceId,
        wanted: Request,
    ) -> Result<Rope> {
        if wanted.head_dim == 0 || !wanted.head_dim.is_multiple_of(2) {
            let detail =
                format!("head_dim is {}, expected a positive even number", wanted.head_dim);
            return Err(Error::Value { op: "rope", detail });
        }
        let found = self.entries.iter().find_map(|e| e.row(&wanted).map(|row| (e, row)));
        if let Some((entry, row)) = found {
            return Ok(entry.rope(row));
        }
        let mut request = wanted.table();
        let outgrown =
            |e: &&Entry| e.request.same_kind(&request) && e.request.first == request.first;
        if let Some(last) = self.entries.iter().rev().find(outgrown) {
            request.count = request.count.max(2 * last.request.count);
        }
        let entry = build(driver, device, request)?;
        let row = entry.row(&wanted).unwrap_or(0);
        let rope = entry.rope(row);
        self.entries.push(entry);
        Ok(rope)
    }
}

impl Entry {
    fn rope(&self, row: usize) -> Rope {
        let bytes = (row * self.request.head_dim / 2 * DType::F32.size()) as u64;
        Rope { cos: self.cos.address() as u64 + bytes, sin: self.sin.address() as u64 + bytes }
    }
}

fn build<D: Driver>(driver: &mut D, device: DeviceId, request: Request) -> Result<Entry> {
    let Request { first, stride, count, head_dim, theta } = request;
    let table = RopeTable::new((0..count as i64).map(|i| first + i * stride), head_dim, theta);
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for row in 0..count {
        let (c, s) = table.row(row);
        // Of each pair the table holds the cosine twice, and the sine as -sin, sin.
        cos.extend(c.iter().step_by(2));
        sin.extend(s.iter().skip(1).step_by(2));
    }
    let mut place = |values: &[f32]| {
        let buffer = memory::alloc(driver, device, DType::F32, values.len())?;
        driver.upload(buffer.address() as u64, bytemuck::cast_slice(values))?;
        Ok(buffer)
    };
    Ok(Entry { request, cos: place(&cos)?, sin: place(&sin)? })
}
