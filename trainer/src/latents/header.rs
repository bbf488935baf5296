//! The header of a file of latents: a safetensors header of fixed size.

use serde_json::{Value, json};

/// Bytes before the tensors: the length field, the JSON, and blanks. The number of texts is known
/// last, so the header is written last, into a place of this size.
pub(super) const BYTES: u64 = 4096;
/// Bytes of the length field.
pub(super) const LENGTH_FIELD: u64 = 8;
/// Value of `format` in the metadata.
const FORMAT: &str = "ltm latents 1";

/// What was encoded, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`super::fingerprint`] of the model.
    pub model: String,
    /// Iterations that its weights have seen.
    pub iteration: u64,
    /// Name of its tokenizer.
    pub tokenizer: String,
    /// Fast steps of each text.
    pub fast_steps: u64,
    /// Latent vectors N of a text, over all layers.
    pub latents: usize,
    /// Width D of each.
    pub dim: usize,
    /// Whether all texts that were asked for are there; not so after Ctrl-C.
    pub complete: bool,
}

impl Header {
    /// Bytes of a text in each of `mu` and `logvar`.
    pub fn row_bytes(&self) -> u64 {
        (self.latents * self.dim * size_of::<f32>()) as u64
    }

    /// The safetensors header of `texts` texts and an index of `index` bytes. The tensors lie in
    /// the order mu, logvar, index.
    pub(super) fn json(&self, texts: u64, index: u64) -> Value {
        let size = texts * self.row_bytes();
        let shape = json!([texts, self.latents, self.dim]);
        json!({
            "__metadata__": {
                "format": FORMAT,
                "model": self.model,
                "iteration": self.iteration.to_string(),
                "tokenizer": self.tokenizer,
                "fast_steps": self.fast_steps.to_string(),
                "complete": self.complete.to_string(),
            },
            "mu": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]},
            "logvar": {"dtype": "F32", "shape": shape, "data_offsets": [size, 2 * size]},
            "index": {
                "dtype": "U8", "shape": [index], "data_offsets": [2 * size, 2 * size + index],
            },
        })
    }

    /// Reads what [`Header::json`] writes: the header, its texts and the bytes of the index.
    ///
    /// # Errors
    /// What is missing or wrong, in words.
    pub(super) fn parse(json: &Value) -> Result<(Self, u64, u64), String> {
        let text = |key: &str| {
            json["__metadata__"][key].as_str().ok_or_else(|| format!("its metadata lack `{key}`"))
        };
        let wrong = |key: &str, found: &str| format!("`{key}` is {found:?} in its metadata");
        let count = |key: &str| {
            let text = text(key)?;
            text.parse::<u64>().map_err(|_| wrong(key, text))
        };
        let format = text("format")?;
        if format != FORMAT {
            return Err(format!("its format is {format:?}, this program reads {FORMAT:?}"));
        }
        let extent = |tensor: &str, axis: usize| {
            let extent = json[tensor]["shape"][axis].as_u64();
            extent.ok_or_else(|| format!("its tensor `{tensor}` has no extent {axis}"))
        };
        let header = Self {
            model: text("model")?.to_owned(),
            iteration: count("iteration")?,
            tokenizer: text("tokenizer")?.to_owned(),
            fast_steps: count("fast_steps")?,
            latents: extent("mu", 1)? as usize,
            dim: extent("mu", 2)? as usize,
            complete: text("complete")?.parse().map_err(|_| wrong("complete", "no bool"))?,
        };
        let (texts, index) = (extent("mu", 0)?, extent("index", 0)?);
        let factors = [header.latents as u64, header.dim as u64, 2 * size_of::<f32>() as u64];
        let bytes = factors.iter().try_fold(texts, |bytes, &factor| bytes.checked_mul(factor));
        if texts == 0 || bytes.and_then(|bytes| bytes.checked_add(BYTES)).is_none() {
            return Err(format!("it claims {texts} texts"));
        }
        // Types, shapes, offsets and the absence of further tensors, all at once.
        if *json != header.json(texts, index) {
            return Err("its tensors are not mu, logvar and index of one set of texts".to_owned());
        }
        Ok((header, texts, index))
    }
}
