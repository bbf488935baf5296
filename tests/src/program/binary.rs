//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, built with the profile and into the target directory of the running test.
/// Cargo offers binaries only to the tests of their own package, so this asks it for the other's;
/// where the program is up to date, that takes a moment. `LTM_PROGRAM` names one that is built.
pub fn ltm() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("LTM_PROGRAM").map_or_else(build, PathBuf::from))
}

/// A libcuda whose GPU is the virtual one; see `libcuda/lib.rs`. `LTM_VIRTUAL_LIBCUDA` names one
/// that is built.
pub fn virtual_libcuda() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        if let Some(built) = std::env::var_os("LTM_VIRTUAL_LIBCUDA") {
            return built.into();
        }
        let examples = cargo(&["--example", "virtual_libcuda"]).join("examples");
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        examples.join(format!("{prefix}virtual_libcuda{suffix}"))
    })
}

fn build() -> PathBuf {
    cargo(&["--bin", "ltm"]).join(format!("ltm{}", std::env::consts::EXE_SUFFIX))
}

/// Builds with the profile and into the target directory of the running test: the directory that
/// the profile's programs are in.
fn cargo(target: &[&str]) -> PathBuf {
    // TARGET/PROFILE/deps/this-test
    let test = std::env::current_exe().unwrap();
    let profile_dir = test.ancestors().nth(2).unwrap();
    let profile = match profile_dir.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let built = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // With this package, so that the features of shared dependencies are those of the test
        // run and nothing is compiled a second time.
        .args(["build", "--package", "ltm", "--package", "ltm-tests"])
        .args(target)
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(profile_dir.parent().unwrap())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    profile_dir.to_owned()
}
