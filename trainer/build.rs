//! Packs the text of `ltm quickstart` into the program.
//!
//! The text comes through cargo alone: the crate `spellcheck` ships public-domain English. It is
//! a build dependency so that cargo fetches it, and `cargo metadata` tells where it lies.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use cargo_metadata::MetadataCommand;

/// Where the English ends; licence text and word lists follow.
const END: &str = "*** END OF THE PROJECT GUTENBERG EBOOK, WAR AND PEACE";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("quickstart.txt.zst");
    let source = crate_directory("spellcheck")?.join("src/bin/training.txt");
    let bytes =
        fs::read(&source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let end = text.find(END).ok_or_else(|| format!("{}: no line {END:?}", source.display()))?;
    fs::write(out, zstd::encode_all(text[..end].as_bytes(), 19)?)?;
    Ok(())
}

/// The source directory of a dependency.
fn crate_directory(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let target = env::var("TARGET")?;
    let ask = |offline: bool| {
        let mut options = vec!["--filter-platform".to_owned(), target.clone()];
        if offline {
            options.push("--offline".to_owned());
        }
        MetadataCommand::new().manifest_path(&manifest).other_options(options).exec()
    };
    // Offline succeeds wherever every package of the workspace has been fetched; a build of the
    // program alone fetches fewer.
    let metadata = ask(true).or_else(|_| ask(false))?;
    let package = metadata.packages.iter().find(|package| package.name.as_str() == name);
    let package = package.ok_or_else(|| format!("cargo metadata knows no crate {name}"))?;
    let directory = package.manifest_path.parent().ok_or("a manifest without a directory")?;
    Ok(directory.as_std_path().to_owned())
}
