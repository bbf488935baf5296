//! Texts as they grow, some together.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use ltm_engine::Device;

use super::choose::Seen;
use super::{Generator, Refit, Request, Thought};
use crate::{Error, Result, sites};

/// Why a text ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It has [`super::Sampling::max_tokens`].
    #[default]
    Length,
    /// [`super::Sampling::end`] was drawn.
    EndOfText,
    /// The caller had seen enough.
    Enough,
    /// [`Request::stop`] was set.
    Stopped,
}

/// What the model thought of a token that was drawn, before temperature, penalty and cuts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// `-log p(token)`, nats.
    pub nll: f64,
    /// Entropy of the distribution that it was drawn from, nats.
    pub entropy: f64,
}

/// A text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// The new tokens, without the prompt.
    pub tokens: Vec<i32>,
    /// Why there are no more.
    pub end: End,
    /// How z was inferred from the prompt; `None` if it was not, or
    /// there is none.
    pub thought: Option<Thought>,
    /// How it was inferred anew, each time.
    pub refits: Vec<Thought>,
    /// Of each draw, if [`Request::figures`] asked for it: of every token, and of the one that
    /// ended the text.
    pub drawn: Vec<Drawn>,
}

/// A text that is being written.
pub(super) struct Text<'r, 'a> {
    request: &'r Request<'a>,
    written: Generated,
    seen: Seen,
    /// The last token, which the decoder has not seen yet.
    pending: i32,
    open: bool,
}

impl Text<'_, '_> {
    /// What was written.
    pub(super) fn close(self) -> Generated {
        self.written
    }

    fn end(&mut self, end: End) {
        self.written.end = end;
        self.open = false;
    }

    /// Tokens of prompt and text.
    fn len(&self) -> usize {
        self.request.prompt.len() + self.written.tokens.len()
    }

    /// The last `count` tokens of prompt and text.
    fn last(&self, count: usize) -> Vec<i32> {
        let skipped = self.len().saturating_sub(count);
        let all = self.request.prompt.iter().chain(&self.written.tokens);
        all.skip(skipped).copied().collect()
    }

    /// The refit that is due.
    fn refit(&self) -> Option<&Refit> {
        let refit = self.request.refit.as_ref()?;
        let due = self.open && self.written.tokens.len().is_multiple_of(refit.every);
        due.then_some(refit)
    }
}

impl Generator {
    /// Begins a text: its z, and its prompt but for the last token.
    pub(super) fn open<'r, 'a>(
        &mut self,
        device: &mut dyn Device,
        slot: usize,
        request: &'r Request<'a>,
    ) -> Result<Text<'r, 'a>> {
        let thought = self.think(device, slot, request)?;
        let (&pending, fed) = request.prompt.split_last().ok_or(super::GenerateError::NoStart)?;
        self.decoder.feed(device, slot, fed)?;
        let written = Generated { thought, ..Generated::default() };
        Ok(Text { request, written, seen: Seen::new(request), pending, open: true })
    }

    /// Draws one token of every open text; false if there is none.
    pub(super) fn advance(
        &mut self,
        device: &mut dyn Device,
        texts: &mut [Text<'_, '_>],
        emit: &mut dyn FnMut(usize, i32) -> ControlFlow<()>,
    ) -> Result<bool> {
        for text in texts.iter_mut().filter(|text| text.open) {
            if text.written.tokens.len() >= text.request.sampling.max_tokens {
                text.end(End::Length);
            } else if text.request.stop.load(Ordering::Relaxed) {
                text.end(End::Stopped);
            }
        }
        let open = |(slot, text): (usize, &Text<'_, '_>)| text.open.then_some((slot, text.pending));
        let rows: Vec<(usize, i32)> = texts.iter().enumerate().filter_map(open).collect();
        if rows.is_empty() {
            return Ok(false);
        }
        self.decoder.step(device, &rows)?;
        let drawn = {
            let texts: Vec<_> = rows.iter().map(|&(slot, _)| &texts[slot]).collect();
            let asked: Vec<_> =
                texts.iter().map(|text| (text.request, &text.seen, text.len())).collect();
            self.choose(device, &asked)?
        };
        for (&(slot, _), (token, figures)) in rows.iter().zip(drawn) {
            let text = &mut texts[slot];
            text.written.drawn.extend(figures);
            if text.request.sampling.end == Some(token) {
                text.end(End::EndOfText);
                continue;
            }
            text.written.tokens.push(token);
            text.seen.add(token);
            text.pending = token;
            if emit(slot, token).is_break() {
                text.end(End::Enough);
            } else if text.written.tokens.len() < text.request.sampling.max_tokens {
                self.think_again(device, slot, text)?;
            }
        }
        Ok(true)
    }

    /// Infers z anew where that is due, and lets the decoder see the text with it.
    fn think_again(
        &mut self,
        device: &mut dyn Device,
        slot: usize,
        text: &mut Text<'_, '_>,
    ) -> Result<()> {
        let refit = text.refit().filter(|_| !self.config.model.is_autoregressive());
        let Some(refit) = refit else {
            return Ok(());
        };
        let (tokens, request) = (text.last(refit.last), text.request);
        let number = text.written.refits.len() as u32 + 1;
        let draw = request.draw(sites::VALIDATION_OFFSET, number);
        let (thought, z) = match self.fit(device, &tokens, &refit.fast, draw, request.stop) {
            Err(Error::Interrupted) => {
                text.end(End::Stopped);
                return Ok(());
            }
            fitted => fitted?,
        };
        self.decoder.start(device, slot, &z)?;
        self.decoder.feed(device, slot, &tokens[..tokens.len() - 1])?;
        text.written.refits.push(thought);
        Ok(())
    }
}
