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

fn build() -> PathBuf {
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
        .args(["build", "--package", "ltm", "--package", "ltm-tests", "--bin", "ltm"])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(profile_dir.parent().unwrap())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    profile_dir.join(format!("ltm{}", std::env::consts::EXE_SUFFIX))
}
