//! The compiled kernels are those of the sources, and the table knows them all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

const ADVICE: &str = "run `cargo run --release -p ltm-tools --bin compile_kernels`";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}; {ADVICE}", path.display()))
}

fn manifest() -> Value {
    serde_json::from_str(&read(&root().join("compiled/manifest.json"))).unwrap()
}

fn hash(parts: &[String]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|p| hash.update(p));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("the manifest has no list {key}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("a record of the manifest has no {key}"))
}

#[test]
fn compiled_files_are_those_of_the_sources() {
    let kernels = root().join("kernels");
    for module in list(&manifest(), "modules") {
        let name = text(module, "module");
        let mut parts = vec![read(&kernels.join(format!("{name}.cu")))];
        for header in list(module, "headers") {
            parts.push(read(&kernels.join(header.as_str().unwrap())));
        }
        assert_eq!(hash(&parts), text(module, "source_sha256"), "{name}.cu changed; {ADVICE}");
        let ptx = read(&root().join(format!("compiled/sm_80/{name}.ptx")));
        assert_eq!(hash(&[ptx]), text(module, "ptx_sha256"), "{name}.ptx was altered; {ADVICE}");
    }
}

#[test]
fn every_source_is_compiled() {
    let manifest = manifest();
    let known: BTreeSet<String> =
        list(&manifest, "modules").iter().map(|m| text(m, "module").to_owned()).collect();
    let mut sources = BTreeSet::new();
    for folder in ["", "ladder/"] {
        let Ok(entries) = std::fs::read_dir(root().join("kernels").join(folder)) else { continue };
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(module) = name.strip_suffix(".cu") {
                sources.insert(format!("{folder}{module}"));
            }
        }
    }
    assert_eq!(known, sources, "{ADVICE}");
}

#[test]
fn the_table_and_the_compiled_files_name_the_same_kernels() {
    let manifest = manifest();
    let compiled: BTreeSet<(String, String)> = list(&manifest, "entries")
        .iter()
        .map(|e| (text(e, "module").to_owned(), text(e, "entry").to_owned()))
        .filter(|(module, _)| !module.starts_with("ladder/"))
        .collect();
    let table: BTreeSet<(String, String)> =
        ltm_ptx::entry_points().map(|e| (e.module.to_owned(), e.name.to_owned())).collect();
    assert_eq!(table, compiled);
}

#[test]
fn no_shipped_kernel_spills_on_any_architecture() {
    for entry in list(&manifest(), "entries") {
        let name = text(entry, "entry");
        let others = entry["others"].as_object().expect("usage on later architectures");
        assert_eq!(others.len(), 3, "{name}: assembled for sm_86, sm_89 and sm_90");
        for usage in others.values().chain([entry]) {
            for key in ["spill_stores", "spill_loads", "stack"] {
                assert_eq!(usage[key], 0, "{name}: {key}");
            }
        }
    }
}
