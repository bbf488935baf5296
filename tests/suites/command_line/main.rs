//! The program from outside: what works, and that everything that cannot work ends with a clear
//! error, the right exit code, and nothing lost.

mod bench;
mod checkpoints;
mod corpora;
mod devices;
mod disk;
mod divergence;
mod evaluation;
mod generate;
mod gsm8k;
mod interrupt;
mod kernels;
mod latents;
mod overlap;
mod pipeline;
mod products;
mod runs;
mod settings;
mod sweeps;
mod texts;
mod usage;
