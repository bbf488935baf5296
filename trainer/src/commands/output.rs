//! The standard streams. The `print` macros panic when nobody reads any more or the disk that
//! they were directed to is full, and a training must not end for that.

use std::fmt::Arguments;
use std::io::{self, Write};

use anyhow::Context;

/// As `println!`, with an error in place of the panic.
macro_rules! say {
    ($($text:tt)*) => { $crate::commands::output::line(format_args!($($text)*)) };
}
pub(super) use say;

/// As `eprintln!`, and nothing where it cannot be written: nobody is there to be told.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
pub(super) use tell;

/// Writes a line.
pub fn line(text: Arguments<'_>) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot write to the standard output")
}

/// Writes text as it is and shows it at once.
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to the standard output")
}

/// Whether a command ended because the reader of its output had seen enough, as `head` has.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
