//! Programs and launches that the virtual GPU turns down: typed errors that say what is wrong.

use ltm_ptx::vm::{Config, VirtualGpu, VmError};
use ltm_ptx::{Arg, launch};

use crate::faults::{PTX, With, arguments};

fn gpu() -> VirtualGpu {
    VirtualGpu::new(Config { threads: 1, budget: 1 << 20, ..Config::default() })
}

fn refused(text: &str) -> VmError {
    match gpu().load(text) {
        Ok(program) => panic!("taken, with {:?}: {}", program.entries(), text),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error
        }
    }
}

/// A text that ends anywhere within a function is an error; nothing in between panics.
#[test]
fn cut_texts_are_refused() {
    let body = PTX.find(".visible .entry").expect("an entry point");
    let step = (PTX.len() - body) / 400 + 1;
    for at in (body..PTX.len() - 2).step_by(step) {
        if !PTX.is_char_boundary(at) {
            continue;
        }
        let text = &PTX[..at];
        let open = text.matches('{').count() > text.matches('}').count();
        match gpu().load(text) {
            Err(VmError::Parse { .. } | VmError::Decode { .. }) => {}
            Err(other) => panic!("cut at byte {at}: {other}"),
            Ok(_) => assert!(!open, "cut at byte {at}, inside a function"),
        }
    }
}

/// Damage in one place: an error that names the line, or another program, but no panic.
#[test]
fn damaged_texts_do_not_panic() {
    let small = &PTX[..PTX.find("// .globl\tuninitialised_shared").unwrap_or(PTX.len())];
    let bytes = small.as_bytes();
    for at in (0..bytes.len()).step_by(23) {
        for wrong in [b';', b'%', b'{', b'9', b' ', b'"'] {
            let mut text = bytes.to_vec();
            text[at] = wrong;
            let text = String::from_utf8(text).expect("ASCII");
            match gpu().load(&text) {
                Ok(_) => {}
                Err(VmError::Parse { line, .. } | VmError::Decode { line, .. }) => {
                    assert!(line as usize <= text.lines().count() + 1, "line {line} of {text}");
                }
                Err(other) => panic!("byte {at} replaced by {}: {other}", wrong as char),
            }
        }
    }
}

#[test]
fn texts_that_are_not_ptx_are_refused() {
    for text in ["", "\n\n", "no PTX at all", "\u{7f}ELF\u{1}\u{2}", "{", "}", "\u{fe0f}\u{20e3}"] {
        assert!(matches!(refused(text), VmError::Parse { .. }), "{text:?}");
    }
}

#[test]
fn newer_versions_and_targets_are_refused() {
    let version = PTX.lines().find(|line| line.starts_with(".version ")).expect("a version");
    let newer = PTX.replace(version, ".version 99.0");
    assert_ne!(newer, PTX);
    let error = refused(&newer);
    let VmError::Parse { line, message } = &error else { panic!("{error}") };
    assert!(message.contains("99.0"), "{message}");
    assert_eq!(PTX.lines().nth(*line as usize - 1), Some(version));
    let error = refused(&PTX.replace(".target sm_80", ".target sm_999"));
    let VmError::Parse { message, .. } = &error else { panic!("{error}") };
    assert!(message.contains("sm_999"), "{message}");
}

/// An opcode that is not known is named, with its kernel, its line and its text.
#[test]
fn unknown_opcodes_are_refused() {
    let line = PTX.lines().position(|line| line.contains("bar.sync")).expect("a barrier") + 1;
    let text = PTX.replacen("bar.sync", "bar.dance", 1);
    match refused(&text) {
        VmError::Decode { kernel, line: found, text, message } => {
            assert_eq!(kernel, "uninitialised_shared");
            assert_eq!(found as usize, line);
            assert!(text.contains("bar.dance"), "{text}");
            assert!(!message.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

/// The launch of `scale` that every launch here is a neighbour of.
fn launch_scale(
    entry: &str,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    change: impl FnOnce(&mut Vec<Arg>),
) -> Result<(), VmError> {
    let gpu = gpu();
    let program = gpu.load(PTX).expect("the text is well-formed");
    let with = [With::Written(64), With::Fresh(64), With::U32(64), With::F32(3.0)];
    let mut args = arguments(&gpu, &with);
    change(&mut args);
    gpu.launch(&program, entry, grid, block, shared_bytes, &args).map(|_| ())
}

#[test]
fn the_right_launch_is_taken() {
    launch_scale("scale", [2, 1, 1], [32, 1, 1], 128, |_| ()).expect("a right launch");
}

#[test]
fn unknown_entry_points_are_refused() {
    match launch_scale("scales", [2, 1, 1], [32, 1, 1], 128, |_| ()) {
        Err(VmError::UnknownEntry { name, known }) => {
            assert_eq!(name, "scales");
            assert!(known.iter().any(|name| name == "scale"), "{known:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let wrong: [fn(&mut Vec<Arg>); 6] = [
        |args| args.clear(),
        |args| {
            args.pop();
        },
        |args| args.push(Arg::U32(0)),
        |args| args[2] = Arg::U64(64),
        |args| args[0] = Arg::U32(64),
        |args| args.swap(1, 2),
    ];
    for (i, change) in wrong.into_iter().enumerate() {
        match launch_scale("scale", [2, 1, 1], [32, 1, 1], 128, change) {
            Err(VmError::Arguments { kernel, message }) => {
                assert_eq!(kernel, "scale");
                assert!(!message.is_empty());
            }
            other => panic!("change {i}: {other:?}"),
        }
    }
}

/// The same size and another type: an integer where the kernel takes a float.
#[test]
fn arguments_of_another_type_are_refused() {
    for change in [
        |args: &mut Vec<Arg>| args[3] = Arg::U32(3),
        |args: &mut Vec<Arg>| args[2] = Arg::F32(64.0),
    ] {
        let result = launch_scale("scale", [2, 1, 1], [32, 1, 1], 128, change);
        assert!(matches!(result, Err(VmError::Arguments { .. })), "{result:?}");
    }
}

#[test]
fn launches_that_no_device_takes_are_refused() {
    let (grid, block, shared) = ([2, 1, 1], [32, 1, 1], 128);
    let wrong = [
        ([0, 1, 1], block, shared),
        ([1, 0, 1], block, shared),
        ([1, 1, 0], block, shared),
        ([1, 65_536, 1], block, shared),
        ([1, 1, 65_536], block, shared),
        ([1 << 31, 1, 1], block, shared),
        (grid, [0, 1, 1], shared),
        (grid, [32, 0, 1], shared),
        (grid, [1025, 1, 1], shared),
        (grid, [32, 33, 1], shared),
        (grid, [1, 1, 65], shared),
        (grid, [u32::MAX, u32::MAX, u32::MAX], shared),
        (grid, block, 164 << 10),
        (grid, block, u32::MAX),
    ];
    for (grid, block, shared) in wrong {
        match launch_scale("scale", grid, block, shared, |_| ()) {
            Err(VmError::Launch { kernel, message }) => {
                assert_eq!(kernel, "scale");
                assert!(!message.is_empty());
            }
            other => panic!("{grid:?} {block:?} {shared}: {other:?}"),
        }
    }
}

/// Less dynamic shared memory than the kernel uses is an access beyond it.
#[test]
fn too_little_shared_memory_is_a_fault() {
    let result = launch_scale("scale", [2, 1, 1], [32, 1, 1], 64, |_| ());
    assert!(matches!(result, Err(VmError::Fault(_))), "{result:?}");
}

#[test]
fn host_accesses_outside_of_memory_are_refused() {
    let gpu = gpu();
    let address = gpu.alloc(100).expect("memory");
    assert!(gpu.write(address, &[0; 100]).is_ok());
    assert!(matches!(gpu.write(address, &[0; 101]), Err(VmError::Host(_))));
    assert!(matches!(gpu.write(address - 1, &[0; 1]), Err(VmError::Host(_))));
    assert!(matches!(gpu.read(address + 100, &mut [0; 1]), Err(VmError::Host(_))));
    assert!(matches!(gpu.zero(address, usize::MAX), Err(VmError::Host(_))));
    assert!(matches!(gpu.copy(address, address + 50, 51), Err(VmError::Host(_))));
    assert!(matches!(gpu.free(address + 1), Err(VmError::Host(_))));
    assert!(gpu.free(address).is_ok());
    assert!(matches!(gpu.free(address), Err(VmError::Host(_))));
    assert!(matches!(gpu.read(address, &mut [0; 1]), Err(VmError::Host(_))));
    assert!(matches!(gpu.alloc(usize::MAX), Err(VmError::OutOfMemory { .. })));
}

/// Every shipped kernel loads, and every entry point that can be launched is in its module.
#[test]
fn every_shipped_module_loads() {
    let gpu = gpu();
    for module in launch::modules() {
        let program = gpu.load(module.ptx).unwrap_or_else(|e| panic!("{}: {e}", module.name));
        let names = program.entries();
        for entry in launch::entry_points().filter(|entry| entry.module == module.name) {
            assert!(names.iter().any(|name| name == entry.name), "{}: {names:?}", entry.name);
        }
        for name in &names {
            let launched = launch::entry_points().any(|entry| entry.name == name);
            assert!(launched, "{name} of {} is launched by nothing", module.name);
        }
    }
}
