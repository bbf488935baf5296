//! Ctrl-C: the first asks to save and stop, the second stops at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use super::output::tell;

/// A flag that the first Ctrl-C sets. A second Ctrl-C ends the process; what is on disk is whole
/// at any instant.
///
/// # Errors
/// If the handler cannot be installed.
pub fn flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let handled = flag.clone();
    ctrlc::set_handler(move || {
        if handled.swap(true, Ordering::Relaxed) {
            process::exit(1);
        }
        tell!("\nstopping; once more stops at once");
    })
    .context("cannot handle Ctrl-C")?;
    Ok(flag)
}
