//! Tables of rotary angles, kept from call to call.

use crate::rope::RopeTable;

/// Tables by head size, base and stride; a table grows to the longest sequence seen.
#[derive(Default)]
pub struct Ropes {
    tables: Vec<Entry>,
}

struct Entry {
    head_dim: usize,
    theta: f64,
    stride: u32,
    rows: usize,
    table: RopeTable,
}

impl Ropes {
    /// Makes sure that rows `0..rows` of the table with positions `0, stride, 2 stride, ...`
    /// exist, and returns its index for [`Ropes::table`].
    pub fn prepare(&mut self, head_dim: usize, theta: f64, stride: u32, rows: usize) -> usize {
        let same = |e: &Entry| e.head_dim == head_dim && e.theta == theta && e.stride == stride;
        let build = |rows: usize| {
            RopeTable::new((0..rows).map(|i| i as i64 * stride as i64), head_dim, theta)
        };
        match self.tables.iter().position(same) {
            Some(index) => {
                let entry = &mut self.tables[index];
                if entry.rows < rows {
                    // Doubling keeps decoding, which asks for one row more each time, linear.
                    entry.rows = rows.max(2 * entry.rows);
                    entry.table = build(entry.rows);
                }
                index
            }
            None => {
                let table = build(rows);
                self.tables.push(Entry { head_dim, theta, stride, rows, table });
                self.tables.len() - 1
            }
        }
    }

    /// A prepared table.
    pub fn table(&self, index: usize) -> &RopeTable {
        &self.tables[index].table
    }
}
