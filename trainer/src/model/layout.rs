//! Where each parameter lies in the flat parameter vector.

use std::ops::Range;

use ltm_engine::ops::AdamWSegment;

use crate::config::{ModelConfig, PRIOR_PARAMETERS};

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Checkpoint name.
    pub name: String,
    /// `[out, in]` of a matrix, `[len]` of a gain.
    pub shape: Vec<usize>,
    /// Elements of the flat vector.
    pub range: Range<usize>,
}

/// All parameters back to back, in checkpoint order: the projections that read one input (q, k
/// and v; latent k and v; gate and up) are neighbours, so each group is one matrix.
#[derive(Clone, Debug)]
pub struct ParameterLayout {
    entries: Vec<Entry>,
    /// Parameters of one layer.
    per_layer: usize,
    layers: usize,
    /// Whether layers attend to latents.
    latents: bool,
}

/// Ranges of the parameters of one layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerRanges {
    pub(crate) attention_norm: Range<usize>,
    pub(crate) qkv: Range<usize>,
    pub(crate) attention_out: Range<usize>,
    /// Absent from a model without latents.
    pub(crate) cross: Option<CrossRanges>,
    pub(crate) ffn_norm: Range<usize>,
    pub(crate) gate_up: Range<usize>,
    pub(crate) down: Range<usize>,
}

/// Ranges of the parameters of a layer's latent attention.
#[derive(Clone, Debug)]
pub(crate) struct CrossRanges {
    pub(crate) norm: Range<usize>,
    pub(crate) q: Range<usize>,
    pub(crate) kv: Range<usize>,
    pub(crate) out: Range<usize>,
}

impl ParameterLayout {
    /// The layout of a model.
    pub fn new(model: &ModelConfig) -> Self {
        let mut start = 0;
        let entries: Vec<Entry> = model
            .parameter_shapes()
            .into_iter()
            .map(|(name, shape)| {
                let range = start..start + shape.iter().product::<usize>();
                start = range.end;
                Entry { name, shape, range }
            })
            .collect();
        let prior = entries.iter().filter(|entry| is_prior(&entry.name)).count();
        let per_layer = (entries.len() - 2 - prior) / model.layers;
        Self { entries, per_layer, layers: model.layers, latents: !model.is_autoregressive() }
    }

    /// Mean and log variance of a learned prior; `None` where the prior is N(0, I).
    pub fn prior(&self) -> Option<[Range<usize>; 2]> {
        let range = |name| self.entries.iter().find(|e| e.name == name).map(|e| e.range.clone());
        let [mean, logvar] = PRIOR_PARAMETERS.map(range);
        Some([mean?, logvar?])
    }

    /// Every parameter, in checkpoint order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.range.end)
    }

    /// True for a model without parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The embedding, which is the output projection too.
    pub(crate) fn embedding(&self) -> Range<usize> {
        self.entries[0].range.clone()
    }

    /// The gain of the last normalisation.
    pub(crate) fn norm(&self) -> Range<usize> {
        self.entries[1 + self.layers * self.per_layer].range.clone()
    }

    /// Where the parameters of a layer lie, in the order of [`ModelConfig::parameter_shapes`].
    pub(crate) fn layer(&self, layer: usize) -> LayerRanges {
        let first = 1 + layer * self.per_layer;
        let part = |place: usize| self.entries[first + place].range.clone();
        let span = |first: usize, last: usize| part(first).start..part(last).end;
        // q, k, v and out of both kinds of attention; gate, up, down; the gains.
        let (ffn, norms) = if self.latents { (8, 11) } else { (4, 7) };
        let cross = self.latents.then(|| CrossRanges {
            norm: part(norms + 1),
            q: part(4),
            kv: span(5, 6),
            out: part(7),
        });
        LayerRanges {
            attention_norm: part(norms),
            qkv: span(0, 2),
            attention_out: part(3),
            cross,
            ffn_norm: part(norms + 1 + usize::from(self.latents)),
            gate_up: span(ffn, ffn + 1),
            down: part(ffn + 2),
        }
    }

    /// Ranges for the optimiser: matrices decay, gains and the prior do not.
    pub fn segments(&self) -> Vec<AdamWSegment> {
        let mut segments: Vec<AdamWSegment> = Vec::new();
        for entry in &self.entries {
            let decay = entry.shape.len() >= 2 && !is_prior(&entry.name);
            match segments.last_mut() {
                Some(last) if last.decay == decay => last.len += entry.range.len(),
                _ => segments.push(AdamWSegment {
                    offset: entry.range.start,
                    len: entry.range.len(),
                    decay,
                }),
            }
        }
        segments
    }
}

/// Whether a parameter belongs to the prior, not to the decoder.
pub(super) fn is_prior(name: &str) -> bool {
    PRIOR_PARAMETERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn ranges_carry_the_names_that_they_stand_for() {
        for latents in [24, 0] {
            let mut model = Config::default().model;
            model.latents = latents;
            let layout = ParameterLayout::new(&model);
            for i in 0..model.layers {
                expect_names(&layout, i, latents > 0);
            }
            let last = layout.entries().iter().find(|e| e.range.start == layout.norm().start);
            assert_eq!(last.map(|e| e.name.as_str()), Some("norm.weight"));
            assert_eq!(layout.len(), model.parameter_count());
            let covered: usize = layout.segments().iter().map(|s| s.len).sum();
            assert_eq!(covered, layout.len());
            let cross = layout.entries().iter().any(|e| e.name.contains("cross"));
            assert_eq!(cross, latents > 0);
        }
    }

    fn expect_names(layout: &ParameterLayout, i: usize, latents: bool) {
        let starting_at = |start: usize| {
            layout.entries().iter().find(|e| e.range.start == start).map(|e| e.name.as_str())
        };
        let ending_at = |end: usize| {
            layout.entries().iter().find(|e| e.range.end == end).map(|e| e.name.as_str())
        };
        let ranges = layout.layer(i);
        let expect = |range: &Range<usize>, first: &str, last: &str| {
            let name = |short: &str| format!("layers.{i}.{short}.weight");
            assert_eq!(starting_at(range.start), Some(name(first).as_str()));
            assert_eq!(ending_at(range.end), Some(name(last).as_str()));
        };
        expect(&ranges.qkv, "attention.wq", "attention.wv");
        expect(&ranges.attention_out, "attention.wo", "attention.wo");
        expect(&ranges.gate_up, "feed_forward.gate_proj", "feed_forward.up_proj");
        expect(&ranges.down, "feed_forward.down_proj", "feed_forward.down_proj");
        expect(&ranges.attention_norm, "attention_norm", "attention_norm");
        expect(&ranges.ffn_norm, "ffn_norm", "ffn_norm");
        assert_eq!(ranges.cross.is_some(), latents);
        if let Some(cross) = ranges.cross {
            expect(&cross.q, "cross_attention.wq", "cross_attention.wq");
            expect(&cross.kv, "cross_attention.wk", "cross_attention.wv");
            expect(&cross.out, "cross_attention.wo", "cross_attention.wo");
            expect(&cross.norm, "cross_attention_norm", "cross_attention_norm");
        }
    }
}
