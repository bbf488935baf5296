//! A whole fast update: KL, gradients, AdamW and the new draw.

use ltm_engine::ops::{
    AdamW, AdamWSegment, GaussianBackward, GaussianKl, GaussianReparameterise,
    GaussianShape as Shape,
};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Ops};
use ltm_tests::cases::gaussian_update::{SCALE, Update};
use ltm_tests::numbers::normals;
use ltm_tests::{Arg, Case, Data, Format, refuses, refuses_value, verify};

use crate::gaussian::shapes;

#[test]
fn updates_are_correct() {
    verify(shapes().flat_map(|shape| [1, 2, 16].map(|number| Update { shape, number })));
}

/// The fused update is the operations that it fuses, bit for bit.
#[test]
fn an_update_is_backward_adamw_and_draw() {
    let case = Update { shape: Shape { samples: 3, layers: 2, per_layer: 130 }, number: 5 };
    let (shape, n) = (case.shape, case.shape.len());
    let mut device = ltm_tests::device(2);
    let upload = |device: &mut dyn Device, arg: &Arg| {
        let buffer = device.alloc(arg.data.dtype(), arg.data.len()).unwrap();
        device.upload_bytes(&buffer, &arg.data.bytes()).unwrap();
        buffer
    };
    let fused: Vec<Buffer> =
        case.args(Format::F32).iter().map(|arg| upload(&mut device, arg)).collect();
    case.call(&mut device, &fused).unwrap();

    let parts: Vec<Buffer> =
        case.args(Format::F32).iter().map(|arg| upload(&mut device, arg)).collect();
    let [_, eps, mu, logvar, mu_moments, logvar_moments, kl, z, ..] = &parts[..] else {
        unreachable!("ten arguments")
    };
    let step = &device.alloc_from(&case.step().constants().unwrap()).unwrap();
    let scaled: Vec<f32> = normals(4, n).iter().map(|d| d * SCALE).collect();
    let d_z = &device.alloc_from(&scaled).unwrap();
    let d_mu = &device.alloc(DType::F32, n).unwrap();
    let d_logvar = &device.alloc(DType::F32, n).unwrap();
    device.gaussian_kl(&GaussianKl { mu, logvar, kl, shape }).unwrap();
    device
        .gaussian_backward(&GaussianBackward { d_z, mu, logvar, eps, d_mu, d_logvar, shape })
        .unwrap();
    for (params, gradients, moments) in [(mu, d_mu, mu_moments), (logvar, d_logvar, logvar_moments)]
    {
        device
            .adamw(&AdamW {
                params,
                gradients,
                first_moment: &moments.slice(0..n).unwrap(),
                second_moment: &moments.slice(n..2 * n).unwrap(),
                copy: None,
                clip: None,
                segments: &[AdamWSegment { offset: 0, len: n, decay: true }],
                step,
            })
            .unwrap();
    }
    device.gaussian_reparameterise(&GaussianReparameterise { mu, logvar, eps, z, shape }).unwrap();
    for (arg, (fused, part)) in case.args(Format::F32).iter().zip(fused.iter().zip(&parts)).skip(2)
    {
        let mut bytes = [vec![0; fused.byte_len()], vec![0; part.byte_len()]];
        device.download_bytes(fused, &mut bytes[0]).unwrap();
        device.download_bytes(part, &mut bytes[1]).unwrap();
        assert!(bytes[0] == bytes[1], "{} differs", arg.name);
    }
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { samples: 2, layers: 2, per_layer: 3 };
    refuses(&Update { shape, number: 2 });
}

#[test]
fn a_step_beyond_the_schedule_is_refused() {
    let shape = Shape { samples: 2, layers: 2, per_layer: 3 };
    let case = Update { shape, number: 2 };
    for step in [-1, 5, i32::MIN] {
        let mut args = case.args(Format::F32);
        args[9].data = Data::I32(vec![2, step]);
        refuses_value(&case, &args);
    }
}
