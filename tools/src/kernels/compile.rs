//! From sources to PTX and manifest.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::nvrtc::Header;
use super::ptxas::Ptxas;
use super::{EntryUsage, Error, Manifest, ModuleRecord, Source, Toolchain};

const COMPILER: &str = "NVRTC 12.8.93";
pub(super) const OPTIONS: [&str; 3] =
    ["--gpu-architecture=compute_80", "--std=c++17", "--generate-line-info"];
/// The architecture whose usage is the entry's own; the PTX is for it and all later ones.
const ARCHITECTURE: &str = "sm_80";
const LATER: [&str; 3] = ["sm_86", "sm_89", "sm_90"];
/// PTX ISA versions from the first that knows sm_80, each with a driver that it asks for.
const VERSIONS: [&str; 17] = [
    "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.7", "7.8", "8.0", "8.1", "8.2", "8.3",
    "8.4", "8.5", "8.6", "8.7",
];

/// Layouts of memory in which a source is compiled that does not compile to what lies there: NVRTC
/// orders some of its work by addresses, so that a few sources have more than one text.
const TRIES: usize = 8;

/// What all sources compile to.
pub struct Compiled {
    /// File name below the output directory, and contents.
    pub files: Vec<(String, String)>,
    /// The record.
    pub manifest: Manifest,
}

/// Compiles every `*.cu` of `kernels`, in the order of their names, each in a process of `program`.
/// Where one source gives more than one text, it is the text that lies in `compiled`, if that is
/// among them.
///
/// # Errors
/// The first failure, with the log of the tool that failed.
pub fn compile_all(
    kernels: &Path,
    toolchain: &Toolchain,
    compiled: &Path,
    program: &Path,
) -> Result<Compiled, Error> {
    let ptxas = Ptxas::new(toolchain.ptxas());
    let headers = read_headers(kernels)?;
    let mut manifest = Manifest {
        compiler: COMPILER,
        options: OPTIONS.to_vec(),
        modules: Vec::new(),
        entries: Vec::new(),
    };
    let mut files = Vec::new();
    for name in names(kernels, "cu")? {
        let module = name.trim_end_matches(".cu").to_owned();
        let path = kernels.join(&name);
        let source = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        let file = format!("{ARCHITECTURE}/{module}.ptx");
        let known = std::fs::read_to_string(compiled.join(&file)).ok();
        let mut found = Vec::new();
        // A new source has no known text, and nothing has been found yet: not alike for that.
        while found.is_empty()
            || found.len() < TRIES && found.last().map(|(_, ptx)| ptx) != known.as_ref()
        {
            let job = Source {
                kernels: kernels.to_owned(),
                name: name.clone(),
                nvrtc: toolchain.nvrtc(),
                blocks: found.len(),
            };
            let ptx = job.compile_apart(program)?;
            found.push(lowest_version(&ptxas, &module, &ptx)?);
        }
        let (version, ptx) = settle(found, known.as_deref());
        manifest.entries.extend(usage(&ptxas, &module, &ptx)?);
        let included = included(&source, &headers);
        let mut hash = Sha256::new_with_prefix(&source);
        included.iter().for_each(|h| hash.update(&h.text));
        manifest.modules.push(ModuleRecord {
            source_sha256: hex(&hash.finalize()),
            headers: included.iter().map(|h| h.name.clone()).collect(),
            ptx_sha256: hex(&Sha256::digest(&ptx)),
            ptx_version: version.into(),
            module: module.clone(),
        });
        files.push((file, ptx));
    }
    Ok(Compiled { files, manifest })
}

/// One of the texts that a source gave: the known one if it is among them, else the first of the
/// lowest version, for the sake of old drivers.
fn settle(mut found: Vec<(&'static str, String)>, known: Option<&str>) -> (&'static str, String) {
    let version = |name: &str| VERSIONS.iter().position(|v| *v == name);
    found.sort_by_key(|(name, _)| version(name));
    let at = found.iter().position(|(_, ptx)| Some(ptx.as_str()) == known).unwrap_or(0);
    found.swap_remove(at)
}

/// The files of a directory and of its folders with an extension, as paths below it, sorted.
fn names(directory: &Path, extension: &str) -> Result<Vec<String>, Error> {
    let mut names = files_below(directory)?;
    names.retain(|name| Path::new(name).extension().is_some_and(|e| e == extension));
    Ok(names)
}

/// All files below a directory, as paths relative to it with `/`, sorted.
///
/// # Errors
/// [`Error::File`] if a directory cannot be read.
pub fn files_below(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(Error::file(directory))? {
        let entry = entry.map_err(Error::file(directory))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type().map_err(Error::file(entry.path()))?.is_dir() {
            true => names.extend(files_below(&entry.path())?.iter().map(|n| format!("{name}/{n}"))),
            false => names.push(name),
        }
    }
    names.sort();
    Ok(names)
}

pub(super) fn read_headers(directory: &Path) -> Result<Vec<Header>, Error> {
    let read = |name: String| {
        let path = directory.join(&name);
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        Ok(Header { name, text })
    };
    names(directory, "cuh")?.into_iter().map(read).collect()
}

/// The headers that a source includes, directly or through others, in order of inclusion.
fn included<'a>(source: &str, headers: &'a [Header]) -> Vec<&'a Header> {
    let mut found: Vec<&Header> = Vec::new();
    let mut texts = vec![source];
    while let Some(text) = texts.pop() {
        let quoted = text.lines().filter_map(|l| l.trim().strip_prefix("#include \""));
        for name in quoted.filter_map(|rest| rest.split('"').next()) {
            let header = headers.iter().find(|h| h.name == name);
            if let Some(header) = header.filter(|h| !found.iter().any(|f| f.name == h.name)) {
                found.push(header);
                texts.push(&header.text);
            }
        }
    }
    found
}

/// PTX under the lowest `.version` that assembles, so that old drivers take it too.
fn lowest_version(ptxas: &Ptxas, module: &str, ptx: &str) -> Result<(&'static str, String), Error> {
    let mut refusal = None;
    for version in VERSIONS {
        let text = rewritten(ptx, version);
        match with_file(&text, |path| ptxas.assemble(module, path, ARCHITECTURE)) {
            Ok(_) => return Ok((version, text)),
            Err(e) => refusal = Some(e),
        }
    }
    Err(refusal.expect("the list of versions is not empty"))
}

/// The text under another version, and without the working directory that NVRTC puts before
/// the names of its sources.
fn rewritten(ptx: &str, version: &str) -> String {
    let mut text = String::with_capacity(ptx.len());
    for line in ptx.lines() {
        let source = line.trim_start().strip_prefix(".file").and_then(|_| line.split_once('"'));
        _ = match source {
            _ if line.starts_with(".version ") => writeln!(text, ".version {version}"),
            Some((number, path)) => {
                let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
                writeln!(text, "{number}\"{name}")
            }
            None => writeln!(text, "{line}"),
        };
    }
    text
}

fn usage(ptxas: &Ptxas, module: &str, ptx: &str) -> Result<Vec<EntryUsage>, Error> {
    with_file(ptx, |path| {
        let own = ptxas.assemble(module, path, ARCHITECTURE)?;
        let mut entries: Vec<EntryUsage> = own
            .into_iter()
            .map(|(entry, usage)| EntryUsage {
                entry,
                module: module.into(),
                usage,
                others: Default::default(),
            })
            .collect();
        for architecture in LATER {
            let later = ptxas.assemble(module, path, architecture)?;
            for entry in &mut entries {
                if let Some(usage) = later.get(&entry.entry) {
                    entry.others.insert(architecture.into(), usage.clone());
                }
            }
        }
        Ok(entries)
    })
}

/// Calls `f` with the path of a temporary file that holds `text`.
fn with_file<T>(text: &str, f: impl FnOnce(&Path) -> Result<T, Error>) -> Result<T, Error> {
    let failed = || Error::file(std::env::temp_dir());
    let mut file = tempfile::Builder::new().suffix(".ptx").tempfile().map_err(failed())?;
    file.write_all(text.as_bytes()).map_err(failed())?;
    f(file.path())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_source_names_are_rewritten() {
        let ptx = ".version 8.7\n.target sm_80\n\t.file\t1 \"/somewhere/else/rms_norm.cu\"\n";
        let expected = ".version 7.0\n.target sm_80\n\t.file\t1 \"rms_norm.cu\"\n";
        assert_eq!(rewritten(ptx, "7.0"), expected);
    }

    #[test]
    fn headers_of_headers_count_as_included() {
        let header = |name: &str, text: &str| Header { name: name.into(), text: text.into() };
        let headers =
            [header("a.cuh", "#include \"b.cuh\""), header("b.cuh", ""), header("c.cuh", "")];
        let names: Vec<&str> =
            included("#include \"a.cuh\"\n", &headers).iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["a.cuh", "b.cuh"]);
    }
}
