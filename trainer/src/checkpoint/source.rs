//! Where a checkpoint's tensors come from.

use std::borrow::Cow;
use std::error::Error;

/// One of the three values kept for every parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The parameter itself.
    Weight,
    /// The optimiser's running mean of its gradient.
    FirstMoment,
    /// The optimiser's running mean of the square of its gradient.
    SecondMoment,
}

impl Part {
    /// The tensor's name in its file.
    pub(super) fn name(self, parameter: &str) -> String {
        match self {
            Self::Weight => parameter.to_owned(),
            Self::FirstMoment => format!("m.{parameter}"),
            Self::SecondMoment => format!("v.{parameter}"),
        }
    }
}

/// Hands out the tensors to save, one at a time, so that no second copy of the model is needed:
/// borrowed where they lie in host memory, owned where they come from a device.
pub trait TensorSource {
    /// The values, row-major, of the parameter with this place in `Config::parameter_shapes`.
    ///
    /// # Errors
    /// Whatever keeps them from being fetched.
    fn tensor(
        &self,
        part: Part,
        parameter: usize,
    ) -> Result<Cow<'_, [f32]>, Box<dyn Error + Send + Sync>>;
}

/// Tensors in host memory, in the order of `Config::parameter_shapes`.
#[derive(Debug, Clone, Copy)]
pub struct HostTensors<'a> {
    /// The parameters.
    pub weights: &'a [&'a [f32]],
    /// Their first moments.
    pub first: &'a [&'a [f32]],
    /// Their second moments.
    pub second: &'a [&'a [f32]],
}

impl TensorSource for HostTensors<'_> {
    fn tensor(
        &self,
        part: Part,
        parameter: usize,
    ) -> Result<Cow<'_, [f32]>, Box<dyn Error + Send + Sync>> {
        let list = match part {
            Part::Weight => self.weights,
            Part::FirstMoment => self.first,
            Part::SecondMoment => self.second,
        };
        list.get(parameter)
            .map(|values| Cow::Borrowed(*values))
            .ok_or_else(|| format!("there are {} tensors", list.len()).into())
    }
}
