//! Builds and collects everything that a bare machine needs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cargo::Built;
use super::environment::now;
use super::payload::{copy, create_folder, pack as compress, write};
use super::process::{answer, succeed};
use super::{Error, Manifest};

/// Bytes that a bundle may have.
pub const LIMIT: u64 = 60_000_000;
/// Name of the file that makes a folder a bundle.
pub const MANIFEST: &str = "bundle.json";
/// Name of the packed folder of programs, fixtures and text.
pub const PAYLOAD: &str = "payload.tar.zst";

/// The suites that go along.
const SUITES: [&str; 6] =
    ["kernels", "virtual_gpu", "operations", "parity", "command_line", "crash"];
/// A libcuda over the virtual GPU, which the suite of the command line loads.
const LIBRARY: &str = "virtual_libcuda";
const SCRIPT: &str = include_str!("run.sh");
const README: &str = include_str!("README.md");

/// What was packed.
#[derive(Debug)]
pub struct Packed {
    /// The folder.
    pub folder: PathBuf,
    /// What its manifest says.
    pub manifest: Manifest,
}

/// Builds the program, the suites and the benchmarks of the workspace in the working directory
/// and packs them into `out`. An earlier bundle there is replaced.
///
/// # Errors
/// If something does not build, `out` holds something else, or the bundle is larger than
/// [`LIMIT`]; an earlier bundle is then left as it was.
pub fn pack(out: &Path) -> Result<Packed, Error> {
    if out.exists() && !out.join(MANIFEST).exists() {
        let mut entries = fs::read_dir(out).map_err(Error::file("read", out))?;
        if entries.next().is_some() {
            return Err(Error::InUse { path: out.to_owned() });
        }
    }
    let root = workspace()?;
    // With the suites, so that nothing is compiled twice for other features.
    let program =
        Built::by(&["build", "--release", "-p", "ltm", "-p", "ltm-tests", "--bin", "ltm"])?;
    let library = ["build", "--release", "-p", "ltm", "-p", "ltm-tests", "--example", LIBRARY];
    let library = Built::by(&library)?;
    let suites = Built::by(&["test", "--release", "--no-run", "-p", "ltm-tests"])?;
    let benches = Built::by(&["bench", "--no-run", "-p", "ltm-benches"])?;

    let parent = out.parent().filter(|path| !path.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    create_folder(parent)?;
    let temporary = tempfile::tempdir_in(parent).map_err(Error::file("write into", parent))?;
    let (payload, bundle) = (temporary.path().join("payload"), temporary.path().join("bundle"));

    let ltm = payload.join("bin/ltm");
    strip(program.find("bin", "ltm")?, &ltm)?;
    for name in SUITES {
        strip(suites.find("test", name)?, &payload.join("suites").join(name))?;
    }
    strip(benches.find("bench", "operations")?, &payload.join("benches/operations"))?;
    strip(library.find("example", LIBRARY)?, &payload.join("lib/libcuda.so"))?;
    let fixture = |name: &str| name.ends_with(".safetensors") || name.ends_with(".json");
    copy(&root.join("tests/golden"), &payload.join("tests/golden"), &fixture)?;
    copy(&root.join("tests/suites"), &payload.join("tests/suites"), &|n| n.ends_with(".toml"))?;
    text(&ltm, &payload.join("text"), &temporary.path().join("quickstart"))?;

    create_folder(&bundle)?;
    compress(&payload, &bundle.join(PAYLOAD))?;
    let runner = env::current_exe().map_err(Error::file("find", Path::new("this program")))?;
    strip(&runner, &bundle.join("bundle"))?;
    let peer = |name: &str| name.ends_with(".py") || name == "README.md";
    copy(&root.join("benches/peers"), &bundle.join("peers"), &peer)?;
    write(&bundle.join("run.sh"), SCRIPT.as_bytes())?;
    write(&bundle.join("README.md"), README.as_bytes())?;

    let bytes = measured(&bundle)?;
    let manifest = manifest(&root, &ltm, bytes);
    let json = serde_json::to_string_pretty(&manifest).expect("strings and numbers make JSON");
    write(&bundle.join(MANIFEST), (json + "\n").as_bytes())?;
    if out.exists() {
        fs::remove_dir_all(out).map_err(Error::file("replace", out))?;
    }
    fs::rename(&bundle, out).map_err(Error::file("write", out))?;
    Ok(Packed { folder: out.to_owned(), manifest })
}

fn workspace() -> Result<PathBuf, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["locate-project", "--workspace", "--message-format", "plain"]);
    let file = succeed(&mut command, false, "packing builds what it packs; install Rust")?;
    Ok(Path::new(file.trim()).parent().unwrap_or(Path::new(".")).to_owned())
}

/// Copies an executable without the symbols that only debuggers read.
fn strip(from: &Path, to: &Path) -> Result<(), Error> {
    create_folder(to.parent().unwrap_or(Path::new(".")))?;
    let hint = "the compiler's binary utilities have it";
    succeed(Command::new("strip").arg("-o").arg(to).arg(from), false, hint)?;
    Ok(())
}

/// Shards of public-domain English, of bytes and of GPT-2's tokens, as the quickstart makes them.
fn text(ltm: &Path, to: &Path, scratch: &Path) -> Result<(), Error> {
    let mut quickstart = Command::new(ltm);
    quickstart.arg("quickstart").arg("--out").arg(scratch).args(["--device", "cpu"]);
    for setting in ["iterations=1", "validate_every=0", "sample_every=0", "checkpoint_every=0"] {
        quickstart.args(["--set", &format!("train.{setting}")]);
    }
    succeed(&mut quickstart, false, "it was just built")?;
    create_folder(to)?;
    let bytes = scratch.join("shards");
    copy(&bytes, &to.join("bytes"), &|name| !name.starts_with('.'))?;
    let mut tokenize = Command::new(ltm);
    tokenize.arg("tokenize").arg(scratch.join("corpus.jsonl")).arg("--out").arg(to.join("gpt2"));
    tokenize.args(["--tokenizer", "gpt2", "--val-docs", "12"]);
    succeed(&mut tokenize, false, "it was just built")?;
    Ok(())
}

fn manifest(root: &Path, ltm: &Path, bytes: u64) -> Manifest {
    let git = |args: &[&str]| {
        let root = root.to_string_lossy();
        answer("git", &[&["-C", &root], args].concat())
    };
    Manifest {
        commit: git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into()),
        uncommitted_changes: git(&["status", "--porcelain", "--untracked-files=no"]).is_some(),
        date: now(),
        ltm: answer(ltm, &["--version"]).unwrap_or_default(),
        rustc: answer("rustc", &["--version"]).unwrap_or_default(),
        bytes,
    }
}

/// Bytes of everything in a folder, if that is within the limit.
fn measured(folder: &Path) -> Result<u64, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::file("read", &folder))? {
            let path = entry.map_err(Error::file("read", &folder))?.path();
            let data = fs::metadata(&path).map_err(Error::file("read", &path))?;
            if data.is_dir() {
                folders.push(path);
            } else {
                files.push((data.len(), path));
            }
        }
    }
    let size = files.iter().map(|(bytes, _)| bytes).sum();
    if size <= LIMIT {
        return Ok(size);
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    let name = |(bytes, path): &(u64, PathBuf)| {
        format!("{} ({bytes})", path.file_name().unwrap_or_default().to_string_lossy())
    };
    let largest = files.iter().take(5).map(name).collect::<Vec<_>>().join(", ");
    Err(Error::TooLarge { size, limit: LIMIT, largest })
}
