//! Byte-pair merging of one piece.
//!
//! The rule: of all neighbours that together are a token, join the pair with
//! the lowest id, the leftmost among equals; repeat until no pair is left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::vocabulary::Vocabulary;

/// Pieces up to this many bytes are scanned for the best pair each time
/// (quadratic, but with a small constant); longer ones go through a heap.
const SCANNED: usize = 96;

/// No merge.
const NONE: u32 = u32::MAX;

/// Appends the ids of `piece` to `ids`.
pub(super) fn merge(vocabulary: &Vocabulary, piece: &[u8], ids: &mut Vec<u16>) {
    if piece.len() <= SCANNED {
        merge_by_scan(vocabulary, piece, ids);
    } else {
        // The list's indices are 32-bit; the readers bound a piece far below that.
        for part in piece.chunks(END as usize) {
            merge_by_heap(vocabulary, part, ids);
        }
    }
}

fn merge_by_scan(vocabulary: &Vocabulary, piece: &[u8], ids: &mut Vec<u16>) {
    let mut tokens = [0u16; SCANNED];
    let mut joined = [NONE; SCANNED];
    let mut count = piece.len();
    for (token, &byte) in tokens.iter_mut().zip(piece) {
        *token = vocabulary.byte(byte);
    }
    let pair = |tokens: &[u16; SCANNED], at: usize, count: usize| {
        if at + 1 < count { vocabulary.join(tokens[at], tokens[at + 1]) } else { NONE }
    };
    for (at, slot) in joined[..count].iter_mut().enumerate() {
        *slot = pair(&tokens, at, count);
    }
    loop {
        let mut best = (NONE, 0);
        for (at, &id) in joined[..count].iter().enumerate() {
            if id < best.0 {
                best = (id, at);
            }
        }
        let (id, at) = best;
        if id == NONE {
            break;
        }
        tokens[at] = id as u16;
        tokens.copy_within(at + 2..count, at + 1);
        joined.copy_within(at + 2..count, at + 1);
        count -= 1;
        joined[at] = pair(&tokens, at, count);
        if at > 0 {
            joined[at - 1] = pair(&tokens, at - 1, count);
        }
    }
    ids.extend_from_slice(&tokens[..count]);
}

/// One token of a long piece, in a list linked by index.
struct Link {
    token: u16,
    previous: u32,
    next: u32,
    /// What this token and the next become, or `NONE`; `NONE` too once merged away.
    joined: u32,
}

/// Marks the end of the list.
const END: u32 = u32::MAX;

fn merge_by_heap(vocabulary: &Vocabulary, piece: &[u8], ids: &mut Vec<u16>) {
    let count = piece.len() as u32;
    let mut links: Vec<Link> = piece
        .iter()
        .zip(0u32..)
        .map(|(&byte, at)| Link {
            token: vocabulary.byte(byte),
            previous: at.checked_sub(1).unwrap_or(END),
            next: if at + 1 < count { at + 1 } else { END },
            joined: NONE,
        })
        .collect();
    let mut heap = BinaryHeap::with_capacity(piece.len());
    for at in 0..count {
        offer(vocabulary, &mut links, &mut heap, at);
    }
    while let Some(Reverse((id, at))) = heap.pop() {
        // An entry whose pair has changed since is stale.
        if links[at as usize].joined != id {
            continue;
        }
        let gone = links[at as usize].next;
        let after = links[gone as usize].next;
        links[gone as usize].joined = NONE;
        links[at as usize].token = id as u16;
        links[at as usize].next = after;
        if after != END {
            links[after as usize].previous = at;
        }
        offer(vocabulary, &mut links, &mut heap, at);
        let before = links[at as usize].previous;
        if before != END {
            offer(vocabulary, &mut links, &mut heap, before);
        }
    }
    let mut at = 0;
    while at != END {
        ids.push(links[at as usize].token);
        at = links[at as usize].next;
    }
}

/// Works out what the token at `at` and its neighbour become, and queues it.
fn offer(
    vocabulary: &Vocabulary,
    links: &mut [Link],
    heap: &mut BinaryHeap<Reverse<(u32, u32)>>,
    at: u32,
) {
    let next = links[at as usize].next;
    let joined = if next == END {
        NONE
    } else {
        vocabulary.join(links[at as usize].token, links[next as usize].token)
    };
    links[at as usize].joined = joined;
    if joined != NONE {
        heap.push(Reverse((joined, at)));
    }
}
