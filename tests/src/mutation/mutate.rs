//! Makes mutants of a kernel.

use std::collections::HashSet;
use std::path::Path;

use ltm_ptx::vm::ast::{Function, Instruction, Module, Operand, RegisterId};
use ltm_ptx::vm::parse::{ParseError, parse};

use super::mutant::{Kind, Mutant};

/// The text of a module with one entry point alone. The others are blanked, so that lines keep
/// their numbers.
///
/// # Errors
/// [`ParseError`] of the whole text.
pub fn isolate(text: &str, entry: &str) -> Result<String, ParseError> {
    let module = parse(text)?;
    let mut kept = String::with_capacity(text.len());
    let mut drops = false;
    for line in text.split_inclusive('\n') {
        // As NVRTC lays its text out: a head names its entry point, a body ends in the first
        // column.
        if let Some(head) = line.split_once(".entry ").map(|(_, head)| head) {
            let name = head.split('(').next().unwrap_or("").trim();
            drops = name != entry && module.functions.iter().any(|other| other.name == name);
        }
        kept.push_str(if drops { "\n" } else { line });
        drops &= !line.starts_with('}');
    }
    Ok(kept)
}

/// Every mutant of the entry points of a text.
///
/// # Errors
/// [`ParseError`] of the text.
pub fn mutants(text: &str) -> Result<Vec<Mutant>, ParseError> {
    let module = parse(text)?;
    let mut found = Vec::new();
    for function in &module.functions {
        let deciding = deciding_predicates(function);
        for instruction in &function.body {
            let before = &text[instruction.span.clone()];
            for (kind, after) in edits(instruction, before, &deciding) {
                let number = found.iter().filter(|other: &&Mutant| other.kind == kind).count() + 1;
                let (line, source) = (instruction.line, source(&module, instruction));
                let (before, span) = (before.to_owned(), instruction.span.clone());
                found.push(Mutant { kind, number, line, source, before, after, span });
            }
        }
    }
    Ok(found)
}

fn source(module: &Module, instruction: &Instruction) -> Option<(String, u32)> {
    let (file, line) = instruction.source?;
    let (_, path) = module.files.iter().find(|(number, _)| *number == file)?;
    let name = Path::new(path).file_name()?;
    Some((name.to_string_lossy().into_owned(), line))
}

/// Predicates that guard an instruction, and those that they are made of.
fn deciding_predicates(function: &Function) -> HashSet<RegisterId> {
    let mut deciding: HashSet<RegisterId> =
        function.body.iter().filter_map(|instruction| Some(instruction.guard?.0)).collect();
    loop {
        let known = deciding.len();
        for instruction in &function.body {
            let segments: Vec<&str> = instruction.opcode.split('.').collect();
            let combines = segments.last() == Some(&"pred") || segments[0] == "setp";
            let [result, rest @ ..] = instruction.operands.as_slice() else { continue };
            if combines && registers(result).any(|register| deciding.contains(&register)) {
                deciding.extend(rest.iter().flat_map(registers));
            }
        }
        if deciding.len() == known {
            return deciding;
        }
    }
}

fn registers(operand: &Operand) -> impl Iterator<Item = RegisterId> {
    let of = |operand: &Operand| match operand {
        Operand::Register(register) | Operand::Not(register) => Some(*register),
        _ => None,
    };
    let both = match operand {
        Operand::Pair(first, second) => [of(first), of(second)],
        other => [of(other), None],
    };
    both.into_iter().flatten()
}

/// What may go wrong with one instruction, and its text then.
fn edits(
    instruction: &Instruction,
    before: &str,
    deciding: &HashSet<RegisterId>,
) -> Vec<(Kind, String)> {
    let opcode = instruction.opcode.as_str();
    let segments: Vec<&str> = opcode.split('.').collect();
    let mut edits = Vec::new();
    match segments.as_slice() {
        ["bar" | "barrier", "warp", ..] => edits.push((Kind::WarpBarrier, String::new())),
        ["bar" | "barrier", "sync", ..] | ["bar" | "barrier", "cta", "sync", ..] => {
            edits.push((Kind::Barrier, String::new()));
        }
        ["cp", "async", "wait_all"] => edits.push((Kind::Wait, String::new())),
        ["cp", "async", "wait_group"] => {
            if let Some(Operand::Integer(groups)) = instruction.operands.first() {
                edits.push((Kind::Wait, format!("{opcode} {};", groups + 1)));
            }
        }
        ["setp", rest @ ..]
            if registers(&instruction.operands[0]).any(|p| deciding.contains(&p)) =>
        {
            edits.extend(other_side(before, rest).map(|text| (Kind::Compare, text)));
        }
        _ => {}
    }
    for (place, bytes) in accesses(instruction, &segments) {
        edits.extend(shifted(instruction, before, place, bytes).map(|text| (Kind::Address, text)));
    }
    if instruction.guard.is_some() {
        let inverted = match before.strip_prefix("@!") {
            Some(rest) => format!("@{rest}"),
            None => before.replacen('@', "@!", 1),
        };
        edits.push((Kind::Guard, inverted));
    }
    edits
}

/// The comparison with the equal case on the other side; of integers only, for an index or an
/// extent is one.
fn other_side(before: &str, segments: &[&str]) -> Option<String> {
    let integers = segments.last().is_some_and(|ty| ty.starts_with(['s', 'u', 'b']));
    let comparison = *segments.first()?;
    let other = match comparison {
        "lt" => "le",
        "le" => "lt",
        "gt" => "ge",
        "ge" => "gt",
        "lo" => "ls",
        "ls" => "lo",
        "hi" => "hs",
        "hs" => "hi",
        _ => return None,
    };
    let (from, to) = (format!("setp.{comparison}."), format!("setp.{other}."));
    integers.then(|| before.replacen(&from, &to, 1))
}

/// The addresses of an instruction in global or shared memory: which of its operands, and how many
/// bytes one lane moves there.
fn accesses(instruction: &Instruction, segments: &[&str]) -> Vec<(usize, i64)> {
    let spaces = |names: &[&str]| segments.iter().any(|segment| names.contains(segment));
    let bytes = match segments {
        ["ld" | "st" | "atom" | "red", ..] if !spaces(&["param", "const", "local"]) => {
            let lanes = if spaces(&["v4"]) {
                4
            } else if spaces(&["v2"]) {
                2
            } else {
                1
            };
            let bits = segments.last().and_then(|ty| bits(ty));
            bits.map(|bits| lanes * bits / 8)
        }
        ["ldmatrix" | "stmatrix", ..] => Some(16),
        ["cp", "async", "ca" | "cg", ..] => match instruction.operands.get(2) {
            Some(Operand::Integer(bytes)) => Some(*bytes),
            _ => None,
        },
        _ => None,
    };
    let Some(bytes) = bytes else { return Vec::new() };
    let is_address = |operand: &Operand| matches!(operand, Operand::Address { .. });
    let addresses = instruction.operands.iter().enumerate().filter(|(_, x)| is_address(x));
    addresses.map(|(place, _)| (place, bytes)).collect()
}

/// Bits of a type by its name: `bf16x2` has 32.
fn bits(ty: &str) -> Option<i64> {
    let digits = ty.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    match digits.split_once('x') {
        Some((bits, count)) => Some(bits.parse::<i64>().ok()? * count.parse::<i64>().ok()?),
        None => digits.parse().ok(),
    }
}

/// The instruction with the address at operand `place` moved up.
fn shifted(instruction: &Instruction, before: &str, place: usize, bytes: i64) -> Option<String> {
    let Operand::Address { offset, .. } = &instruction.operands[place] else { return None };
    let earlier = instruction.operands[..place].iter();
    let nth = earlier.filter(|x| matches!(x, Operand::Address { .. })).count();
    let (open, _) = before.match_indices('[').nth(nth)?;
    let close = open + before[open..].find(']')?;
    let inner = &before[open + 1..close];
    let base = inner.split(['+', '-']).next()?.trim();
    Some(format!("{}[{base}+{}]{}", &before[..open], offset + bytes, &before[close + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
.version 8.0
.target sm_80
.shared .align 16 .b8 tile[64];
.visible .entry other(.param .u64 p)
{
    ret;
}
.visible .entry k(
    .param .u64 p
)
{
    .reg .pred %p<5>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<3>;
    .loc 1 7 0
    ld.param.u64 %rd0, [p];
    setp.lt.s32 %p0, %r0, %r1;
    setp.ge.u32 %p1, %r0, 4;
    setp.gt.f32 %p2, %r0, %r1;
    setp.le.s32 %p3, %r0, %r1;
    setp.eq.s32 %p1, %r0, %r1;
    and.pred %p2, %p0, %p1;
    selp.b32 %r2, %r1, %r0, %p3;
    @%p2 bra $A;
    ld.global.nc.v4.f32 {%r1, %r2, %r3,
        %r4}, [%rd0+16];
    @!%p2 st.shared.u16 [tile], %r1;
    cp.async.cg.shared.global [%r1], [%rd0+-8], 16;
    cp.async.wait_group 1;
    cp.async.wait_all;
$A:
    bar.sync 0;
    bar.warp.sync -1;
    ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1, %r2}, [%r3];
    atom.global.add.u32 %r1, [%rd0], 1;
    ret;
}
    .file 1 \"kernels/k.cu\"
";

    fn of_kind(kind: Kind) -> Vec<Mutant> {
        let all = mutants(&isolate(TEXT, "k").unwrap()).unwrap();
        all.into_iter().filter(|mutant| mutant.kind == kind).collect()
    }

    fn after(kind: Kind) -> Vec<String> {
        of_kind(kind).into_iter().map(|mutant| mutant.after).collect()
    }

    #[test]
    fn one_entry_point_alone() {
        let alone = isolate(TEXT, "k").unwrap();
        assert_eq!(alone.lines().count(), TEXT.lines().count());
        let module = parse(&alone).unwrap();
        assert_eq!(module.functions.len(), 1);
        assert_eq!(module.functions[0].name, "k");
        assert_eq!((module.variables.len(), module.files.len()), (1, 1));
        assert!(parse(&isolate(TEXT, "absent").unwrap()).unwrap().functions.is_empty());
    }

    #[test]
    fn barriers_and_waits() {
        assert_eq!(after(Kind::Barrier), [""]);
        assert_eq!(after(Kind::WarpBarrier), [""]);
        assert_eq!(after(Kind::Wait), ["cp.async.wait_group 2;", ""]);
    }

    #[test]
    fn addresses() {
        let expected = [
            "ld.global.nc.v4.f32 {%r1, %r2, %r3,\n        %r4}, [%rd0+32];",
            "@!%p2 st.shared.u16 [tile+2], %r1;",
            "cp.async.cg.shared.global [%r1+16], [%rd0+-8], 16;",
            "cp.async.cg.shared.global [%r1], [%rd0+8], 16;",
            "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1, %r2}, [%r3+16];",
            "atom.global.add.u32 %r1, [%rd0+4], 1;",
        ];
        assert_eq!(after(Kind::Address), expected);
    }

    #[test]
    fn comparisons_that_decide() {
        let expected = ["setp.le.s32 %p0, %r0, %r1;", "setp.gt.u32 %p1, %r0, 4;"];
        assert_eq!(after(Kind::Compare), expected);
    }

    #[test]
    fn guards() {
        assert_eq!(after(Kind::Guard), ["@!%p2 bra $A;", "@%p2 st.shared.u16 [tile], %r1;"]);
    }

    #[test]
    fn mutants_keep_the_lines_and_stay_legal() {
        let alone = isolate(TEXT, "k").unwrap();
        let all = mutants(&alone).unwrap();
        assert_eq!(all.len(), 14);
        for mutant in &all {
            let text = mutant.text(&alone);
            assert_ne!(text, alone, "{mutant}");
            assert_eq!(text.lines().count(), alone.lines().count(), "{mutant}");
            parse(&text).unwrap_or_else(|error| panic!("{mutant}: {error}"));
            assert_eq!(mutant.source, Some(("k.cu".into(), 7)));
        }
        let words = all.iter().map(Mutant::to_string).collect::<Vec<_>>();
        assert!(words.contains(&"barrier 1, PTX line 32 [k.cu:7]: without `bar.sync 0;`".into()));
    }
}
