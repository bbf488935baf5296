//! AdamW and clipping.

use ltm_engine::ops::*;
use ltm_engine::{DType, DeviceExt};

use super::Case;
use crate::parity::Result;

impl Case<'_, '_> {
    pub(super) fn adamw(&mut self) -> Result<()> {
        let list = |name: &str| -> Result<Vec<f64>> {
            let value = self.fixture().value(&["cases", &self.name, name])?;
            serde_json::from_value(value.clone())
                .map_err(|e| self.fixture().malformed(format!("{name}: {e}")))
        };
        let (lrs, betas) = (list("lrs")?, list("betas")?);
        let &[beta1, beta2] = betas.as_slice() else {
            return Err(self.fixture().malformed("betas has not two numbers"));
        };
        let (eps, weight_decay) = (self.number("eps")?, self.number("weight_decay")?);
        let params = self.input("x")?;
        let n = params.len();
        let (first_moment, second_moment) = (self.output(n)?, self.output(n)?);
        let segments = [AdamWSegment { offset: 0, len: n, decay: true }];
        for (index, lr) in lrs.iter().enumerate() {
            let gradients = self.input(&format!("grad{}", index + 1))?;
            let number = index as u64 + 1;
            let step = AdamWStep { lr: *lr, beta1, beta2, eps, weight_decay, number };
            let step = self.device.alloc_from(&step.constants()?)?;
            self.device.adamw(&AdamW {
                params: &params,
                gradients: &gradients,
                first_moment: &first_moment,
                second_moment: &second_moment,
                copy: None,
                clip: None,
                segments: &segments,
                step: &step,
            })?;
            self.compare(&format!("out.x{number}"), &params)?;
        }
        self.compare(&format!("out.m{}", lrs.len()), &first_moment)?;
        self.compare(&format!("out.v{}", lrs.len()), &second_moment)
    }

    pub(super) fn clip(&mut self) -> Result<()> {
        let all = [self.host("a")?, self.host("b")?].concat();
        let gradients = self.device.alloc_from(&all)?;
        let out = self.device.alloc(DType::F64, 2)?;
        let limit = self.number("limit")?;
        self.device.global_norm(&GlobalNorm { gradients: &gradients, out: &out, limit })?;
        let values = self.device.read::<f64>(&out)?;
        self.checker.compare(&self.key("out.norm"), &values[..1])?;
        self.checker.compare(&self.key("out.factor"), &values[1..])
    }
}
