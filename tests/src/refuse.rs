//! Calls that an operation must turn down with a typed error, and without a panic.

use ltm_engine::{Buffer, DType, Device, Error};

use crate::{Arg, Case, Format, Role, device};

/// A type that no argument of type `dtype` may have.
fn other_type(dtype: DType) -> DType {
    if dtype == DType::I32 { DType::F32 } else { DType::I32 }
}

fn upload(device: &mut dyn Device, arg: &Arg) -> Buffer {
    let buffer = device.alloc(arg.data.dtype(), arg.data.len()).expect("memory");
    device.upload_bytes(&buffer, &arg.data.bytes()).expect("lengths agree");
    buffer
}

/// Calls `case` with its own arguments, some of them replaced, on `device`.
///
/// # Errors
/// What the operation returns.
pub fn call_on(device: &mut dyn Device, case: &dyn Case, args: &[Arg]) -> ltm_engine::Result<()> {
    let buffers: Vec<Buffer> = args.iter().map(|arg| upload(device, arg)).collect();
    case.call(device, &buffers)
}

/// Calls `case` with its own arguments, some of them replaced, on one thread of the CPU.
///
/// # Errors
/// What the operation returns.
pub fn call_with(case: &dyn Case, args: &[Arg]) -> ltm_engine::Result<()> {
    call_on(&mut device(1), case, args)
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

/// [`refuses_on`] for the CPU.
///
/// # Panics
/// As that.
pub fn refuses(case: &dyn Case) {
    refuses_on(&|| Box::new(device(1)), case, Format::F32);
}

/// Derives from a well-formed case its malformed neighbours: each argument too long, too
/// short, of another type and of another device, and each output on the memory of another
/// argument. Every argument of the case must hold at least one element.
///
/// # Panics
/// If one of them is not turned down with the right error, or changes an argument.
pub fn refuses_on(open: &dyn Fn() -> Box<dyn Device>, case: &dyn Case, format: Format) {
    let mut device = open();
    let device = &mut *device;
    let args = case.args(format);
    let good: Vec<Buffer> = args.iter().map(|arg| upload(device, arg)).collect();
    let stored = |arg: &&Arg| arg.data.dtype() == DType::BF16;
    let mixable = args.iter().filter(stored).count() > 1;
    for (i, arg) in args.iter().enumerate() {
        let name = arg.name;
        let (dtype, len) = (arg.data.dtype(), arg.data.len());
        for wrong in [len - 1, len + 1] {
            if case.has_free_length(name) {
                continue;
            }
            let bad = device.alloc(dtype, wrong).expect("memory");
            let error = call(case, device, &good, i, bad);
            // Where the length of one argument defines the shape, another one is blamed.
            assert!(matches!(error, Error::Extent { .. }), "{case}: {name}: {error:?}");
        }
        let bad = device.alloc(other_type(dtype), len).expect("memory");
        match call(case, device, &good, i, bad) {
            Error::Type { what, found, expected, .. } => {
                assert_eq!((what, found), (name, other_type(dtype)), "{case}");
                // The leading argument may store either way.
                let either = [DType::F32, DType::BF16];
                let right = expected == dtype || (stored(&arg) && either.contains(&expected));
                assert!(right, "{case}: {name} is {found}, and {expected} is asked for");
            }
            error => panic!("{case}: {name} of another type: {error:?}"),
        }
        if mixable && stored(&arg) {
            let bad = device.alloc(DType::F32, len).expect("memory");
            let error = call(case, device, &good, i, bad);
            assert!(matches!(error, Error::Type { .. }), "{case}: {name} in f32: {error:?}");
        }
        let bad = open().alloc(dtype, len).expect("memory");
        let error = call(case, device, &good, i, bad);
        assert!(matches!(error, Error::Foreign { .. }), "{case}: foreign {name}: {error:?}");
    }
    overlaps(case, device, &args, &good);
    for (arg, buffer) in args.iter().zip(&good) {
        let mut bytes = vec![0; buffer.byte_len()];
        device.download_bytes(buffer, &mut bytes).expect("lengths agree");
        assert_eq!(bytes, arg.data.bytes(), "{case}: a refused call changed {}", arg.name);
    }
    case.call(device, &good).expect("the well-formed call is taken");
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
