use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

#[test]
fn files_that_do_not_fit_are_named() {
    let dir = TempDir::new().unwrap();
    let path = save_values(dir.path(), 10, 1.0, 0).unwrap();
    let open = || Checkpoint::open(&path, Purpose::Training);
    let altered = |file: &str, alter: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let whole = fs::read(path.join(file)).unwrap();
        fs::write(path.join(file), alter(whole.clone())).unwrap();
        let error = message(open().and_then(|checkpoint| read_all(&checkpoint)));
        fs::write(path.join(file), whole).unwrap();
        error
    };
    let swap = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
        }
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 3].to_vec();
    let error = altered(MODEL, &cut);
    assert!(error.contains("cut short") && error.contains(MODEL), "{error}");
    assert!(altered(OPTIMIZER, &|bytes| bytes[..5].to_vec()).contains("5 bytes"));
    assert!(altered(OPTIMIZER, &|_| Vec::new()).contains("0 bytes"));
    let error = altered(CONFIG, &cut);
    assert!(error.contains(CONFIG) && error.contains("line"), "{error}");
    assert!(altered(CONFIG, &swap("\"layers\": 2", "\"layers\": 0")).contains("model.layers"));
    assert!(altered(STATE, &swap("\"format\": 1", "\"format\": 2")).contains("format 2"));
    let renamed = altered(MODEL, &swap("layers.1.ffn_norm.weight", "layers.1.fff_norm.weight"));
    assert!(renamed.contains("no tensor `layers.1.ffn_norm.weight`"), "{renamed}");
    let reshaped = altered(MODEL, &swap("[11,8]", "[8,11]"));
    assert!(reshaped.contains("[8, 11], expected [11, 8]"), "{reshaped}");
    let retyped = altered(OPTIMIZER, &swap("F32", "I32"));
    assert!(retyped.contains("is I32, expected F32"), "{retyped}");
    let grown = altered(CONFIG, &swap("\"layers\": 2", "\"layers\": 1"));
    assert!(grown.contains(MODEL) && grown.contains("layers.1"), "{grown}");
    let infinite = altered(MODEL, &|mut bytes| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        bytes
    });
    assert!(infinite.contains("element 7 of tensor `norm.weight` is inf"), "{infinite}");

    let flipped = altered(OPTIMIZER, &|mut bytes| {
        let end = bytes.len();
        bytes[end - 3] ^= 1;
        bytes
    });
    assert!(flipped.contains("`v.norm.weight` is not what was saved"), "{flipped}");
    assert!(flipped.contains("remove") && flipped.contains(CHECKSUMS), "{flipped}");
    assert!(altered(CHECKSUMS, &cut).contains(CHECKSUMS));
    // Weights of one's own, as a converted checkpoint has them.
    let checksums = fs::read(path.join(CHECKSUMS)).unwrap();
    fs::remove_file(path.join(CHECKSUMS)).unwrap();
    assert!(read_all(&open().unwrap()).is_ok());
    fs::write(path.join(CHECKSUMS), checksums).unwrap();

    fs::remove_file(path.join(OPTIMIZER)).unwrap();
    assert!(message(open()).contains("optimizer.safetensors is missing"));
    let model = Checkpoint::open(&path, Purpose::Inference).unwrap();
    let (mut first, mut second) = (vec![0.0; 8], vec![0.0; 8]);
    assert!(model.read_moments("norm.weight", &mut first, &mut second).is_err());
    model.read_weight("norm.weight", &mut first).unwrap();
    assert!(message(model.read_weight("norm.weight", &mut first[..3])).contains("3 were offered"));
}

/// Writes a weights file as PyTorch's tools would, with these names for the tied matrix.
fn released(dir: &Path, tied: &[(&str, f32)]) -> PathBuf {
    let path = dir.join("released.safetensors");
    let mut shapes = config().parameter_shapes();
    let (_, shape) = shapes.remove(0);
    let mut all: Vec<_> = shapes.into_iter().map(|(name, shape)| (name, shape, 1.0)).collect();
    all.extend(tied.iter().map(|(name, value)| (name.to_string(), shape.clone(), *value)));
    let shapes: Vec<_> = all.iter().map(|(name, shape, _)| (name.clone(), shape.clone())).collect();
    let values = |place: usize| Ok(vec![all[place].2; all[place].1.iter().product()].into());
    tensor_writer::write(&path, &shapes, values, &mut |_, _| {}).unwrap();
    path
}

#[test]
fn released_weights_load_under_either_name_of_the_tied_matrix() {
    let dir = TempDir::new().unwrap();
    let (embedding, output) = ("tok_embeddings.weight", "output.weight");
    let mut matrix = vec![0.0; 88];
    for tied in [vec![(embedding, 3.0)], vec![(output, 3.0)], vec![(embedding, 3.0), (output, 3.0)]]
    {
        let weights = Weights::open(&released(dir.path(), &tied), &config()).unwrap();
        weights.read(embedding, &mut matrix).unwrap();
        assert_eq!(matrix, [3.0; 88]);
    }
    let untied = released(dir.path(), &[(embedding, 3.0), (output, 2.0)]);
    assert!(message(Weights::open(&untied, &config())).contains("differ"));
    let extra = released(dir.path(), &[(embedding, 3.0), ("extra.weight", 2.0)]);
    assert!(message(Weights::open(&extra, &config())).contains("`extra.weight`"));
}

/// The files of one whole checkpoint.
fn whole() -> &'static Vec<(&'static str, Vec<u8>)> {
    static FILES: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let path = save_values(dir.path(), 10, 1.0, 0).unwrap();
        [CONFIG, MODEL, OPTIMIZER, STATE, CHECKSUMS]
            .map(|file| (file, fs::read(path.join(file)).unwrap()))
            .to_vec()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_never_panic_and_damaged_tensors_are_never_read(
        file in 0_usize..5,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..4),
        early in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let dir = TempDir::new().unwrap();
        for (number, (name, bytes)) in whole().iter().enumerate() {
            let mut bytes = bytes.clone();
            if number == file {
                // Headers are where damage is interesting.
                let reach = if early { bytes.len().min(300) } else { bytes.len() };
                for (place, flip) in &flips {
                    bytes[place.index(reach)] ^= flip;
                }
                if let Some(cut) = cut {
                    bytes.truncate(cut.index(bytes.len()));
                }
            }
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let read = Checkpoint::open(dir.path(), Purpose::Training)
            .and_then(|checkpoint| read_all(&checkpoint));
        if cut.is_some() {
            // A JSON file may lose its final newline and still be whole.
            let trailing = matches!(file, 0 | 3 | 4);
            prop_assert!(read.is_err() || trailing);
        }
        if let (Ok(read), 1 | 2) = (read, file) {
            let saved = [1.0, 1.5, 1.25].map(|salt| values(&config(), salt));
            for (place, values) in read.iter().enumerate() {
                prop_assert_eq!(values, &saved[place % 3][place / 3]);
            }
        }
    }
}
