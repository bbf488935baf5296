use std::fs;

use super::*;

fn preset(preset: Preset) -> Layers {
    Layers::preset(preset).unwrap()
}

fn message<T>(result: Result<T, ConfigError>) -> String {
    result.err().expect("an error").to_string()
}

fn refused(assignments: &[&str]) -> String {
    let mut layers = preset(Preset::Small);
    for assignment in assignments {
        layers = layers.set(assignment).unwrap();
    }
    message(layers.finish(None))
}

#[test]
fn presets_have_the_published_sizes() {
    for (which, millions) in [(Preset::Small, 38.4), (Preset::Medium, 51.0), (Preset::Large, 76.3)]
    {
        let config = preset(which).finish(None).unwrap();
        let count = config.parameter_count() as f64 / 1e6;
        assert!((count - millions).abs() < 0.05, "{}: {count}", which.name());
        assert_eq!(config.ffn_dim(), 1376);
        assert_eq!(config.train.batch, 512);
    }
    let large = preset(Preset::Large).finish(None).unwrap();
    assert_eq!((large.model.latents, large.fast.steps), (96, 64));
    assert_eq!(large.latents_per_layer(), 8);
    let tiny = preset(Preset::Tiny).finish(None).unwrap();
    assert_eq!((tiny.model.vocab_size, tiny.head_dim()), (256, 32));
}

#[test]
fn parameters_are_named_and_ordered_as_released() {
    let shapes = Config::default().parameter_shapes();
    assert_eq!(shapes.len(), 2 + 3 * 14);
    assert_eq!(shapes[0], ("tok_embeddings.weight".into(), vec![50258, 512]));
    assert_eq!(shapes[5].0, "layers.0.cross_attention.wq.weight");
    assert_eq!(shapes[11], ("layers.0.feed_forward.down_proj.weight".into(), vec![512, 1376]));
    assert_eq!(shapes[14].0, "layers.0.ffn_norm.weight");
    assert_eq!(shapes.last().unwrap(), &("norm.weight".into(), vec![512]));
}

#[test]
fn a_learned_prior_comes_last() {
    let learned = preset(Preset::Small).set("model.prior=learned").unwrap().finish(None).unwrap();
    let shapes = learned.parameter_shapes();
    assert_eq!(shapes[..44], Config::default().parameter_shapes());
    let own: Vec<_> = shapes[44..].iter().map(|(name, shape)| (&name[..], &shape[..])).collect();
    assert_eq!(own, [("prior.mean", &[24, 512][..]), ("prior.logvar", &[24, 512])]);
}

#[test]
fn latent_positions_follow_the_spacing() {
    let mut model = ModelConfig::default();
    assert_eq!(model.latent_positions(), [0, 42, 84, 126, 168, 210, 252, 294]);
    model.latent_spacing = LatentSpacing::PerLayer;
    assert_eq!(model.latent_positions()[7], 7 * 128);
}

#[test]
fn autos_follow_the_reading() {
    let released = preset(Preset::Small).finish(None).unwrap();
    assert_eq!(released.trajectory_samples(), 16);
    assert!(!released.ramps() && released.starts_at_zero_lr());
    let paper = preset(Preset::Small).set("reading=paper").unwrap().finish(None).unwrap();
    assert_eq!(paper.trajectory_samples(), 0);
    assert!(paper.ramps() && !paper.starts_at_zero_lr());
    let between =
        preset(Preset::Small).set("slow.trajectory_samples = 2").unwrap().finish(None).unwrap();
    assert_eq!(between.trajectory_samples(), 2);
}

#[test]
fn later_layers_win_and_toml_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    fs::write(&path, "reading = \"paper\"\n[slow]\nlr = 1\n[train]\nbatch = 6\n").unwrap();
    let config = preset(Preset::Small)
        .file(&path)
        .unwrap()
        .set("train.batch=4")
        .unwrap()
        .finish(None)
        .unwrap();
    assert_eq!((config.train.batch, config.slow.lr), (4, 1.0));
    assert_eq!(config.slow.total, config.train.iterations);
    let stored = dir.path().join("config.toml");
    fs::write(&stored, config.to_toml().unwrap()).unwrap();
    let again = Layers::from_toml(&stored).unwrap().finish(None).unwrap();
    assert_eq!(again, config);
    assert!(again.changed_keys(&config).is_empty());
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
}

#[test]
fn unknown_keys_are_named_with_their_line_and_the_nearest_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    fs::write(&path, "[train]\nbatch = 6\nsede = 3\n").unwrap();
    let error = message(preset(Preset::Small).file(&path));
    assert!(error.contains("mine.toml:3: unknown key `train.sede`"), "{error}");
    assert!(error.contains("did you mean `train.seed`?"), "{error}");
    let error = message(preset(Preset::Small).set("fast.trajectory_samples=1"));
    assert!(error.contains("did you mean `slow.trajectory_samples`?"), "{error}");
    fs::write(&path, "[trian]\n").unwrap();
    assert!(message(preset(Preset::Small).file(&path)).contains("`trian`"));
    fs::write(&path, "a = [\n").unwrap();
    assert!(message(preset(Preset::Small).file(&path)).contains("not valid TOML"));
    assert!(message(preset(Preset::Small).set("zzzz")).contains("KEY=VALUE"));
}

#[test]
fn wrong_types_are_named_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    fs::write(&path, "\nreading = \"papper\"\n").unwrap();
    let error = message(preset(Preset::Small).file(&path));
    assert!(error.contains("mine.toml:2: `reading = \"papper\"`"), "{error}");
    assert!(error.contains("`released`") && error.contains("`paper`"), "{error}");
    let error = message(preset(Preset::Small).set("train.batch=-1"));
    assert!(error.contains("--set: `train.batch = -1`"), "{error}");
    let error = message(preset(Preset::Small).set("slow.trajectory_samples=some"));
    assert!(error.contains("\"auto\""), "{error}");
    assert!(preset(Preset::Small).set("train.seed=99999999999999999999").is_err());
    assert!(preset(Preset::Small).set("model=3").is_err());
}

#[test]
fn impossible_combinations_are_all_listed() {
    let error = refused(&["model.heads=5", "model.latents=25", "slow.beta1=1"]);
    assert!(error.contains("`model.dim = 512` (preset small)"), "{error}");
    assert!(error.contains("`model.latents = 25` (--set)"), "{error}");
    assert!(error.contains("`slow.beta1 = 1` (--set)"), "{error}");
    for (assignments, key) in [
        (vec!["model.heads=512"], "model.dim"),
        (vec!["model.heads=0"], "model.heads"),
        (vec!["model.layers=0"], "model.layers"),
        (vec!["model.latents=195"], "model.latents"),
        (vec!["model.vocab_size=65537"], "model.vocab_size"),
        (vec!["slow.lr=nan"], "slow.lr"),
        (vec!["fast.lr=inf"], "fast.lr"),
        (vec!["fast.steps=0"], "fast.steps"),
        (vec!["slow.trajectory_samples=17"], "slow.trajectory_samples"),
        (vec!["train.micro_batch=5"], "train.micro_batch"),
        (vec!["train.seq_len=2000"], "train.seq_len"),
        (vec!["model.dim=9223372036854775807"], "model.dim"),
        (vec!["fast.momentum=1"], "fast.momentum"),
        (vec!["fast.langevin_step=0"], "fast.langevin_step"),
        (vec!["posterior.kl_weight=-1"], "posterior.kl_weight"),
        (vec!["posterior.kl_weight=inf"], "posterior.kl_weight"),
        (vec!["posterior.free_bits=-0.5"], "posterior.free_bits"),
        (vec!["fast.method=langevin", "posterior.free_bits=0.5"], "posterior.free_bits"),
    ] {
        let error = refused(&assignments);
        assert!(error.contains(&format!("`{key} = ")), "{assignments:?}: {error}");
    }
}

/// Without latents there is nothing to infer, whatever the preset says of the fast loop.
#[test]
fn no_latents_leave_no_fast_loop() {
    let layers = preset(Preset::Tiny).set("model.latents=0").unwrap();
    let layers = layers.set("slow.trajectory_samples=3").unwrap();
    let config = layers.finish(None).unwrap();
    assert!(config.model.is_autoregressive());
    assert_eq!((config.fast.steps, config.trajectory_samples()), (0, 0));
    assert!(config.latent_positions().is_empty());
    let again = Layers::from_config(config.clone()).set("fast.steps=9").unwrap();
    assert_eq!(again.finish(None).unwrap(), config);
    let mut by_hand = config;
    by_hand.fast.steps = 2;
    let error = by_hand.check().unwrap_err().to_string();
    assert!(error.contains("`fast.steps = 2`") && error.contains("model.latents"), "{error}");
}

#[test]
fn resuming_longer_keeps_the_schedule_and_compares_only_what_matters() {
    let stored = preset(Preset::Tiny).finish(None).unwrap();
    let longer = preset(Preset::Tiny)
        .set("train.iterations=123456")
        .unwrap()
        .set("train.micro_batch=1")
        .unwrap()
        .finish(Some(&stored))
        .unwrap();
    assert_eq!(longer.slow.total, stored.train.iterations);
    assert_eq!(stored.changed_keys(&longer), []);
    let other = preset(Preset::Tiny).set("train.seed=7").unwrap().finish(Some(&stored)).unwrap();
    let changed = stored.changed_keys(&other);
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].0.as_str(), changed[0].2.as_str()), ("train.seed", "7"));
}
