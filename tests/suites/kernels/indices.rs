//! Indices in device memory that are out of range: nobody waits for the launch that meets one, and
//! the next time the host waits, the error names the operation, the place and the value.

use ltm_engine::ops::GaussianShape;
use ltm_engine::{Device, DeviceExt, Error};
use ltm_tests::cases::*;
use ltm_tests::{Arg, Case, Data, Format, call_on, virtual_gpu};

/// `case` with `data` in the place of one of its arguments; the call succeeds, and the device then
/// says each of `words` once.
#[track_caller]
fn told(case: &dyn Case, argument: &str, data: Data, words: &[&str]) {
    let mut gpu = virtual_gpu(1);
    let mut args: Vec<Arg> = case.args(Format::F32);
    let place = args.iter().position(|arg| arg.name == argument).expect("an argument");
    args[place].data = data;
    call_on(&mut gpu, case, &args).expect("nobody has looked");
    match gpu.synchronize() {
        Err(Error::Value { op, detail }) => {
            assert_eq!(op, case.op());
            words.iter().for_each(|word| assert!(detail.contains(word), "{word}: {detail}"));
        }
        other => panic!("{case}: {other:?}"),
    }
    gpu.synchronize().expect("said once");
    call_on(&mut gpu, case, &case.args(Format::F32)).expect("a well-formed call");
    gpu.synchronize().expect("nothing is left of it");
}

#[test]
fn tokens() {
    let (rows, width, vocab) = (4, 6, 5);
    let forward = embedding::Forward { rows, width, vocab };
    // The first of several.
    told(&forward, "tokens", Data::I32(vec![0, 5, -3, 1]), &["token 5", "row 1", "0 to 4"]);
    told(&forward, "tokens", Data::I32(vec![0, 4, i32::MIN, 1]), &["-2147483648", "row 2"]);
    let backward = embedding::Backward { rows, width, vocab };
    told(&backward, "tokens", Data::I32(vec![0, 1, -1, 3]), &["token -1", "row 2", "0 to 4"]);
    told(&backward, "order", Data::I32(vec![0, 4, 1, 2]), &["order[1] is 4", "0 to 3"]);
    told(&backward, "order", Data::I32(vec![0, 0, 0, 0]), &["not sorted", "at 1", "row 0"]);
}

#[test]
fn targets() {
    let wanted = linear_cross_entropy::Wanted::Both;
    let case =
        linear_cross_entropy::Loss { rows: 3, width: 6, vocab: 5, wanted, differences: false };
    told(&case, "targets", Data::I32(vec![4, -1, 5]), &["target 5", "row 2", "vocabulary of 5"]);
}

#[test]
fn logits() {
    let case = sample::Draw { rows: 3, vocab: 97, ..sample::PLAIN };
    for (bad, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut logits = vec![0.5; 3 * 97];
        (logits[97 + 13], logits[2 * 97]) = (bad, f32::NAN);
        told(&case, "logits", Data::F32(logits), &["logit 13", "row 1", &format!(" {name}")]);
    }
}

#[test]
fn steps() {
    let shape = GaussianShape { samples: 3, layers: 2, per_layer: 4 };
    let update = gaussian_update::Update { shape, number: 2 };
    told(&update, "step", Data::I32(vec![2, 9, -1]), &["step 9", "sequence 1", "5 in all"]);
    let record = trace::Record { samples: 3, seq: 5, rows: 2 };
    told(&record, "step", Data::I32(vec![1, 0, 2]), &["step 2", "sequence 2", "2 in all"]);
}

/// What a launch found is said by whatever waits next, a download among it, however many launches
/// lie between.
#[test]
fn a_download_tells_too() {
    let mut gpu = virtual_gpu(1);
    let case = embedding::Forward { rows: 2, width: 6, vocab: 5 };
    let mut args = case.args(Format::F32);
    args[1].data = Data::I32(vec![0, 17]);
    call_on(&mut gpu, &case, &args).unwrap();
    call_on(&mut gpu, &add::Sum { len: 40 }, &add::Sum { len: 40 }.args(Format::F32)).unwrap();
    // Another vocabulary has a word of its own.
    let other = embedding::Forward { rows: 2, width: 6, vocab: 50 };
    call_on(&mut gpu, &other, &other.args(Format::F32)).unwrap();
    let buffer = gpu.alloc_from(&[1.0f32]).unwrap();
    let error = gpu.read::<f32>(&buffer).unwrap_err().to_string();
    assert!(error.contains("token 17 at row 1, expected 0 to 4"), "{error}");
}
