//! Window and latent attention.

use ltm_engine::DeviceExt;
use ltm_engine::ops::*;

use super::Case;
use crate::parity::Result;

impl Case<'_, '_> {
    pub(super) fn window_attention(&mut self) -> Result<()> {
        let [batch, seq, heads, head_dim] = self.axes("q")?;
        let window = self.fixture().count(&["cases", &self.name, "window"])?;
        let theta = self.number("theta")?;
        let shape = WindowAttentionShape { batch, seq, heads, head_dim, window, theta };
        let (width, n) = (shape.width(), shape.rows() * shape.width());
        let parts = ["q", "k", "v"];
        let packed = self.pack(&parts, width)?;
        let qkv = self.device.alloc_from(&packed)?;
        let d_out = self.input("do")?;
        let (out, logsumexp) = (self.output(n)?, self.output(shape.rows() * heads)?);
        let d_qkv = self.output(3 * n)?;
        self.device.window_attention_forward(&WindowAttentionForward {
            qkv: &qkv,
            out: &out,
            logsumexp: &logsumexp,
            shape,
        })?;
        self.device.window_attention_backward(&WindowAttentionBackward {
            qkv: &qkv,
            out: &out,
            logsumexp: &logsumexp,
            d_out: &d_out,
            d_qkv: &d_qkv,
            shape,
        })?;
        self.compare("out.o", &out)?;
        self.compare_packed(&parts, width, &d_qkv)
    }

    /// Distance of the latent positions, which must start at 0 and be evenly spaced.
    fn latent_stride(&self, latents: usize) -> Result<u32> {
        let value = self.fixture().value(&["cases", &self.name, "latent_positions"])?;
        let positions: Vec<u32> = serde_json::from_value(value.clone())
            .map_err(|e| self.fixture().malformed(format!("latent_positions: {e}")))?;
        let stride = positions.get(1).copied().unwrap_or(1);
        let even = positions.iter().enumerate().all(|(i, &p)| p == i as u32 * stride);
        if even && positions.len() == latents {
            return Ok(stride);
        }
        let detail = format!("{}: latent positions {positions:?} are not evenly spaced", self.name);
        Err(self.fixture().malformed(detail))
    }

    pub(super) fn latent_attention(&mut self) -> Result<()> {
        let [batch, seq, heads, head_dim] = self.axes("q")?;
        let [_, latents, _, _] = self.axes("k")?;
        let shape = LatentAttentionShape {
            batch,
            seq,
            heads,
            head_dim,
            latents,
            latent_stride: Some(self.latent_stride(latents)?),
            first_position: 0,
            theta: self.number("theta")?,
        };
        let (width, n) = (shape.width(), shape.rows() * shape.width());
        let parts = ["k", "v"];
        let packed = self.pack(&parts, width)?;
        let kv = self.device.alloc_from(&packed)?;
        let (q, d_out) = (self.input("q")?, self.input("do")?);
        let (out, d_q, d_kv) = (self.output(n)?, self.output(n)?, self.output(packed.len())?);
        let args = LatentAttentionForward { q: &q, kv: &kv, out: &out, shape };
        self.device.latent_attention_forward(&args)?;
        self.device.latent_attention_backward(&LatentAttentionBackward {
            q: &q,
            kv: &kv,
            d_out: &d_out,
            d_q: Some(&d_q),
            accumulate_q: false,
            d_kv: KvGradient::Complete(&d_kv),
            shape,
        })?;
        self.compare("out.o", &out)?;
        self.compare("grad.q", &d_q)?;
        self.compare_packed(&parts, width, &d_kv)
    }
}
