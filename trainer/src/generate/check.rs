//! What a request must be like.

use super::{GenerateError, Latents, Refit, Request};
use crate::config::ModelConfig;

type Checked = Result<(), GenerateError>;

impl Request<'_> {
    /// Checks everything that can be told before anything is written.
    pub(super) fn check(&self, model: &ModelConfig) -> Checked {
        self.sampling.check(model.vocab_size)?;
        self.check_prompt(model)?;
        if let Latents::Given(z) = &self.latents {
            check_given(z, model)?;
        }
        self.refit.as_ref().map_or(Ok(()), |refit| check_refit(refit, model))
    }

    fn check_prompt(&self, model: &ModelConfig) -> Checked {
        let (prompt, tokens, vocab) = (self.prompt, self.prompt.len(), model.vocab_size);
        let known = |token: i32| usize::try_from(token).is_ok_and(|token| token < vocab);
        if let Some(place) = prompt.iter().position(|&token| !known(token)) {
            let token = prompt[place];
            return Err(GenerateError::UnknownToken { place, token, vocab });
        }
        match self.latents {
            _ if model.is_autoregressive() && tokens > 0 => Ok(()),
            Latents::Posterior(_) if tokens < 2 => Err(GenerateError::PromptTooShort { tokens }),
            Latents::Posterior(_) if tokens > model.max_seq_len => {
                Err(GenerateError::PromptTooLong { tokens, most: model.max_seq_len })
            }
            _ if tokens == 0 => Err(GenerateError::NoStart),
            _ => Ok(()),
        }
    }
}

fn check_given(z: &[f32], model: &ModelConfig) -> Checked {
    let expected = model.latents * model.dim;
    if z.len() != expected {
        return Err(GenerateError::Latents {
            found: z.len(),
            latents: model.latents,
            width: model.dim,
        });
    }
    match z.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(place) => Err(GenerateError::NotFinite { place, value: z[place] }),
    }
}

fn check_refit(refit: &Refit, model: &ModelConfig) -> Checked {
    let wrong = |name, value: usize, expected: String| {
        Err(GenerateError::Setting { name, value: value.to_string(), expected })
    };
    let most = model.max_seq_len;
    if refit.every == 0 {
        return wrong("refit", 0, "at least 1 new token between two inferences".to_owned());
    }
    if !(2..=most).contains(&refit.last) {
        return wrong("refit_last", refit.last, format!("2 to model.max_seq_len = {most}"));
    }
    Ok(())
}
