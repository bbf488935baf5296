//! A temporary directory with a corpus, shards and trainings of seconds.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Outcome, ltm, virtual_libcuda};

/// Settings of a model that an iteration of takes milliseconds; three iterations.
pub const MICRO: &str = "suites/micro.toml";
/// Documents of the corpus.
const DOCUMENTS: usize = 40;
/// Name by which the program looks for cuBLASLt.
const CUBLAS: &str = "libcublasLt.so.12";
/// Files that a command may change in a directory that it then refuses to work in.
const LOCK: &str = ".lock";

/// The directory; removed with this value. Programs run in it, so paths may be relative to it.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// With `corpus.jsonl`, and its shards of bytes in `shards`.
    pub fn with_corpus() -> Self {
        let sandbox = Self { dir: TempDir::new().unwrap() };
        sandbox.write("corpus.jsonl", corpus());
        let args = "tokenize corpus.jsonl --tokenizer bytes --out shards --val-docs 4";
        sandbox.run(args.split(' ')).succeeds();
        sandbox
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and the directory that it is in.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Copies a directory and what is in it.
    pub fn copy(&self, from: &str, to: &str) {
        for (name, content) in files(&self.path(from)) {
            self.write(Path::new(to).join(name), content);
        }
    }

    /// The program with arguments, not yet running.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(ltm());
        command.args(args).current_dir(self.dir.path());
        command
    }

    /// Runs the program with arguments.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        Outcome::of(&mut self.command(args))
    }

    /// The program on a machine with a GPU, which is the virtual one behind a libcuda of ours;
    /// `settings` say what is wrong with it, as `libcuda/lib.rs` tells.
    pub fn command_with_gpu<S: AsRef<OsStr>>(
        &self,
        settings: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let driver = self.path("driver");
        if fs::create_dir(&driver).is_ok() {
            fs::copy(virtual_libcuda(), driver.join("libcuda.so")).unwrap();
        }
        let mut command = self.command(args);
        let _ = fs::remove_file(driver.join(CUBLAS));
        command
            .env("LD_LIBRARY_PATH", driver)
            .env("VIRTUAL_LIBCUDA", settings)
            .env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    /// The same on a machine that has cuBLASLt too, whose products are in the same file.
    pub fn command_with_cublas<S: AsRef<OsStr>>(
        &self,
        settings: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let command = self.command_with_gpu(settings, args);
        let driver = self.path("driver");
        // The loader takes two names of one file for one library.
        fs::hard_link(driver.join("libcuda.so"), driver.join(CUBLAS)).unwrap();
        command
    }

    /// Runs [`Sandbox::command_with_gpu`].
    pub fn run_with_gpu<S: AsRef<OsStr>>(
        &self,
        settings: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Outcome {
        Outcome::of(&mut self.command_with_gpu(settings, args))
    }

    /// Runs the program with arguments that must be refused: no file is changed, removed or
    /// added by it.
    #[track_caller]
    pub fn refuses<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, words: &[&str]) {
        let before = files(self.dir.path());
        let outcome = self.run(args);
        let command = outcome.command.clone();
        outcome.fails(words);
        let after = files(self.dir.path());
        let names: Vec<_> = before.keys().chain(after.keys()).collect();
        for name in names {
            assert!(before.get(name) == after.get(name), "{command}\nchanged {}", name.display());
        }
    }

    /// The arguments of a training of the micro model into `run`, with further ones separated by
    /// blanks. Unless they say otherwise, it has one thread and the shards of the corpus.
    pub fn training(&self, run: &str, further: &str) -> Vec<String> {
        let micro = crate::file(MICRO);
        let micro = micro.to_str().expect("a path that is text");
        let defaults = [
            ("--preset", "tiny"),
            ("--config", micro),
            ("--data", "shards"),
            ("--threads", "1"),
            ("--out", run),
        ];
        let kept = defaults.iter().filter(|(flag, _)| !further.contains(flag));
        let kept = kept.flat_map(|(flag, value)| [*flag, *value]);
        let words = std::iter::once("train").chain(kept).chain(further.split_whitespace());
        words.map(str::to_owned).collect()
    }

    /// Trains the micro model.
    pub fn train(&self, run: &str, further: &str) -> Outcome {
        self.run(self.training(run, further))
    }
}

/// Every file under a directory but locks, by its path in it.
pub fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name() != Some(OsStr::new(LOCK)) {
                let name = path.strip_prefix(root).unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// JSON lines of sentences, the same in every call.
fn corpus() -> String {
    const WORDS: [&str; 16] = [
        "the", "river", "runs", "under", "an", "old", "bridge", "while", "birds", "sing", "of",
        "morning", "and", "rain", "falls", "slowly",
    ];
    let mut state = 1_u32;
    let mut word = || {
        // The constants of Numerical Recipes; the high bits are good enough for text.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        WORDS[(state >> 28) as usize]
    };
    let mut document = || (0..60).map(|_| word()).collect::<Vec<_>>().join(" ");
    (0..DOCUMENTS).map(|_| format!("{{\"text\": \"{}\"}}\n", document())).collect()
}
