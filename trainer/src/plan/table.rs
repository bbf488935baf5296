//! The plan for a terminal.

use super::{Parts, Pass, Plan};

impl Plan {
    /// The plan as lines of text, none of them ended.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.parameter_lines(&mut lines);
        self.memory_lines(&mut lines);
        self.work_lines(&mut lines);
        self.floor_lines(&mut lines);
        lines
    }

    fn parameter_lines(&self, lines: &mut Vec<String>) {
        lines.push(format!("parameters {:>29}", grouped(self.parameters)));
        for group in &self.groups {
            lines.push(row(group.name, &grouped(group.parameters)));
        }
    }

    fn memory_lines(&self, lines: &mut Vec<String>) {
        let (b, m) = (&self.batch, &self.memory);
        lines.push(String::new());
        lines.push(format!(
            "memory for {} of {} sequences of {} tokens at once, {}{}",
            b.micro_batch,
            b.sequences,
            b.seq_len,
            b.dtype,
            if b.automatic && self.room.is_some() { ", chosen to fit" } else { "" }
        ));
        for (name, value) in [
            ("weights", m.weights),
            ("bf16 copy of them", m.weights_copy),
            ("gradient", m.gradients),
            ("moments", m.moments),
            ("workspace", m.workspace),
            ("prefix arena", m.prefix_arena),
            ("suffix arena", m.suffix_arena),
            ("scratch", m.scratch),
            ("tables of angles", m.tables),
            ("words", m.words),
            ("texts, now and then", m.samples),
        ] {
            if value > 0 {
                lines.push(row(name, &bytes(value)));
            }
        }
        if m.cpu_scratch > 0 {
            let about = format!("about {}", bytes(m.cpu_scratch));
            lines.push(row("scratch of the CPU", &about));
        }
        let about = if m.cpu_scratch > 0 { "about " } else { "" };
        lines.push(row("in all", &format!("{about}{}", bytes(m.total))));
        if m.cpu_scratch == 0 {
            lines.push(row("", &format!("{} B", grouped(m.total))));
        }
        if let Some(room) = self.room.as_ref().and_then(|room| room.memory) {
            let [free, total] = [room.free, room.total].map(|n| bytes(n as usize));
            lines.push(row("there are", &free));
            if free != total {
                lines.push(row("of", &total));
            }
        }
        if let Some(refusal) = &self.refusal {
            lines.push(format!("  this does not fit: {refusal}"));
        }
    }

    fn work_lines(&self, lines: &mut Vec<String>) {
        let w = &self.work;
        lines.push(String::new());
        lines.push(format!(
            "work for {} tokens: matrix products and attention",
            grouped(self.batch.tokens)
        ));
        lines.push(format!(
            "  {:<22} {:>11} {:>11} {:>11} {:>6}",
            "", "forward", "backward", "both", "times"
        ));
        let mut pass = |name: &str, pass: &Pass, times: usize| {
            let both = flops(pass.total());
            let (forward, backward) = (flops(pass.forward.total()), flops(pass.backward.total()));
            lines.push(format!("  {name:<22} {forward:>11} {backward:>11} {both:>11} {times:>6}"));
        };
        pass("prefix, without z", &w.prefix, 1);
        if w.fast_steps > 0 {
            pass("fast step", &w.fast, w.fast_steps - w.steps_with_weights);
            pass("fast step and weights", &w.fast_with_weights, w.steps_with_weights);
        }
        pass("slow step", &w.slow, 1);
        lines.push(row("iteration", &flops(w.iteration)));
        lines.push(row("per token", &flops(w.per_token)));
        let equivalents = format!("{:.1}", w.forward_equivalents);
        lines.push(row("in forward passes", &equivalents));
        lines.push(match w.fast_steps {
            0 => format!("  of the slow step: {}", shares(&w.slow)),
            _ => format!("  of a fast step: {}", shares(&w.fast)),
        });
    }

    fn floor_lines(&self, lines: &mut Vec<String>) {
        if self.floors.is_empty() {
            return;
        }
        lines.push(String::new());
        lines.push("floor: the time of that work at a machine's full rate".to_owned());
        for floor in &self.floors {
            let fast_step = match self.work.fast_steps {
                0 => String::new(),
                _ => format!("fast step {:>9}, ", seconds(floor.fast_step)),
            };
            lines.push(format!(
                "  {:<32} {fast_step}iteration {:>9}, {} tokens/s",
                floor.machine.name,
                seconds(floor.iteration),
                grouped(floor.tokens_per_second as usize),
            ));
        }
    }
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<22} {value:>15}")
}

/// Where the work of a pass goes.
fn shares(pass: &Pass) -> String {
    let total = pass.total();
    let share = |part: fn(&Parts) -> f64| {
        let flops = part(&pass.forward) + part(&pass.backward);
        format!("{:.1}%", 100.0 * flops / total)
    };
    format!(
        "vocabulary {}, linear maps {}, window attention {}, latent attention {}",
        share(|p| p.vocabulary),
        share(|p| p.linear),
        share(|p| p.window_attention),
        share(|p| p.latent_attention),
    )
}

/// Thousands apart: `38,401,024`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The largest unit of at least 1, `step` apart.
fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    format!("{value:.*} {}", digits(value), units[unit])
}

/// Digits behind the point for three or four in all.
fn digits(value: f64) -> usize {
    match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    }
}

pub(super) fn bytes(value: usize) -> String {
    scaled(value as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

fn flops(value: f64) -> String {
    scaled(value, 1000.0, &["FLOP", "KFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"])
}

fn seconds(value: f64) -> String {
    match value {
        v if v >= 86400.0 => format!("{:.1} d", v / 86400.0),
        v if v >= 3600.0 => format!("{:.1} h", v / 3600.0),
        v if v >= 120.0 => format!("{:.1} min", v / 60.0),
        v if v >= 1.0 => format!("{v:.2} s"),
        v if v >= 1e-3 => format!("{:.2} ms", v * 1e3),
        v => format!("{:.1} us", v * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(38_401_024), "38,401,024");
        assert_eq!(bytes(0), "0.00 B");
        assert_eq!(bytes(3 << 19), "1.50 MiB");
        assert_eq!(flops(2.55e9), "2.55 GFLOP");
        assert_eq!(flops(1e30), "1000000000000 EFLOP");
        assert_eq!(seconds(0.01206), "12.06 ms");
        assert_eq!(seconds(100_000.0), "1.2 d");
    }
}
