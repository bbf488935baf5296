//! Memory of intermediate values: one arena, offsets assigned by lifetime.

use crate::Var;
use crate::step::{Access, Step};
use crate::var::{VarInfo, whole};

/// Offsets are multiples of a cache line.
const ALIGNMENT: usize = 64;

/// Where the intermediate values of a program lie.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Byte offset of each value in the arena; `None` for external and unused values.
    pub(crate) offsets: Vec<Option<usize>>,
    /// Bytes of the arena.
    pub(crate) bytes: usize,
}

/// First and last step that touches each value or a part of it.
fn lifetimes(vars: &[VarInfo], steps: &[Box<dyn Step>]) -> Vec<Option<(usize, usize)>> {
    let mut lives = vec![None; vars.len()];
    for (at, step) in steps.iter().enumerate() {
        step.visit(&mut |var: Var, _: Access| {
            let life = lives[whole(vars, var).0].get_or_insert((at, at));
            life.1 = at;
        });
    }
    lives
}

/// Walks over the steps, giving each value the smallest free gap that holds it when it is first
/// touched, and taking it back after its last use. A step's results never share memory with
/// its arguments, as those are still alive.
pub(crate) fn plan(vars: &[VarInfo], steps: &[Box<dyn Step>]) -> Layout {
    let lives = lifetimes(vars, steps);
    let mut offsets = vec![None; vars.len()];
    let mut arena = Arena::default();
    let (mut births, mut deaths) = (vec![Vec::new(); steps.len()], vec![Vec::new(); steps.len()]);
    for (var, info) in vars.iter().enumerate() {
        if let (Some((first, last)), false) = (lives[var], info.external) {
            births[first].push(var);
            deaths[last].push(var);
        }
    }
    for (births, deaths) in births.iter().zip(&deaths) {
        for &var in births {
            let bytes = vars[var].len * vars[var].dtype.size();
            offsets[var] = Some(arena.take(bytes.next_multiple_of(ALIGNMENT)));
        }
        for &var in deaths {
            let bytes = vars[var].len * vars[var].dtype.size();
            if let Some(offset) = offsets[var] {
                arena.give(offset, bytes.next_multiple_of(ALIGNMENT));
            }
        }
    }
    for (var, info) in vars.iter().enumerate() {
        if let Some((whole, first)) = info.part_of {
            offsets[var] = offsets[whole.0].map(|offset| offset + first * info.dtype.size());
        }
    }
    Layout { offsets, bytes: arena.end }
}

#[derive(Default)]
struct Arena {
    /// Free gaps `(offset, bytes)`, ascending, never adjacent.
    gaps: Vec<(usize, usize)>,
    end: usize,
}

impl Arena {
    fn take(&mut self, bytes: usize) -> usize {
        let fits = self.gaps.iter().enumerate().filter(|(_, gap)| gap.1 >= bytes);
        if let Some((index, &(offset, size))) = fits.min_by_key(|(_, gap)| gap.1) {
            if size == bytes {
                self.gaps.remove(index);
            } else {
                self.gaps[index] = (offset + bytes, size - bytes);
            }
            return offset;
        }
        // A gap at the very end is stretched instead of leaving it behind.
        let offset = match self.gaps.last() {
            Some(&(offset, size)) if offset + size == self.end => {
                self.gaps.pop();
                offset
            }
            _ => self.end,
        };
        self.end = offset + bytes;
        offset
    }

    fn give(&mut self, offset: usize, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let index = self.gaps.partition_point(|gap| gap.0 < offset);
        self.gaps.insert(index, (offset, bytes));
        if index + 1 < self.gaps.len() && offset + bytes == self.gaps[index + 1].0 {
            self.gaps[index].1 += self.gaps.remove(index + 1).1;
        }
        if index > 0 && self.gaps[index - 1].0 + self.gaps[index - 1].1 == offset {
            self.gaps[index - 1].1 += self.gaps.remove(index).1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_merge_and_are_reused() {
        let mut arena = Arena::default();
        let (a, b, c) = (arena.take(64), arena.take(128), arena.take(64));
        assert_eq!((a, b, c, arena.end), (0, 64, 192, 256));
        arena.give(a, 64);
        arena.give(b, 128);
        assert_eq!(arena.gaps, vec![(0, 192)]);
        assert_eq!(arena.take(192), 0);
        arena.give(c, 64);
        assert_eq!(arena.take(256), 192, "the gap at the end is stretched");
        assert_eq!(arena.end, 448);
    }
}
