use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Error, event, name, record};

/// Appends scalars to one event file of a directory.
///
/// Records are buffered; [`flush`](EventWriter::flush) hands them to the system, and so does
/// dropping the writer, which cannot report a failure. A process killed in the middle leaves at
/// most one torn record at the end, which readers skip.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Starts a new event file in `dir`, making the directory where needed.
    ///
    /// `run_start_step` is the first step this writer will write when it continues a run whose
    /// earlier event files lie in `dir`: TensorBoard then forgets what those files say of this
    /// step and later ones. `None` starts a run afresh and purges nothing.
    ///
    /// # Errors
    ///
    /// When the directory or the file cannot be made or written.
    pub fn create(dir: &Path, run_start_step: Option<i64>) -> Result<Self, Error> {
        let failed = |source| Error::Create { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        // A clock before 1970 is no reason not to train.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = dir.join(name::fresh(dir, now.as_secs()).map_err(failed)?);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| Error::Create { path: path.clone(), source })?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.append(&event::file_version(now.as_secs_f64()))?;
        if let Some(step) = run_start_step {
            writer.append(&event::session_start(now.as_secs_f64(), step))?;
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Writes one value of the curve `tag` at `step`; `wall_time` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// When a full buffer cannot be written.
    pub fn scalar(
        &mut self,
        tag: &str,
        step: i64,
        value: f32,
        wall_time: f64,
    ) -> Result<(), Error> {
        self.scalars(step, &[(tag, value)], wall_time)
    }

    /// Writes values of several curves at one step as a single record.
    ///
    /// # Errors
    ///
    /// When a full buffer cannot be written.
    pub fn scalars(
        &mut self,
        step: i64,
        values: &[(&str, f32)],
        wall_time: f64,
    ) -> Result<(), Error> {
        self.append(&event::scalars(wall_time, step, values))
    }

    /// Hands everything written so far to the system, where a running TensorBoard sees it.
    ///
    /// # Errors
    ///
    /// When the buffered records cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.flush().map_err(|source| self.failed(source))
    }

    /// The file being written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, event: &[u8]) -> Result<(), Error> {
        self.file.write_all(&record::frame(event)).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }
}
