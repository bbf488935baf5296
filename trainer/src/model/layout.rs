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
}

/// Place of each parameter within its layer.
#[derive(Clone, Copy)]
enum Part {
    SelfQ = 0,
    SelfV = 2,
    SelfO = 3,
    CrossQ = 4,
    CrossK = 5,
    CrossV = 6,
    CrossO = 7,
    Gate = 8,
    Up = 9,
    Down = 10,
    SelfNorm = 11,
    CrossNorm = 12,
    FfnNorm = 13,
}

/// Ranges of the parameters of one layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerRanges {
    pub(crate) attention_norm: Range<usize>,
    pub(crate) qkv: Range<usize>,
    pub(crate) attention_out: Range<usize>,
    pub(crate) cross_norm: Range<usize>,
    pub(crate) cross_q: Range<usize>,
    pub(crate) cross_kv: Range<usize>,
    pub(crate) cross_out: Range<usize>,
    pub(crate) ffn_norm: Range<usize>,
    pub(crate) gate_up: Range<usize>,
    pub(crate) down: Range<usize>,
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
        Self { entries, per_layer, layers: model.layers }
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

    pub(crate) fn layer(&self, layer: usize) -> LayerRanges {
        let part = |part: Part| &self.entries[1 + layer * self.per_layer + part as usize].range;
        let span = |first: Part, last: Part| part(first).start..part(last).end;
        LayerRanges {
            attention_norm: part(Part::SelfNorm).clone(),
            qkv: span(Part::SelfQ, Part::SelfV),
            attention_out: part(Part::SelfO).clone(),
            cross_norm: part(Part::CrossNorm).clone(),
            cross_q: part(Part::CrossQ).clone(),
            cross_kv: span(Part::CrossK, Part::CrossV),
            cross_out: part(Part::CrossO).clone(),
            ffn_norm: part(Part::FfnNorm).clone(),
            gate_up: span(Part::Gate, Part::Up),
            down: part(Part::Down).clone(),
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
        let model = Config::default().model;
        let layout = ParameterLayout::new(&model);
        let starting_at = |start: usize| {
            layout.entries().iter().find(|e| e.range.start == start).map(|e| e.name.as_str())
        };
        let ending_at = |end: usize| {
            layout.entries().iter().find(|e| e.range.end == end).map(|e| e.name.as_str())
        };
        for i in 0..model.layers {
            let ranges = layout.layer(i);
            let expect = |range: &Range<usize>, first: &str, last: &str| {
                let name = |short: &str| format!("layers.{i}.{short}.weight");
                assert_eq!(starting_at(range.start), Some(name(first).as_str()));
                assert_eq!(ending_at(range.end), Some(name(last).as_str()));
            };
            expect(&ranges.qkv, "attention.wq", "attention.wv");
            expect(&ranges.attention_out, "attention.wo", "attention.wo");
            expect(&ranges.cross_q, "cross_attention.wq", "cross_attention.wq");
            expect(&ranges.cross_kv, "cross_attention.wk", "cross_attention.wv");
            expect(&ranges.cross_out, "cross_attention.wo", "cross_attention.wo");
            expect(&ranges.gate_up, "feed_forward.gate_proj", "feed_forward.up_proj");
            expect(&ranges.down, "feed_forward.down_proj", "feed_forward.down_proj");
            expect(&ranges.attention_norm, "attention_norm", "attention_norm");
            expect(&ranges.cross_norm, "cross_attention_norm", "cross_attention_norm");
            expect(&ranges.ffn_norm, "ffn_norm", "ffn_norm");
        }
        assert_eq!(starting_at(layout.norm().start), Some("norm.weight"));
        assert_eq!(layout.len(), model.parameter_count());
        let covered: usize = layout.segments().iter().map(|s| s.len).sum();
        assert_eq!(covered, layout.len());
    }
}
