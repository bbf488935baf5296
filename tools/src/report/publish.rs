//! Writing a file so that its place holds either the old one or the new one, whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Error;

/// Writes `bytes` beside `out`, syncs them and renames the file into place.
pub(super) fn publish(out: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    let Some(name) = out.file_name() else {
        return Err(failed(out)(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected the name of a file",
        )));
    };
    let dir = match out.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let temporary = dir.join(temporary_name(name));
    let written = write_synced(&temporary, bytes)
        .map_err(failed(&temporary))
        .and_then(|()| fs::rename(&temporary, out).map_err(failed(out)));
    if written.is_err() {
        // What failed is what gets reported; a leftover could not be removed either.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // The new name itself is durable only once the directory is.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))
}

fn write_synced(path: &PathBuf, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A hidden name that no other process or thread uses.
fn temporary_name(name: &std::ffi::OsStr) -> OsString {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{count}.tmp", process::id()));
    temporary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/report.html");
        publish(&out, b"one").unwrap();
        publish(&out, b"two").unwrap();
        assert_eq!(fs::read(&out).unwrap(), b"two");
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn failures_name_the_place_and_clean_up() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir_all(taken.join("by a folder")).unwrap();
        let error = publish(&taken, b"x").unwrap_err();
        assert!(matches!(&error, Error::Write { path, .. } if *path == taken));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(publish(Path::new(".."), b"x").is_err());
    }
}
