//! Runs that go on where another device has left them.

use ltm_engine::DeviceKind::{Cpu, Vm};

use crate::runs::{Place, distance};

#[test]
fn a_run_goes_on_on_another_device() {
    let place = Place::new();
    let cpu = place.train("cpu", Cpu, 4, &[]);
    let vm = place.train("vm", Vm, 4, &[]);
    place.train("cpu3", Cpu, 3, &[]);
    place.train("vm3", Vm, 3, &[]);
    place.copy("vm3", "vm3-cpu");

    let moved = place.train("cpu3", Vm, 4, &[]);
    assert!(distance(&moved[3], &cpu[3]) < 1e-4, "from the CPU to the GPU");
    let moved = place.train("vm3-cpu", Cpu, 4, &[]);
    assert!(distance(&moved[3], &vm[3]) < 1e-4, "from the GPU to the CPU");

    assert_eq!(place.train("vm3", Vm, 4, &[])[3], vm[3]);
    assert!(place.checkpoint("vm3", 4) == place.checkpoint("vm", 4), "the same bits on the GPU");
    assert!(place.checkpoint("cpu3", 4) != place.checkpoint("cpu", 4), "devices round apart");
}
