//! What NVRTC writes is read as it is meant.

use super::module_of;
use crate::vm::ast::{AddressBase, Function, Instruction, Module, Operand, Space, Type};
use crate::vm::parse::parse;

const FORMS: &str = include_str!("forms.ptx");
const HOPPER: &str = include_str!("wgmma.ptx");

fn read(text: &str) -> Module {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn body(text: &str) -> Function {
    read(&module_of(text)).functions.remove(0)
}

fn entry<'a>(module: &'a Module, name: &str) -> &'a Function {
    module.functions.iter().find(|function| function.name == name).unwrap()
}

fn with<'a>(function: &'a Function, opcode: &str) -> &'a Instruction {
    function.body.iter().find(|instruction| instruction.opcode == opcode).unwrap()
}

fn register_name(function: &Function, operand: &Operand) -> String {
    match operand {
        Operand::Register(id) => function.registers[id.0 as usize].name.clone(),
        other => panic!("{other:?} is no register"),
    }
}

#[test]
fn the_head_and_the_variables_of_a_module() {
    let module = read(FORMS);
    assert_eq!(module.version, (8, 0));
    assert_eq!(module.target, "sm_80");
    assert_eq!(module.files, [(1, "forms.cu".to_owned())]);
    let variable = |name: &str| module.variables.iter().find(|v| v.name == name).unwrap();
    let table = variable("table");
    assert_eq!((table.space, table.align, table.bytes), (Space::Const, 4, Some(20)));
    let floats: Vec<f32> = table
        .initial
        .chunks(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(floats, [1.0, -2.5, 3e-8, 0.0, 0.0]);
    assert_eq!(variable("counts").initial[20..], (-6i32).to_le_bytes());
    assert_eq!(variable("seed").initial, 0.1f64.to_le_bytes());
    assert_eq!(variable("word").initial, b"abc\0");
    let ticket = variable("ticket");
    assert_eq!((ticket.bytes, ticket.initial.len()), (Some(8), 0));
    let arena = variable("arena");
    assert_eq!((arena.space, arena.align, arena.bytes), (Space::Shared, 16, None));
}

#[test]
fn parameters_are_laid_out_with_their_alignment() {
    let module = read(FORMS);
    let reduce = entry(&module, "reduce");
    let layout: Vec<_> = reduce.parameters.iter().map(|p| (p.offset, p.bytes, p.ty)).collect();
    assert_eq!(
        layout,
        [(0, 8, Type::U64), (8, 8, Type::U64), (16, 4, Type::U32), (24, 24, Type::B8)]
    );
    assert_eq!(reduce.maximum_threads, Some([256, 1, 1]));
    assert_eq!(reduce.required_threads, None);
    let tile = entry(&module, "tile");
    assert_eq!((tile.parameters[4].offset, tile.parameters[4].bytes), (32, 32));
    let pointer = ".version 8.7\n.target sm_80\n.entry k(.param .u64 .ptr .global .align 16 p,\n.param .u64 .ptr .align 1 q) .reqntid 8, 4\n{ret;}";
    let k = read(pointer).functions.remove(0);
    assert_eq!(k.parameters[1].offset, 8);
    assert_eq!(k.required_threads, Some([8, 4, 1]));
}

#[test]
fn shared_variables_of_a_function() {
    let module = read(FORMS);
    let reduce = entry(&module, "reduce");
    let shared: Vec<_> = reduce.variables.iter().map(|v| (v.space, v.align, v.bytes)).collect();
    assert_eq!(shared, [(Space::Shared, 4, Some(32)), (Space::Shared, 8, Some(8))]);
}

#[test]
fn instructions_know_their_lines() {
    let module = read(FORMS);
    let lines: Vec<&str> = FORMS.lines().collect();
    for function in &module.functions {
        for instruction in &function.body {
            let line = lines[instruction.line as usize - 1];
            assert!(line.contains(&instruction.opcode), "{instruction:?} is not in {line:?}");
        }
    }
    let trap = with(entry(&module, "branches"), "trap");
    assert!(trap.source.is_some_and(|(file, line)| file == 1 && line > 60), "{trap:?}");
    // Of inlined code: the line of the function that was inlined.
    assert_eq!(with(entry(&module, "reduce"), "shfl.sync.bfly.b32").source, Some((1, 15)));
}

#[test]
fn labels_of_scopes_hide_each_other() {
    let module = read(FORMS);
    let tile = entry(&module, "tile");
    let backwards: Vec<(usize, usize)> = tile
        .body
        .iter()
        .enumerate()
        .filter_map(|(at, instruction)| match instruction.operands.first() {
            Some(Operand::Label(target)) if *target < at => Some((at, *target)),
            _ => None,
        })
        .collect();
    // Both loops named AGAIN, then the loop around them.
    assert_eq!(backwards.len(), 3);
    assert!(backwards[0].1 < backwards[0].0 && backwards[0].0 < backwards[1].1);
    for &(at, target) in &backwards[..2] {
        assert_eq!(tile.body[target].opcode, "sub.u32", "branch at {at}");
    }
    assert!(backwards[2].1 < backwards[0].1);
}

#[test]
fn every_branch_has_a_target() {
    for text in [FORMS, HOPPER] {
        for function in read(text).functions {
            for instruction in &function.body {
                if let Some(Operand::Label(target)) = instruction.operands.first() {
                    assert!(*target <= function.body.len());
                }
                assert_eq!(instruction.opcode.starts_with("bra"), {
                    matches!(instruction.operands.first(), Some(Operand::Label(_)))
                });
            }
        }
    }
}

#[test]
fn registers_of_inner_scopes_are_their_own() {
    let k = body(
        ".reg .b32 %r<3>;\n.reg .pred p;\nmov.u32 %r2, 1;\n{ .reg .b32 %r2; .reg .pred p;\nmov.u32 %r2, 2; @!p mov.u32 %r1, %r2; }\nmov.u32 %r2, 3;",
    );
    let target = |at: usize| match k.body[at].operands[0] {
        Operand::Register(id) => id.0,
        _ => panic!(),
    };
    assert_eq!(k.registers.len(), 6);
    assert_eq!((target(0), target(1), target(2), target(3)), (2, 4, 1, 2));
    assert_eq!(k.body[2].guard.map(|(id, negated)| (id.0, negated)), Some((5, true)));
}

#[test]
fn operands_of_every_form() {
    let k = body(
        ".reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .pred %p<3>; .shared .align 8 .b8 s[64];
        mov.u32 %r0, %tid.x;
        mov.u32 %r0, -858993459;
        mov.u32 %r0, 0xFFFFFFFFU;
        mov.f32 %r0, 0fBF800000;
        mov.f64 %rd0, 0d3FF0000000000000;
        mov.u64 %rd0, s+8;
        ld.shared.v2.b32 {%r0, _}, [%rd0+-16];
        st.shared.b32 [s-4], %r1;
        ld.param.u64 %rd1, [p+4];
        ld.shared.u32 %r1, [64];
        shfl.sync.bfly.b32 %r0|%p1, %r1, 16, 31, -1;
        setp.lt.and.s32 %p1|%p2, %r1, WARP_SZ, !%p0;
        ret;",
    );
    use Operand::{Address, F32, F64, Integer, Not, Pair, Register, Sink, Special, Symbol, Vector};
    let operand = |at: usize, operand: usize| k.body[at].operands[operand].clone();
    let register = |name: &str| {
        let at = k.registers.iter().position(|register| register.name == name).unwrap();
        crate::vm::ast::RegisterId(at as u32)
    };
    assert_eq!(operand(0, 1), Special("%tid.x".into()));
    assert_eq!(operand(1, 1), Integer(-858_993_459));
    assert_eq!(operand(2, 1), Integer(0xFFFF_FFFF));
    assert_eq!(operand(3, 1), F32((-1f32).to_bits()));
    assert_eq!(operand(4, 1), F64(1f64.to_bits()));
    assert_eq!(operand(5, 1), Symbol { name: "s".into(), offset: 8 });
    assert_eq!(operand(6, 0), Vector(vec![Register(register("%r0")), Sink]));
    let base = AddressBase::Register(register("%rd0"));
    assert_eq!(operand(6, 1), Address { base, offset: -16 });
    assert_eq!(operand(7, 0), Address { base: AddressBase::Symbol("s".into()), offset: -4 });
    assert_eq!(operand(8, 1), Address { base: AddressBase::Symbol("p".into()), offset: 4 });
    assert_eq!(operand(9, 1), Address { base: AddressBase::Absolute, offset: 64 });
    let pair = |a, b| Pair(Box::new(Register(register(a))), Box::new(Register(register(b))));
    assert_eq!(operand(10, 0), pair("%r0", "%p1"));
    assert_eq!(operand(10, 4), Integer(-1));
    assert_eq!(operand(11, 0), pair("%p1", "%p2"));
    assert_eq!(operand(11, 2), Special("WARP_SZ".into()));
    assert_eq!(operand(11, 3), Not(register("%p0")));
    assert!(k.body[12].operands.is_empty());
}

#[test]
fn hopper_forms() {
    let module = read(HOPPER);
    assert_eq!(module.target, "sm_90a");
    let w = entry(&module, "w");
    let product = with(w, "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16");
    let Operand::Vector(sums) = &product.operands[0] else { panic!() };
    assert_eq!((sums.len(), product.operands.len()), (64, 8));
    assert_eq!(register_name(w, &product.operands[3]), "p");
    let copy =
        with(w, "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes");
    let Operand::TensorAddress { coordinates, .. } = &copy.operands[1] else { panic!() };
    assert_eq!(coordinates.len(), 2);
    let elect: Vec<_> = w.body.iter().filter(|i| i.opcode == "elect.sync").collect();
    assert!(matches!(&elect[1].operands[0], Operand::Pair(first, _) if **first == Operand::Sink));
}

#[test]
fn initial_values() {
    let text = ".version 8.0 .target sm_80, debug
        .global .align 4 .u16 half[2][3] = {{1, 2}, {-1}};
        .const .f32 open[] = {0f3F800000, 0d3FF8000000000000, -2, 2.5}, one = 0f40000000;
        .const .v2 .f32 two[2] = {{0f3F800000, 0f40000000}, {0f40400000, 0f40800000}};
        .global .b8 flat[4] = {1};
        .shared .align 16 .f64 s[3];";
    let module = read(text);
    let initial = |name: &str| {
        let variable = module.variables.iter().find(|v| v.name == name).unwrap();
        assert_eq!(variable.bytes, Some(variable.initial.len() as u64));
        variable.initial.clone()
    };
    let floats = |name: &str| -> Vec<f32> {
        let bytes = initial(name);
        bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    assert_eq!(initial("half"), [1, 0, 2, 0, 0, 0, 255, 255, 0, 0, 0, 0]);
    assert_eq!(floats("open"), [1.0, 1.5, -2.0, 2.5]);
    assert_eq!(floats("one"), [2.0]);
    assert_eq!(floats("two"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(initial("flat"), [1, 0, 0, 0]);
    let s = &module.variables[5];
    assert_eq!((s.align, s.bytes, s.initial.len()), (16, Some(24), 0));
    assert_eq!(module.variables[3].align, 8);
}

#[test]
fn comments_and_odd_spacing() {
    let k = body("/* a\nb */ .reg .b32 a;// c\nmov.b32 a , 1 ;mov.b32\n a,\n2;;{;}\n_end:ret;");
    assert_eq!(k.body.len(), 3);
    let lines: Vec<u32> = k.body.iter().map(|instruction| instruction.line).collect();
    assert_eq!(lines, [8, 8, 11]);
}
