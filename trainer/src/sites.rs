//! What each stream of random numbers is for.
//!
//! Numbers come from Philox4x32-10 with the counter `[index, site, sample, iteration]` and the key
//! `[seed low, seed high]`. Two uses never share a site, so no draw depends on another one, on the
//! number of threads, or on where a run was interrupted.

/// Initial weights; `sample` is the parameter's place in checkpoint order, `iteration` 0.
pub const WEIGHT_INIT: u32 = 0;
/// Initial mu of a sequence.
pub const MU0: u32 = 1;
/// Initial logvar of a sequence.
pub const LOGVAR0: u32 = 2;
/// The reparameterisation noise of a sequence.
pub const EPS: u32 = 3;
/// Fast steps whose weight gradients are used.
pub const TRAJECTORY: u32 = 4;
/// Order of the training windows; `sample` is the round, `iteration` the epoch.
pub const SHUFFLE: u32 = 5;
/// Choice of the next token in generation.
pub const SAMPLE_TOKEN: u32 = 6;
/// Latents drawn from the prior.
pub const PRIOR: u32 = 7;
/// The noise that a fast step draws for itself: the eps after it where eps is fresh, or that of its
/// Langevin move. Above all other sites, offsets included.
pub const fn step_noise(step: usize) -> u32 {
    EPS.wrapping_add((step as u32).wrapping_add(1) << 8)
}
/// Added to a site for its use in validation, so that validating does not replay training's noise.
pub const VALIDATION_OFFSET: u32 = 16;
