use super::*;

#[test]
fn what_is_saved_is_loaded() {
    let dir = TempDir::new().unwrap();
    let path = save_values(dir.path(), 10, 1.0, 0).unwrap();
    assert_eq!(path, dir.path().join("iter_00000010"));
    let files = [CHECKSUMS, CONFIG, MODEL, OPTIMIZER, STATE];
    assert_eq!(names(&path), files);
    let checkpoint = latest(dir.path(), Purpose::Training).unwrap().unwrap();
    assert_eq!(checkpoint.config(), &config());
    assert_eq!(checkpoint.state(), &state(10));
    let read = read_all(&checkpoint).unwrap();
    for (part, salt) in [1.0, 1.5, 1.25].into_iter().enumerate() {
        let read: Vec<_> = read.iter().skip(part).step_by(3).cloned().collect();
        assert_eq!(read, values(&config(), salt));
    }
}

#[test]
fn the_same_state_gives_the_same_bytes() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let one = save_values(one.path(), 10, 1.0, 0).map(|path| (one, path)).unwrap();
    let two = save_values(two.path(), 10, 1.0, 0).map(|path| (two, path)).unwrap();
    for file in [CHECKSUMS, CONFIG, MODEL, OPTIMIZER, STATE] {
        assert_eq!(
            fs::read(one.1.join(file)).unwrap(),
            fs::read(two.1.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn old_checkpoints_are_pruned_and_later_ones_left_alone() {
    let dir = TempDir::new().unwrap();
    for iteration in [5, 10, 15, 100] {
        save_values(dir.path(), iteration, 0.0, 2).unwrap();
    }
    assert_eq!(names(dir.path()), ["iter_00000015", "iter_00000100"]);
    save_values(dir.path(), 20, 0.0, 1).unwrap();
    assert_eq!(iterations(dir.path()), [20, 100]);
    save_values(dir.path(), 21, 0.0, 0).unwrap();
    assert_eq!(iterations(dir.path()), [20, 21, 100]);
}

#[test]
fn an_iteration_saved_again_is_replaced() {
    let dir = TempDir::new().unwrap();
    save_values(dir.path(), 10, 1.0, 2).unwrap();
    save_values(dir.path(), 10, 2.0, 2).unwrap();
    assert_eq!(names(dir.path()), ["iter_00000010"]);
    let checkpoint = latest(dir.path(), Purpose::Training).unwrap().unwrap();
    assert_eq!(read_all(&checkpoint).unwrap()[0], values(&config(), 2.0)[0]);
}

#[test]
fn interrupted_operations_are_put_right() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    save_values(dir.path(), 10, 1.0, 0).unwrap();
    // Killed while saving 20, while deleting 5 and between the two renames of replacing 15.
    fs::create_dir(at(".saving-iter_00000020")).unwrap();
    fs::write(at(".saving-iter_00000020").join(MODEL), "half").unwrap();
    fs::create_dir(at(".deleting-iter_00000005")).unwrap();
    save_values(dir.path(), 15, 1.0, 0).unwrap();
    fs::rename(at("iter_00000015"), at(".replaced-iter_00000015")).unwrap();
    fs::create_dir(at(".replaced-iter_00000010")).unwrap();
    assert_eq!(iterations(dir.path()), [10]);
    recover(dir.path()).unwrap();
    assert_eq!(names(dir.path()), ["iter_00000010", "iter_00000015"]);
    let checkpoint = latest(dir.path(), Purpose::Training).unwrap().unwrap();
    assert_eq!(checkpoint.state().iteration, 15);
    recover(&at("none")).unwrap();
}

#[test]
fn a_leftover_does_not_hinder_saving() {
    let dir = TempDir::new().unwrap();
    let leftover = dir.path().join(".saving-iter_00000010");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("junk"), "").unwrap();
    let path = save_values(dir.path(), 10, 1.0, 1).unwrap();
    assert_eq!(names(&path).len(), 5);
}

#[test]
fn nothing_to_resume_is_not_an_error() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("iter_00000001"), "a file").unwrap();
    fs::create_dir(dir.path().join("iter_one")).unwrap();
    assert!(latest(dir.path(), Purpose::Training).unwrap().is_none());
    assert!(latest(&dir.path().join("no"), Purpose::Training).unwrap().is_none());
}

#[test]
fn a_damaged_newest_checkpoint_is_reported_with_the_previous_whole_one() {
    let dir = TempDir::new().unwrap();
    for iteration in [1, 2, 3] {
        save_values(dir.path(), iteration, 1.0, 0).unwrap();
    }
    for iteration in [2, 3] {
        let state = dir.path().join(format!("iter_{iteration:08}")).join(STATE);
        fs::write(state, "{\"format\":").unwrap();
    }
    let error = message(latest(dir.path(), Purpose::Training));
    for part in ["iter_00000003 is damaged", "state.json", "iter_00000001 is whole"] {
        assert!(error.contains(part), "{error}");
    }
    fs::remove_dir_all(dir.path().join("iter_00000001")).unwrap();
    let error = message(latest(dir.path(), Purpose::Training));
    assert!(error.contains("no other checkpoint"), "{error}");
}

#[test]
fn a_failed_save_leaves_what_there_was() {
    struct Failing(u32);
    impl TensorSource for Failing {
        fn tensor(
            &self,
            part: Part,
            parameter: usize,
        ) -> Result<std::borrow::Cow<'_, [f32]>, Box<dyn std::error::Error + Send + Sync>> {
            let shape = &config().parameter_shapes()[parameter].1;
            let mut values = vec![1.0; shape.iter().product()];
            match (self.0, part, parameter) {
                (0, Part::SecondMoment, 3) => return Err("the device is lost".into()),
                (1, Part::Weight, 2) => values[5] = f32::NAN,
                (2, Part::FirstMoment, 1) => values.truncate(7),
                _ => {}
            }
            Ok(values.into())
        }
    }
    let dir = TempDir::new().unwrap();
    save_values(dir.path(), 10, 1.0, 1).unwrap();
    for (case, expected) in [
        (0, "v.layers.0.attention.wv.weight` to save it: the device is lost"),
        (1, "element 5 of tensor `layers.0.attention.wk.weight` is NaN"),
        (2, "`m.layers.0.attention.wq.weight` has 64 elements, but 7"),
    ] {
        let error = message(save(dir.path(), &config(), &state(20), &Failing(case), 1));
        assert!(error.contains(expected), "{error}");
        assert_eq!(names(dir.path()), ["iter_00000010"]);
    }
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let error = save_values(&in_the_way, 1, 1.0, 1);
    assert!(matches!(error, Err(CheckpointError::Io { .. })));
}
