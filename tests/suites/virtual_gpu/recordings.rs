//! Parts of an iteration that are recorded and repeated.

use ltm::Trainer;
use ltm::trainer::NEVER;
use ltm_engine::DeviceKind::{self, Cpu, Vm};

use crate::runs::{Place, config};

#[test]
fn recorded_steps_give_the_bits_of_direct_ones() {
    for reading in ["reading=released", "reading=paper"] {
        let place = Place::new();
        let recorded = place.train("recorded", Vm, 3, &[reading]);
        let direct = place.train("direct", Vm, 3, &[reading, "train.graphs=false"]);
        assert_eq!(recorded, direct, "{reading}");
        let equal = place.checkpoint("recorded", 3) == place.checkpoint("direct", 3);
        assert!(equal, "{reading}: other weights");
    }
}

/// Parts recorded after two iterations.
fn recorded(device: DeviceKind, settings: &[&str]) -> usize {
    let config = config(settings);
    let numbers = config.train.batch * config.seq_len();
    let tokens: Vec<i32> = (0..numbers as i32).map(|i| i * i % 251).collect();
    let mut trainer = Trainer::new(ltm_engine::open(device, 2).unwrap(), config).unwrap();
    let Trainer { device, parameters, config, .. } = &mut trainer;
    parameters.initialise(device.as_mut(), &config.model, 1).unwrap();
    for iteration in 0..2 {
        trainer.iterate(iteration, &tokens, &tokens, &NEVER).unwrap();
    }
    trainer.passes.graphs.recorded()
}

/// The beginning, one fast step or the other, the slow step and the update.
#[test]
fn every_part_is_recorded_where_it_can_be() {
    assert_eq!(recorded(Vm, &["reading=released"]), 4);
    assert_eq!(recorded(Vm, &["slow.trajectory_samples=1"]), 5);
    assert_eq!(recorded(Vm, &["train.graphs=false"]), 0);
    assert_eq!(recorded(Cpu, &[]), 0);
}
