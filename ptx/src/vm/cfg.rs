//! Control flow of a function: its basic blocks, and where the lanes of a diverged warp meet again.

use super::ast::{Function, Instruction, Operand};

#[cfg(test)]
mod tests;

/// Instructions that run one after the other: only the first is the target of a branch, only the
/// last may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Index of the first instruction.
    pub start: usize,
    /// Index after the last instruction.
    pub end: usize,
    /// Blocks that may follow, without repetition; the number of blocks stands for the exit.
    pub successors: Vec<usize>,
}

/// What an instruction does to the flow of control.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Branch(usize),
    Exit,
}

fn flow(instruction: &Instruction) -> Flow {
    let base = instruction.opcode.split('.').next().unwrap_or("");
    match (base, instruction.operands.first()) {
        ("bra", Some(Operand::Label(target))) => Flow::Branch(*target),
        ("ret" | "exit" | "trap", _) => Flow::Exit,
        _ => Flow::Next,
    }
}

/// The basic blocks of `function`, in the order of its body; they cover it without gaps. Code that
/// nothing reaches has its blocks too.
pub fn blocks(function: &Function) -> Vec<Block> {
    let body = &function.body;
    let mut leader = vec![false; body.len()];
    if let Some(first) = leader.first_mut() {
        *first = true;
    }
    for (index, instruction) in body.iter().enumerate() {
        let flow = flow(instruction);
        if let Flow::Branch(target) = flow
            && let Some(leads) = leader.get_mut(target)
        {
            *leads = true;
        }
        if flow != Flow::Next
            && let Some(leads) = leader.get_mut(index + 1)
        {
            *leads = true;
        }
    }
    let starts: Vec<usize> = (0..body.len()).filter(|&index| leader[index]).collect();
    let exit = starts.len();
    // A target is either the start of a block or the end of the body.
    let block_at = |index: usize| starts.binary_search(&index).unwrap_or(exit);
    let mut blocks = Vec::with_capacity(exit);
    for (block, &start) in starts.iter().enumerate() {
        let end = starts.get(block + 1).copied().unwrap_or(body.len());
        let last = &body[end - 1];
        let mut successors = Vec::with_capacity(2);
        match flow(last) {
            Flow::Next => {}
            Flow::Branch(target) => successors.push(block_at(target)),
            Flow::Exit => successors.push(exit),
        }
        let falls_through = flow(last) == Flow::Next || last.guard.is_some();
        if falls_through && !successors.contains(&(block + 1)) {
            successors.push(block + 1);
        }
        blocks.push(Block { start, end, successors });
    }
    blocks
}

/// For every instruction, the index of the instruction at which the lanes that it parts meet again;
/// `body.len()` where that is the exit, or where no path leads to the exit. One entry per
/// instruction; for one that parts no lanes it is the next one, or the target of its jump.
///
/// The point is the immediate post-dominator, with one exception: lanes that return early do not
/// keep the others apart. An edge to the exit, or to a block that does nothing but return, is left
/// out of account where the exit can be reached without it, so that after `if (i >= n) return;` the
/// lanes that stay meet at once, as they do on the hardware. A lane that returns must therefore be
/// run to its return before the lanes at the meeting point go on.
pub fn reconvergence(function: &Function) -> Vec<usize> {
    let body = &function.body;
    let blocks = blocks(function);
    let graph = without_early_returns(function, &blocks);
    let immediate = post_dominators(&graph);
    let mut meeting: Vec<usize> = (1..=body.len()).collect();
    for (block, &dominator) in blocks.iter().zip(&immediate) {
        meeting[block.end - 1] = blocks.get(dominator).map_or(body.len(), |block| block.start);
    }
    meeting
}

/// The successors of every block, less the early returns.
fn without_early_returns(function: &Function, blocks: &[Block]) -> Vec<Vec<usize>> {
    let exit = blocks.len();
    let only_returns = |block: usize| {
        block == exit
            || (blocks[block].end - blocks[block].start == 1
                && blocks[block].successors == [exit]
                && flow(&function.body[blocks[block].start]) == Flow::Exit)
    };
    let mut kept: Vec<Vec<usize>> = Vec::with_capacity(exit);
    let mut dropped: Vec<(usize, usize)> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let (mut early, mut rest): (Vec<usize>, Vec<usize>) =
            block.successors.iter().partition(|&&next| only_returns(next));
        if rest.is_empty() {
            rest.append(&mut early);
        }
        dropped.extend(early.into_iter().map(|next| (index, next)));
        kept.push(rest);
    }
    let mut before = predecessors(&kept);
    let mut leaves = vec![false; exit + 1];
    mark_backwards(exit, &before, &mut leaves);
    // Where only dropped edges led out, the last of them in the text comes back: it is the regular
    // way out, of a loop at the end for example, and the earlier ones are the early returns.
    for &(from, to) in dropped.iter().rev() {
        if !leaves[from] {
            kept[from].push(to);
            before[to].push(from);
            mark_backwards(from, &before, &mut leaves);
        }
    }
    kept
}

/// Marks `from` and everything from which it can be reached.
fn mark_backwards(from: usize, before: &[Vec<usize>], marked: &mut [bool]) {
    let mut left = vec![from];
    marked[from] = true;
    while let Some(block) = left.pop() {
        for &previous in &before[block] {
            if !marked[previous] {
                marked[previous] = true;
                left.push(previous);
            }
        }
    }
}

/// Predecessors of every block and, last, of the exit.
fn predecessors(successors: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut before = vec![Vec::new(); successors.len() + 1];
    for (block, nexts) in successors.iter().enumerate() {
        for &next in nexts {
            before[next].push(block);
        }
    }
    before
}

/// Immediate post-dominator of every block; the number of blocks (the exit) where no path leads to
/// the exit. After Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm", on the
/// reversed graph.
fn post_dominators(successors: &[Vec<usize>]) -> Vec<usize> {
    let exit = successors.len();
    let order = postorder_from_exit(&predecessors(successors));
    let mut number = vec![None; exit + 1];
    for (position, &block) in order.iter().enumerate() {
        number[block] = Some(position);
    }
    // In terms of positions in `order`; the exit has the last.
    let root = order.len() - 1;
    let mut immediate: Vec<Option<usize>> = vec![None; order.len()];
    immediate[root] = Some(root);
    let meet = |immediate: &[Option<usize>], mut a: usize, mut b: usize| {
        while a != b {
            if a < b {
                a = immediate[a].unwrap_or(root);
            } else {
                b = immediate[b].unwrap_or(root);
            }
        }
        a
    };
    let mut changed = true;
    while changed {
        changed = false;
        for position in (0..root).rev() {
            let mut found: Option<usize> = None;
            for next in successors[order[position]].iter().filter_map(|&next| number[next]) {
                if immediate[next].is_some() {
                    found = Some(found.map_or(next, |other| meet(&immediate, other, next)));
                }
            }
            if found.is_some() && immediate[position] != found {
                immediate[position] = found;
                changed = true;
            }
        }
    }
    let of = |block: usize| immediate[number[block]?].map(|position| order[position]);
    (0..exit).map(|block| of(block).unwrap_or(exit)).collect()
}

/// The blocks from which the exit can be reached, each after those that are found through it; the
/// exit last.
fn postorder_from_exit(before: &[Vec<usize>]) -> Vec<usize> {
    let exit = before.len() - 1;
    let mut order = Vec::with_capacity(before.len());
    let mut seen = vec![false; before.len()];
    seen[exit] = true;
    let mut path = vec![(exit, 0)];
    while let Some((block, tried)) = path.last_mut() {
        match before[*block].get(*tried) {
            Some(&previous) => {
                *tried += 1;
                if !seen[previous] {
                    seen[previous] = true;
                    path.push((previous, 0));
                }
            }
            None => {
                order.push(*block);
                path.pop();
            }
        }
    }
    order
}
