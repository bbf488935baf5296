//! What a training run shows while it goes on.

use std::time::Duration;

use ltm::run::{Event, Observer};

use super::progress::Meter;

/// Weight of the newest iteration in the speed that the time left is reckoned from.
const SMOOTHING: f64 = 0.1;

/// Shows events as a bar or as lines.
pub struct Watch {
    meter: Meter,
    seconds: Option<f64>,
}

impl Watch {
    /// A bar on a terminal, lines elsewhere.
    pub fn new() -> Self {
        Self { meter: Meter::iterations(), seconds: None }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.meter.finish();
    }
}

impl Observer for Watch {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Started { device, windows } => {
                self.meter.line(&format!("training on {device}; {windows} windows an epoch"));
            }
            Event::WarmStarts { path, bytes } => {
                let gib = bytes as f64 / (1_u64 << 30) as f64;
                self.meter.line(&format!(
                    "warm starts: {} grows to {bytes} bytes ({gib:.2} GiB) as windows are visited",
                    path.display()
                ));
            }
            Event::Resumed { iteration, checkpoint } => {
                let from = checkpoint.display();
                self.meter.line(&format!("resumed at iteration {iteration} from {from}"));
            }
            Event::NoValidation { reason } => {
                self.meter.line(&format!("no validation: {reason}"));
            }
            Event::OtherLibrary { before, now } => {
                let now = now.map_or("is not at hand".into(), |now| format!("is {now} here"));
                self.meter.line(&format!(
                    "the run began with cuBLASLt {before}, which {now}: what it computes may round \
                     differently"
                ));
            }
            Event::Iteration { metrics, timing, total } => {
                let before = self.seconds.unwrap_or(timing.seconds);
                let smooth = before + SMOOTHING * (timing.seconds - before);
                self.seconds = Some(smooth);
                let left = (total - metrics.iteration - 1) as f64 * smooth;
                let eta = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
                let rate = timing.tokens_per_second;
                self.meter.set(
                    metrics.iteration + 1,
                    total,
                    &format!(
                        "{} nats/token, {rate:.1} tokens/s, ETA {}",
                        metrics.in_words(),
                        indicatif::HumanDuration(eta),
                    ),
                );
                if let Some(v) = &metrics.validation {
                    self.meter.line(&format!(
                        "iteration {}: validation {} nats/token",
                        metrics.iteration,
                        v.in_words()
                    ));
                }
            }
            Event::Sample { sample } => {
                let (iteration, kind) = (sample.iteration, &sample.kind);
                let text: String = sample.text.escape_debug().take(160).collect();
                self.meter.line(&format!("iteration {iteration}, {kind}: {text}"));
            }
            Event::Saved { checkpoint } => {
                self.meter.line(&format!("saved {}", checkpoint.display()));
            }
        }
    }
}
