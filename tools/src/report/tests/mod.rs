//! Whole reports, from files to the page.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

mod bad_input;
mod content;

use super::{Error, ReportSummary, write_report};

/// A place for run directories and the report on them.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn run(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let run = self.dir.path().join(name);
        fs::create_dir_all(&run).unwrap();
        for (file, text) in files {
            fs::write(run.join(file), text).unwrap();
        }
        run
    }

    fn report(&self, runs: &[PathBuf]) -> (ReportSummary, String) {
        let out = self.dir.path().join("report.html");
        let summary = write_report(runs, &out).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        assert_eq!(
            (summary.bytes, &summary.path),
            (page.len() as u64, &out),
            "the summary tells of another file"
        );
        assert_sound(&page);
        (summary, page)
    }

    fn failure(&self, metrics: &str) -> Error {
        let run = self.run("bad", &[("metrics.jsonl", metrics)]);
        write_report(&[run], &self.dir.path().join("report.html")).unwrap_err()
    }
}

/// Every element that is opened is closed, in order, and nothing comes from elsewhere.
pub(super) fn assert_sound(page: &str) {
    let mut open = Vec::new();
    let body = page.split_once("</style>").unwrap().1;
    for piece in body.split('<').skip(1) {
        let tag = piece.split_once('>').expect("an element without an end").0;
        if let Some(name) = tag.strip_prefix('/') {
            let opened: Option<&str> = open.pop();
            assert!(
                opened == Some(name) || name == "html" || name == "head",
                "{opened:?} closed by {name}"
            );
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?} left open");
    for word in ["<script", "src=", "href=", "url(", "@import", "NaN", "inf "] {
        assert!(!page.contains(word), "{word} in the page");
    }
}

fn metrics(iterations: impl IntoIterator<Item = u64>) -> String {
    let mut lines = String::new();
    for i in iterations {
        let nll = 2.0 + 3.0 / (1.0 + i as f64);
        let _ = write!(
            lines,
            "{{\"iteration\":{i},\"tokens\":{},\"loss\":{nll},\"nll\":{nll},\"kl\":0.5,\"bound\":{},\
             \"slow_lr\":4e-4,\"fast_lr\":0.34,\"grad_norm\":812.3,\"clip_factor\":0.0012,\
             \"fast_nll\":[4.0,3.0],\"fast_kl\":[0.1,0.5],\"unknown\":{{}}",
            (i + 1) * 2048,
            nll + 0.5
        );
        if i % 10 == 0 {
            let _ = write!(
                lines,
                ",\"val_nll\":{},\"val_kl\":0.6,\"val_bound\":{},\"val_fast_nll\":[4.5,3.5],\"val_fast_kl\":[0.2,0.6]",
                nll + 0.1,
                nll + 0.7
            );
        }
        lines.push_str("}\n");
    }
    lines
}

fn timing(iterations: u64) -> String {
    (0..iterations).fold(String::new(), |mut lines, i| {
        let _ = writeln!(
            lines,
            "{{\"iteration\":{i},\"seconds\":0.5,\"tokens_per_second\":{},\"rss_bytes\":{}}}",
            4000 + i,
            1_000_000 + i
        );
        lines
    })
}
