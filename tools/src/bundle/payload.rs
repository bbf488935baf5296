//! Folders as one compressed file. Every suite carries the same kernels, so the window of the
//! compressor spans them all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::Error;

/// Window of the compressor, as a power of two; what decoders take without being asked is 27.
const WINDOW: u32 = 27;
const LEVEL: i32 = 12;

/// Packs what is in `folder` into `file`.
///
/// # Errors
/// If something cannot be read or written.
pub fn pack(folder: &Path, file: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { action: "write", path: file.to_owned(), source };
    let out = File::create(file).map_err(failed)?;
    let mut out = zstd::Encoder::new(out, LEVEL).map_err(failed)?;
    out.long_distance_matching(true).map_err(failed)?;
    out.window_log(WINDOW).map_err(failed)?;
    let mut archive = tar::Builder::new(out);
    archive.append_dir_all(".", folder).map_err(Error::file("pack", folder))?;
    let out = archive.into_inner().and_then(|out| out.finish()).map_err(failed)?;
    out.sync_all().map_err(failed)
}

/// Unpacks `file` into `folder`.
///
/// # Errors
/// If the file is damaged or the folder cannot be written.
pub fn unpack(file: &Path, folder: &Path) -> Result<(), Error> {
    let input = File::open(file).map_err(Error::file("open", file))?;
    let input = zstd::Decoder::new(input).map_err(Error::file("read", file))?;
    tar::Archive::new(input).unpack(folder).map_err(Error::file("unpack", file))
}

/// Copies every file below `from` whose name `wanted` takes to the same place below `to`.
///
/// # Errors
/// If something cannot be read or written.
pub fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<(), Error> {
    create_folder(to)?;
    for entry in fs::read_dir(from).map_err(Error::file("read", from))? {
        let entry = entry.map_err(Error::file("read", from))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_file() && wanted(&name) {
            fs::copy(&path, to.join(&name)).map_err(Error::file("copy", &path))?;
        }
    }
    Ok(())
}

/// Makes a folder and those above it.
///
/// # Errors
/// If it cannot be made.
pub fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file("create", path))
}

/// Writes a file whole.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let write = || File::create(path)?.write_all(content);
    write().map_err(Error::file("write", path))
}
