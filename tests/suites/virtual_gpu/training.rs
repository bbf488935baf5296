//! Twenty iterations on each device.

use ltm_engine::DeviceKind::{Cpu, Vm};

use crate::runs::{Place, distance};

const ITERATIONS: u64 = 20;

#[test]
fn training_follows_the_cpu() {
    let place = Place::new();
    let cpu = place.train("cpu", Cpu, ITERATIONS, &[]);
    let (first, last) = (&cpu[0], &cpu[cpu.len() - 1]);
    assert!(last.nll < 0.8 * first.nll, "nothing is learned: {} to {}", first.nll, last.nll);
    let vm = place.train("vm", Vm, ITERATIONS, &[]);
    for (vm, cpu) in vm.iter().zip(&cpu) {
        let allowed = if cpu.iteration == 0 { 1e-4 } else { 2e-3 };
        let off = distance(vm, cpu);
        assert!(off < allowed, "iteration {}: {off:e}", cpu.iteration);
    }
    let bf16 = place.train("bf16", Vm, ITERATIONS, &["train.dtype=bf16"]);
    for (bf16, cpu) in bf16.iter().zip(&cpu) {
        let off = distance(bf16, cpu);
        assert!(off < 0.03, "iteration {} in bf16: {off:e}", cpu.iteration);
    }
    assert_ne!(bf16[0].nll, vm[0].nll, "bf16 rounds");
}
