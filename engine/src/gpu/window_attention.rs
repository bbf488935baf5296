//! Causal sliding-window attention.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{WindowAttentionBackward, WindowAttentionDecode, WindowAttentionForward};

pub fn forward<D: Driver>(_: &mut Gpu<D>, _: &WindowAttentionForward<'_>) -> Result<()> {
    Err(missing("window_attention_forward"))
}

pub fn backward<D: Driver>(_: &mut Gpu<D>, _: &WindowAttentionBackward<'_>) -> Result<()> {
    Err(missing("window_attention_backward"))
}

pub fn decode<D: Driver>(_: &mut Gpu<D>, _: &WindowAttentionDecode<'_>) -> Result<()> {
    Err(missing("window_attention_decode"))
}
