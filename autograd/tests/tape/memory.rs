//! The arena: values share memory once nobody needs them, and nothing reads what it did not
//! write.

use ltm_autograd::ops::LinearArgs;
use ltm_autograd::{Segment, Tape};
use ltm_engine::{DType, Device, DeviceExt};

use crate::decoder::Decoder;
use crate::{bind, bits, device, normals};

/// Bits of all gradients of a decoder.
fn gradients(device: &mut ltm_engine::cpu::Cpu, decoder: &Decoder) -> Vec<u32> {
    let buffers = decoder.leaves.iter().filter_map(|leaf| leaf.gradient.clone());
    buffers.flat_map(|buffer| bits(device, &buffer)).collect()
}

fn clear(device: &mut ltm_engine::cpu::Cpu, decoder: &Decoder) {
    for gradient in decoder.leaves.iter().filter_map(|leaf| leaf.gradient.as_ref()) {
        device.zero(gradient).unwrap();
    }
}

/// Whatever the arena holds before a run, NaN included, the results have the same bits; so a
/// program may share it with others, and running again changes nothing.
#[test]
fn runs_do_not_depend_on_what_the_arena_held() {
    let mut device = device();
    let mut decoder = Decoder::new(&mut device, true);
    let floats = decoder.program.arena_bytes().div_ceil(4);
    let arena = device.alloc(DType::F32, floats).unwrap();
    decoder.program.place(&arena).unwrap();
    decoder.program.run(Segment::All, &mut device).unwrap();
    let first = gradients(&mut device, &decoder);
    for poison in [0.0, f32::NAN, 1e30] {
        device.upload(&arena, &vec![poison; floats]).unwrap();
        clear(&mut device, &decoder);
        decoder.program.run(Segment::Forward, &mut device).unwrap();
        decoder.program.run(Segment::Backward, &mut device).unwrap();
        assert!(gradients(&mut device, &decoder) == first, "after {poison}");
    }
}

#[test]
fn two_programs_share_an_arena() {
    let mut device = device();
    let mut decoders = [true, false].map(|trained| Decoder::new(&mut device, trained));
    let alone = decoders.each_mut().map(|decoder| {
        decoder.program.place_alone(&mut device).unwrap();
        decoder.program.run(Segment::All, &mut device).unwrap();
        gradients(&mut device, decoder)
    });
    let bytes = decoders.iter().map(|d| d.program.arena_bytes()).max().unwrap();
    let arena = device.alloc(DType::F32, bytes.div_ceil(4)).unwrap();
    for decoder in &mut decoders {
        decoder.program.place(&arena).unwrap();
    }
    for _ in 0..2 {
        for (decoder, alone) in decoders.iter().zip(&alone) {
            clear(&mut device, decoder);
            decoder.program.run(Segment::All, &mut device).unwrap();
            assert!(gradients(&mut device, decoder) == *alone);
        }
    }
}

/// A chain needs memory for two neighbours, however long it is.
#[test]
fn memory_is_reused_after_the_last_use() {
    const N: usize = 64;
    let mut device = device();
    let record = |links: usize| {
        let mut tape = Tape::new();
        let first = tape.constant(DType::F32, 4 * N);
        let weight = tape.constant(DType::F32, N * N);
        let mut x = first;
        for _ in 0..links {
            let args = LinearArgs { x, weight, residual: None, inner: N, outer: N };
            x = tape.linear(args).unwrap();
        }
        tape.export(x);
        (tape.finish().unwrap(), first, weight, x)
    };
    for links in [3, 10, 40] {
        let (mut program, first, weight, last) = record(links);
        assert_eq!(program.arena_bytes(), 2 * 4 * N * 4, "{links} links");
        bind(&mut device, &mut program, first, &normals(1, 4 * N));
        let identity: Vec<f32> = (0..N * N).map(|i| (i % (N + 1) == 0) as u8 as f32).collect();
        bind(&mut device, &mut program, weight, &identity);
        let out = bind(&mut device, &mut program, last, &[f32::NAN; 4 * N]);
        program.place_alone(&mut device).unwrap();
        program.run(Segment::All, &mut device).unwrap();
        assert_eq!(device.read::<f32>(&out).unwrap(), normals(1, 4 * N));
    }
}

/// What the backward pass needs is kept; what it does not is given back.
#[test]
fn a_frozen_decoder_needs_less_memory() {
    let mut device = device();
    let [trained, frozen] =
        [true, false].map(|trained| Decoder::new(&mut device, trained).program.arena_bytes());
    assert!(frozen < trained, "{frozen} and {trained} bytes");
}
