//! The calls that the suites make, one module per operation: the suites choose the shapes.

/// Prints a case as its operation and its fields.
macro_rules! printed {
    ($($case:ty),* $(,)?) => {
        $(impl std::fmt::Display for $case {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} {:?}", $crate::Case::op(self), self)
            }
        })*
    };
}

pub mod adamw;
pub mod add;
pub mod embedding;
pub mod gaussian;
pub mod gaussian_update;
pub mod grouped_linear;
pub mod latent_attention;
pub mod latent_attention_linear;
pub mod latent_attention_swiglu;
pub mod latent_block;
pub mod linear;
pub mod linear_cross_entropy;
pub mod linear_rms_norm;
pub mod linear_swiglu;
pub mod normal;
pub mod rms_norm;
pub mod sample;
pub mod swiglu;
pub mod trace;
pub mod window_attention;
pub mod window_attention_decode;

/// Adds what an accumulating output held before.
fn accumulated(mut values: Vec<f64>, before: &[f64]) -> Vec<f64> {
    values.iter_mut().zip(before).for_each(|(v, b)| *v += b);
    values
}
