//! The operations, one file each: how it is recorded, its forward step, its one backward.

pub(crate) mod add;
mod embedding;
mod feed_forward;
mod grouped_linear;
mod latent_attention;
mod latent_attention_linear;
mod latent_block;
mod latent_feed_forward;
mod linear;
mod linear_cross_entropy;
mod linear_rms_norm;
pub(crate) mod rms_norm;
mod window_attention;

pub use feed_forward::FeedForwardArgs;
pub use grouped_linear::GroupedLinearArgs;
pub use latent_attention::LatentAttentionArgs;
pub use latent_attention_linear::LatentAttentionLinearArgs;
pub use latent_block::{LatentBlockArgs, Queries};
pub use latent_feed_forward::LatentFeedForwardArgs;
pub use linear::LinearArgs;
pub use linear_cross_entropy::{LinearCrossEntropyArgs, Losses};
