//! The calls that must show an error in a kernel: small ones, and of every kind that takes
//! another way through it.

mod attention;
mod gated;
mod latent_block;
mod norms;
mod numbers;
mod products;
mod rows;

use ltm_tests::mutation::Recording;
use ltm_tests::{Case, Format, Layout};

/// Calls of one operation.
type Calls = Result<Vec<Recording>, String>;

/// An operation by the name of its module, and its calls, which may launch kernels of others too.
type Operation = (&'static str, fn() -> Calls);

/// The operations to mutate.
pub const OPERATIONS: [Operation; 16] = [
    ("adamw", numbers::adamw),
    ("add", numbers::add),
    ("embedding", rows::embedding),
    ("gaussian", numbers::gaussian),
    ("latent_attention", attention::latent),
    ("latent_block", latent_block::latent_block),
    ("linear", products::linear),
    ("linear_cross_entropy", products::loss),
    ("linear_rms_norm", norms::linear_rms_norm),
    ("linear_swiglu", gated::linear_swiglu),
    ("normal", numbers::normal),
    ("rms_norm", rows::rms_norm),
    ("sample", rows::sample),
    ("swiglu", rows::swiglu),
    ("trace", numbers::trace),
    ("window_attention", attention::window),
];

const BOTH: [Format; 2] = [Format::F32, Format::BF16];
/// Aligned to what the widest access takes, and to nothing but an element.
const LAYOUTS: [Layout; 2] = [Layout::WHOLE, Layout::SHIFTED];

/// Every case in every layout, in f32 and in bf16.
fn record(cases: &[&dyn Case], layouts: &[Layout]) -> Calls {
    let mut recordings = Vec::new();
    for &case in cases {
        for format in BOTH {
            for &layout in layouts {
                recordings.push(Recording::new(case, format, layout)?);
            }
        }
    }
    Ok(recordings)
}

/// Every case whole, and with each of its arguments off the grid of wide accesses alone.
fn record_each_shifted(cases: &[&dyn Case]) -> Calls {
    let mut recordings = record(cases, &LAYOUTS)?;
    for &case in cases {
        for format in BOTH {
            for at in 0..case.args(format).len() {
                recordings.push(Recording::new(case, format, Layout::shifted_at(at))?);
            }
        }
    }
    Ok(recordings)
}
