//! Times for a terminal.

use super::{Ceilings, Iterations, KernelTime, Kernels};

impl Kernels {
    /// The table as lines of text, none of them ended.
    pub fn lines(&self) -> Vec<String> {
        let [batch, seq] = self.extents;
        let mut lines = vec![
            format!(
                "operations on {batch} sequences of {seq} tokens, {}, on {}, by {}",
                self.dtype, self.device, self.clock
            ),
            self.ceilings.line(),
            format!(
                "{:<25} {:<19} {:>10} {:>10} {:>10} {:>8} {:>8} {:>7} {:>7} {:>10}",
                "operation",
                "of",
                "p10, us",
                "median",
                "p90",
                "GB/s",
                "TFLOP/s",
                "ceiling",
                "limit",
                "cuBLAS, us"
            ),
        ];
        lines.extend(self.kernels.iter().map(KernelTime::line));
        lines.push(
            "GB/s: arguments once. ceiling: the least time by the two speeds above, as a share of \
             the median."
                .into(),
        );
        lines
    }
}

impl KernelTime {
    fn line(&self) -> String {
        let t = &self.times;
        let [p10, median, p90] = [t.p10, t.median, t.p90].map(|seconds| seconds * 1e6);
        let tera = match self.flops {
            0.0 => "-".into(),
            flops => format!("{:.2}", flops / t.median / 1e12),
        };
        let cublas = self.cublas.map_or("-".into(), |t| format!("{:.2}", t.median * 1e6));
        format!(
            "{:<25} {:<19} {p10:>10.2} {median:>10.2} {p90:>10.2} {:>8.1} {tera:>8} {:>6.1}% {:>7} {cublas:>10}",
            self.operation,
            self.of,
            self.bytes as f64 / t.median / 1e9,
            100.0 * self.share_of_ceiling,
            if self.limited_by_arithmetic { "product" } else { "memory" }
        )
    }
}

impl Ceilings {
    fn line(&self) -> String {
        format!(
            "ceilings: a copy of {} MiB {:.1} GB/s, a product of edge {} {:.2} TFLOP/s ({})",
            self.copied_bytes >> 20,
            self.copy_bytes_per_second / 1e9,
            self.product_edge,
            self.product_flops_per_second / 1e12,
            self.product_by
        )
    }
}

impl Iterations {
    /// Where the time goes, as lines of text beside the floors that a speed of products sets.
    pub fn lines(&self, flops_per_second: f64) -> Vec<String> {
        let median = self.median();
        let floor = self.flops / flops_per_second;
        let mut lines = vec![
            format!(
                "an iteration of {} tokens, {} sequences at once: {:.3} ms, {:.1} tokens/s, {:.1}% \
                 of the floor of {:.3} ms",
                self.tokens,
                self.micro_batch,
                median * 1e3,
                self.tokens as f64 / median,
                100.0 * floor / median,
                floor * 1e3
            ),
            format!(
                "  {:<24} {:>6} {:>12} {:>12} {:>7} {:>12} {:>9}",
                "part", "runs", "each, ms", "all, ms", "share", "floor, ms", "of floor"
            ),
        ];
        let total: f64 = self.parts.iter().map(|part| part.seconds).sum();
        for part in &self.parts {
            let floor = part.flops / flops_per_second;
            let (floor, share) = match part.flops {
                0.0 => ("-".into(), "-".into()),
                _ => {
                    (format!("{:.3}", floor * 1e3), format!("{:.1}%", 100.0 * floor / part.seconds))
                }
            };
            lines.push(format!(
                "  {:<24} {:>6.1} {:>12.3} {:>12.3} {:>6.1}% {floor:>12} {share:>9}",
                part.part,
                part.runs,
                part.seconds / part.runs * 1e3,
                part.seconds * 1e3,
                100.0 * part.seconds / total
            ));
        }
        lines
    }
}
