//! Which model latents belong to.

use ltm_engine::{Device, DeviceExt};
use sha2::{Digest, Sha256};

use super::LatentsError;
use crate::Result;
use crate::config::ModelConfig;
use crate::model::Parameters;

/// Says what is hashed, so that another rule gives other fingerprints.
const RULE: &str = "ltm model 1";

/// A hash (SHA-256, hexadecimal) of the f32 weights and of the settings of the decoder, which
/// together make up what latents mean. How latents are inferred is no part of it: those of more
/// fast steps mean the same to the decoder.
///
/// # Errors
/// If the device fails.
pub fn fingerprint(
    device: &mut dyn Device,
    model: &ModelConfig,
    parameters: &Parameters,
) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(RULE);
    hash.update(serde_json::to_vec(model).map_err(LatentsError::Describe)?);
    for entry in parameters.layout.entries() {
        hash.update(&entry.name);
        let values: Vec<f32> = device.read(&parameters.values.slice(entry.range.clone())?)?;
        hash.update(bytemuck::cast_slice::<f32, u8>(&values));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
