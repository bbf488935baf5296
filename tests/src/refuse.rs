//! Calls that an operation must turn down with a typed error, and without a panic.

use ltm_engine::{Buffer, DType, Device, Error};

use crate::{Arg, Case, Format, Role, device};

/// Another type than `dtype`.
fn other_type(dtype: DType) -> DType {
    if dtype == DType::F32 { DType::I32 } else { DType::F32 }
}

fn upload(device: &mut dyn Device, arg: &Arg) -> Buffer {
    let buffer = device.alloc(arg.data.dtype(), arg.data.len()).expect("memory");
    device.upload_bytes(&buffer, &arg.data.bytes()).expect("lengths agree");
    buffer
}

/// Calls `case` with its own arguments, some of them replaced, on one thread.
///
/// # Errors
/// What the operation returns.
pub fn call_with(case: &dyn Case, args: &[Arg]) -> ltm_engine::Result<()> {
    let mut device = device(1);
    let buffers: Vec<Buffer> = args.iter().map(|arg| upload(&mut device, arg)).collect();
    case.call(&mut device, &buffers)
}

/// `case` is turned down because of a number in it, in the name of its operation.
///
/// # Panics
/// If it is not.
pub fn refuses_value(case: &dyn Case, args: &[Arg]) {
    match call_with(case, args) {
        Err(Error::Value { op, detail }) => {
            assert_eq!(op, case.op(), "{case}");
            assert!(!detail.is_empty(), "{case}");
        }
        other => panic!("{case}: expected a refusal, got {other:?}"),
    }
}

/// Derives from a well-formed case its malformed neighbours: each argument too long, too
/// short, of another type and of another device, and each output on the memory of another
/// argument. Every argument of the case must hold at least one element.
///
/// # Panics
/// If one of them is not turned down with the right error, or changes an argument.
pub fn refuses(case: &dyn Case) {
    let mut device = device(1);
    let args = case.args(Format::F32);
    let good: Vec<Buffer> = args.iter().map(|arg| upload(&mut device, arg)).collect();
    for (i, arg) in args.iter().enumerate() {
        let name = arg.name;
        let (dtype, len) = (arg.data.dtype(), arg.data.len());
        for wrong in [len - 1, len + 1] {
            if case.has_free_length(name) {
                continue;
            }
            let bad = device.alloc(dtype, wrong).expect("memory");
            let error = call(case, &mut device, &good, i, bad);
            // Where the length of one argument defines the shape, another one is blamed.
            assert!(matches!(error, Error::Extent { .. }), "{case}: {name}: {error:?}");
        }
        let bad = device.alloc(other_type(dtype), len).expect("memory");
        match call(case, &mut device, &good, i, bad) {
            Error::Type { what, found, expected, .. } => {
                assert_eq!((what, found, expected), (name, other_type(dtype), dtype), "{case}");
            }
            error => panic!("{case}: {name} of another type: {error:?}"),
        }
        let bad = crate::device(1).alloc(dtype, len).expect("memory");
        let error = call(case, &mut device, &good, i, bad);
        assert!(matches!(error, Error::Foreign { .. }), "{case}: foreign {name}: {error:?}");
    }
    overlaps(case, &mut device, &args, &good);
    for (arg, buffer) in args.iter().zip(&good) {
        let mut bytes = vec![0; buffer.byte_len()];
        device.download_bytes(buffer, &mut bytes).expect("lengths agree");
        assert_eq!(bytes, arg.data.bytes(), "{case}: a refused call changed {}", arg.name);
    }
    case.call(&mut device, &good).expect("the well-formed call is taken");
}

/// Lays each output over the last bytes of each other argument.
fn overlaps(case: &dyn Case, device: &mut dyn Device, args: &[Arg], good: &[Buffer]) {
    for (o, output) in args.iter().enumerate().filter(|(_, arg)| arg.role == Role::Output) {
        for (i, other) in args.iter().enumerate().filter(|&(i, _)| i != o) {
            let bytes = good[i].byte_len().next_multiple_of(8);
            let slab = device.alloc(DType::F64, bytes / 8 + good[o].byte_len().div_ceil(8));
            let slab = slab.expect("memory");
            let other_buffer = slab.reinterpret(0, other.data.dtype(), good[i].len());
            let start = (good[i].byte_len() - 1) / output.data.dtype().size();
            let offset = start * output.data.dtype().size();
            let output_buffer = slab.reinterpret(offset, output.data.dtype(), good[o].len());
            let mut buffers = good.to_vec();
            buffers[i] = other_buffer.expect("fits the slab");
            buffers[o] = output_buffer.expect("fits the slab");
            let names = (output.name, other.name);
            match case.call(device, &buffers) {
                Err(Error::Overlap { op }) => assert_eq!(op, case.op(), "{case}: {names:?}"),
                result => panic!("{case}: {names:?} overlap, and the call returns {result:?}"),
            }
        }
    }
}

/// The error of a call with argument `i` replaced.
fn call(case: &dyn Case, device: &mut dyn Device, good: &[Buffer], i: usize, bad: Buffer) -> Error {
    let mut buffers = good.to_vec();
    buffers[i] = bad;
    case.call(device, &buffers).expect_err("a malformed call")
}
