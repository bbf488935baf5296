//! Models of random numbers: every kernel in its place, under all checks; on the virtual GPU, or on
//! the GPU that `LTM_TEST_DEVICE` names.

use ltm::Trainer;
use ltm::config::{Config, Dtype};
use ltm::parity;
use ltm::trainer::NEVER;
use ltm_engine::philox::Stream;
use ltm_engine::{DeviceExt, DeviceKind, bf16};
use ltm_tests::gpu_kind;

/// The shape of the `micro` fixture.
fn micro() -> Config {
    let mut config = Config::default();
    let m = &mut config.model;
    (m.dim, m.layers, m.heads, m.vocab_size) = (64, 2, 4, 97);
    (m.max_seq_len, m.window, m.latents, m.multiple_of) = (48, 16, 8, 32);
    config.fast.steps = 4;
    // Fast enough that five iterations on one batch show.
    (config.slow.lr, config.slow.warmup, config.train.batch) = (1e-2, 1, 3);
    config
}

/// Random tokens and the tokens after them.
fn batch(config: &Config) -> (Vec<i32>, Vec<i32>) {
    let (mut tokens, mut targets) = (Vec::new(), Vec::new());
    for sample in 0..config.train.batch as u32 {
        let stream = Stream { seed: 3, site: 9, sample, iteration: 0 };
        let ids: Vec<i32> =
            (0..=config.seq_len() as u32).map(|i| (stream.block(i)[0] % 97) as i32).collect();
        tokens.extend(&ids[..config.seq_len()]);
        targets.extend(&ids[1..]);
    }
    (tokens, targets)
}

/// Losses of five iterations on one batch, and the trainer after them.
fn train(kind: DeviceKind, dtype: Dtype) -> (Vec<f64>, Trainer) {
    let mut config = micro();
    config.train.dtype = dtype;
    let (tokens, targets) = batch(&config);
    let mut trainer = Trainer::new(ltm_engine::open(kind, 0).unwrap(), config).unwrap();
    let Trainer { device, parameters, config, .. } = &mut trainer;
    parameters.initialise(device.as_mut(), &config.model, 1).unwrap();
    let losses = (0..5)
        .map(|iteration| trainer.iterate(iteration, &tokens, &targets, &NEVER).unwrap().loss)
        .collect();
    (losses, trainer)
}

#[track_caller]
fn agrees(name: &str, quantities: usize) {
    let path = ltm_tests::file("golden").join(name);
    let report = parity::run(&path, gpu_kind(), 0, Dtype::F32).unwrap();
    let off: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    assert!(off.is_empty(), "{name}: {off:#?}");
    assert_eq!(report.uncovered, [""; 0], "{name}");
    assert!(report.checks.len() >= quantities, "{name}: {} checks", report.checks.len());
}

#[test]
fn single_operations_agree() {
    agrees("ops.safetensors", 90);
}

#[test]
fn a_whole_model_agrees() {
    agrees("micro.safetensors", 70);
}

#[test]
fn odd_shapes_agree() {
    agrees("odd.safetensors", 60);
}

/// With a window of one token and one latent, whose gradients are zero and nothing else: what
/// rounding leaves of them, AdamW turns into steps of the weights.
#[test]
fn the_smallest_shapes_agree() {
    agrees("lone.safetensors", 60);
}

#[test]
fn bf16_trains_as_f32_does() {
    let (reference, _) = train(DeviceKind::Cpu, Dtype::F32);
    assert!(reference[4] < 0.9 * reference[0], "nothing is learned: {reference:?}");
    let (losses, mut trainer) = train(gpu_kind(), Dtype::Bf16);
    for (loss, expected) in losses.iter().zip(&reference) {
        assert!((loss / expected - 1.0).abs() < 0.02, "{losses:?}, in f32 {reference:?}");
    }
    assert_ne!(losses, reference, "bf16 rounds");

    let Trainer { device, parameters, .. } = &mut trainer;
    let values = device.read::<f32>(&parameters.values).unwrap();
    let copy = device.read::<bf16>(parameters.weights()).unwrap();
    let rounded: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
    assert!(copy == rounded, "the passes read other weights than those that are trained");
}
