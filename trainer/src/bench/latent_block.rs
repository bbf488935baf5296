//! Latent attention with the products around it and the norm after it.

use ltm_engine::ops::{
    KvGradient, LatentBlockBackward, LatentBlockForward, QueryProduct, QuerySource,
};

use super::Setting;
use super::arguments::Cases;
use crate::Result;
use crate::model::latent_shape;

pub(super) fn measure(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let shape = latent_shape(setting.model, setting.shape);
    let (rows, width) = (shape.rows(), shape.width());
    let (n, square) = (rows * width, width * width);
    let latents = 2 * shape.batch * shape.latents * width;
    let products = 4.0 * rows as f64 * square as f64;
    let attention = 2.0 * rows as f64 * (shape.latents * width) as f64;
    let eps = setting.model.norm_eps as f32;
    cases.measure("latent_block_forward", "", products + 2.0 * attention, |b| {
        let (x, weight, out_weight) = (b.stored(n)?, b.stored(square)?, b.stored(square)?);
        let (q, kv, residual) = (b.stored(n)?, b.stored(latents)?, b.stored(n)?);
        let (gain, out, normed) = (b.stored(width)?, b.stored(n)?, b.stored(n)?);
        let inv_rms = b.floats(rows)?;
        Ok(Box::new(move |device| {
            device.latent_block_forward(&LatentBlockForward {
                query: Some(QueryProduct { x: &x, weight: &weight }),
                q: &q,
                kv: &kv,
                out_weight: &out_weight,
                residual: &residual,
                gain: &gain,
                out: &out,
                normed: &normed,
                inv_rms: &inv_rms,
                eps,
                shape,
            })
        }))
    })?;
    cases.measure("latent_block_backward", "", products + 5.0 * attention, |b| {
        // The gradient is read and written.
        let d_out = b.stored_in_part(n, 2 * n)?;
        let (q, kv, out_weight) = (b.stored(n)?, b.stored(latents)?, b.stored(square)?);
        let (weight, residual, gain) = (b.stored(square)?, b.stored(n)?, b.stored(width)?);
        let (inv_rms, d_kv) = (b.floats(rows)?, b.stored(latents)?);
        let room = b.stored_in_part(LatentBlockBackward::room(&shape, true), 0)?;
        Ok(Box::new(move |device| {
            device.latent_block_backward(&LatentBlockBackward {
                d_out: &d_out,
                q: &q,
                kv: &kv,
                out_weight: &out_weight,
                source: Some(QuerySource {
                    weight: &weight,
                    residual: &residual,
                    gain: &gain,
                    inv_rms: &inv_rms,
                }),
                d_kv: KvGradient::Complete(&d_kv),
                room: &room,
                shape,
            })
        }))
    })
}
