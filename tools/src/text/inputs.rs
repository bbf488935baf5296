//! Input paths: files as named, directories expanded.

use std::fs;
use std::path::{Path, PathBuf};

use super::format::Format;
use crate::Error;

/// The files to read, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Files in reading order: inputs as given, each directory's files sorted by path.
    pub files: Vec<PathBuf>,
    /// Files of directories that were passed over: their name does not end as text does.
    pub ignored: Vec<PathBuf>,
}

/// Expands directories (recursively; hidden files are left out). A file named
/// outright is kept whatever it is called: reading it reports a bad name.
pub fn expand_inputs(inputs: &[PathBuf]) -> Result<Inputs, Error> {
    let mut found = Inputs::default();
    for input in inputs {
        let metadata = fs::metadata(input).map_err(Error::io("read", input))?;
        if metadata.is_dir() {
            expand_directory(input, &mut found, 0)?;
        } else {
            found.files.push(input.clone());
        }
    }
    if found.files.is_empty() {
        let names: Vec<_> = inputs.iter().map(|path| path.display().to_string()).collect();
        return Err(Error::NoDocuments { inputs: names.join(", ") });
    }
    Ok(found)
}

/// Deep enough for any collection, and an end to links that go in circles.
const MOST_LEVELS: usize = 32;

fn expand_directory(directory: &Path, found: &mut Inputs, level: usize) -> Result<(), Error> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    };
    for path in list().map_err(Error::io("list", directory))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(Error::io("read", &path))?;
        if metadata.is_dir() {
            if level < MOST_LEVELS {
                expand_directory(&path, found, level + 1)?;
            }
        } else if Format::of_name(&name).is_known() {
            found.files.push(path);
        } else {
            found.ignored.push(path);
        }
    }
    Ok(())
}
