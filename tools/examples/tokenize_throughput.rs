//! Tokenizes files into a directory and prints throughput and peak memory.
//!
//!     cargo run -p ltm-tools --release --example tokenize_throughput -- OUT THREADS VAL_DOCS INPUT...

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ltm_tools::tokenize::{TokenizeOptions, tokenize};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, threads, val_docs, inputs @ ..] = arguments.as_slice() else {
        eprintln!("usage: tokenize_throughput OUT THREADS VAL_DOCS INPUT...");
        return ExitCode::from(2);
    };
    let (Ok(threads), Ok(val_docs)) = (threads.parse(), val_docs.parse()) else {
        eprintln!("THREADS and VAL_DOCS are whole numbers");
        return ExitCode::from(2);
    };
    let options =
        TokenizeOptions { threads, val_docs, overwrite: true, ..TokenizeOptions::default() };
    let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
    match tokenize(&inputs, Path::new(out), &options, &mut |_| {}) {
        Ok(report) => {
            println!("{report}");
            // Linux says it in kilobytes; elsewhere there is nothing to print.
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
