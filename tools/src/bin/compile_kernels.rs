//! Compiles the `kernels/*.cu` of each folder to its `compiled/`, or checks that what lies there is
//! current: the kernels of the program, and those of a test that are wrong on purpose.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ltm_tools::kernels::{
    Compiled, Error, Source, Toolchain, compile_all, files_below, fix_addresses,
};

/// Compile the kernels to PTX with the pinned NVRTC, and write the manifest.
///
/// The compiler is installed into --toolchain from ptx/toolchain.txt (pinned by hash) when it
/// is not there yet; that needs python3 with pip. Building and testing need neither.
#[derive(Parser)]
struct Args {
    /// Folders with `kernels` and `compiled` in them; repeat for several
    #[arg(long, default_values = ["ptx", "tests/suites/kernels/wrong"])]
    folder: Vec<PathBuf>,
    /// The list of what the compiler consists of
    #[arg(long, default_value = "ptx/toolchain.txt")]
    requirements: PathBuf,
    /// Where the compiler lies or is installed
    #[arg(long, default_value = "target/cuda-12.8.93")]
    toolchain: PathBuf,
    /// Write nothing; fail if a compiled file differs from what its source compiles to
    #[arg(long)]
    check: bool,
    /// With --check: how often to try where the system gives no fixed layout of addresses
    #[arg(long, default_value_t = 6)]
    attempts: u32,
    /// Print the PTX of this source of the one --folder, compiled by the NVRTC in --toolchain
    #[arg(long, hide = true)]
    apart: Option<String>,
    /// With --apart: blocks to allocate first
    #[arg(long, hide = true, default_value_t = 0)]
    blocks: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let fixed = fix_addresses();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        // With random addresses a process now and then compiles a kernel to something else.
        Err(Error::Stale { files }) if !fixed && args.attempts > 1 => {
            eprintln!("{} differ; addresses are random here: once more", files.join(", "));
            again(args.attempts - 1)
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The same in a process of its own, which has other addresses.
fn again(attempts: u32) -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "--attempts") {
        args.drain(at..(at + 2).min(args.len()));
    }
    args.retain(|arg| !arg.to_string_lossy().starts_with("--attempts="));
    args.extend(["--attempts".into(), attempts.to_string().into()]);
    let status = std::env::current_exe()
        .and_then(|program| std::process::Command::new(program).args(args).status());
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: cannot start once more: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Error> {
    if let (Some(name), [kernels]) = (&args.apart, &args.folder[..]) {
        let (kernels, nvrtc) = (kernels.clone(), args.toolchain.clone());
        let source = Source { kernels, name: name.clone(), nvrtc, blocks: args.blocks };
        print!("{}", source.compile()?);
        return Ok(());
    }
    let program = std::env::current_exe()
        .map_err(|source| Error::File { path: "the program itself".into(), source })?;
    let toolchain = Toolchain::open(&args.toolchain, &args.requirements)?;
    let mut stale = Vec::new();
    for folder in &args.folder {
        stale.extend(compile(folder, &toolchain, &program, args.check)?);
    }
    if stale.is_empty() { Ok(()) } else { Err(Error::Stale { files: stale }) }
}

/// Compiles one folder, and writes what it gives or names the files that differ from it.
fn compile(
    folder: &Path,
    toolchain: &Toolchain,
    program: &Path,
    check: bool,
) -> Result<Vec<String>, Error> {
    let root = folder.join("compiled");
    let compiled = compile_all(&folder.join("kernels"), toolchain, &root, program)?;
    for entry in &compiled.manifest.entries {
        let spills = entry.usage.spill_stores + entry.usage.spill_loads;
        println!(
            "{:48} {:3} registers {:6} bytes shared {:4} bytes spilled",
            entry.entry, entry.usage.registers, entry.usage.static_shared, spills
        );
    }
    let files = all_files(&compiled);
    if check {
        return stale(&root, &files);
    }
    files.iter().try_for_each(|(name, text)| write(&root.join(name), text))?;
    Ok(Vec::new())
}

fn all_files(compiled: &Compiled) -> Vec<(String, String)> {
    let manifest = serde_json::to_string_pretty(&compiled.manifest)
        .expect("strings and numbers always make JSON");
    let mut files = compiled.files.clone();
    files.push(("manifest.json".into(), manifest + "\n"));
    files
}

/// The files that are not what their sources compile to.
fn stale(root: &Path, files: &[(String, String)]) -> Result<Vec<String>, Error> {
    let differs = |(name, text): &&(String, String)| {
        std::fs::read(root.join(name)).map_or(true, |found| found != text.as_bytes())
    };
    let mut stale: Vec<String> = files.iter().filter(differs).map(|(n, _)| n.clone()).collect();
    stale.extend(orphans(root, files)?);
    Ok(stale.iter().map(|name| root.join(name).display().to_string()).collect())
}

/// Compiled files that no source stands behind.
fn orphans(root: &Path, files: &[(String, String)]) -> Result<Vec<String>, Error> {
    let mut found = files_below(root)?;
    found.retain(|name| !files.iter().any(|(known, _)| known == name));
    Ok(found)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
