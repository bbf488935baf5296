//! What cargo built.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::Error;
use super::process::succeed;

/// Executables of a build.
pub struct Built(Vec<Executable>);

#[derive(Debug, PartialEq)]
struct Executable {
    name: String,
    kind: String,
    path: PathBuf,
}

impl Built {
    /// Runs cargo with these arguments and collects the executables that it tells of.
    ///
    /// # Errors
    /// If it fails.
    pub fn by(args: &[&str]) -> Result<Self, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(args).arg("--message-format=json-render-diagnostics");
        let said = succeed(&mut command, true, "packing builds what it packs; install Rust")?;
        Ok(Self(executables(&said)))
    }

    /// The executable of a target; `kind` is cargo's: bin, test, bench.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, kind: &'static str, name: &'static str) -> Result<&PathBuf, Error> {
        let what = match kind {
            "test" => "test suite",
            "bench" => "benchmark",
            "example" => "library",
            _ => "program",
        };
        let found = self.0.iter().find(|built| built.kind == kind && built.name == name);
        found.map(|built| &built.path).ok_or(Error::NotBuilt { what, name })
    }
}

fn executables(messages: &str) -> Vec<Executable> {
    let of = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(Executable {
            path: message["executable"].as_str().or_else(|| library(&message))?.into(),
            name: message["target"]["name"].as_str()?.to_owned(),
            kind: message["target"]["kind"][0].as_str()?.to_owned(),
        })
    };
    messages.lines().filter_map(of).collect()
}

/// The file of a library that other programs load, which is no executable.
fn library(message: &Value) -> Option<&str> {
    let loaded = message["target"]["crate_types"][0] == "cdylib";
    message["filenames"][0].as_str().filter(|_| loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_those_that_cargo_names() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"a","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"a","kind":["test"]},"executable":"/t/a-1"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"c","kind":["example"],"#,
            r#""crate_types":["cdylib"]},"filenames":["/t/libc.so"],"executable":null}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let built = Built(executables(messages));
        assert_eq!(built.find("test", "a").unwrap(), &PathBuf::from("/t/a-1"));
        assert_eq!(built.find("example", "c").unwrap(), &PathBuf::from("/t/libc.so"));
        let error = built.find("bin", "a").unwrap_err().to_string();
        assert!(error.contains("program") && error.contains("named a"), "{error}");
    }
}
