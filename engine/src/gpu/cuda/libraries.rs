//! Which of NVIDIA's libraries this machine has, and where.

use std::path::{Path, PathBuf};

/// Where a library was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLibrary {
    /// Its name without version.
    pub name: &'static str,
    /// Names that were tried, in order.
    pub looked_for: &'static [&'static str],
    /// The name that could be loaded, and its file where the system tells it.
    pub found: Option<(&'static str, Option<PathBuf>)>,
}

/// File names of the library of profiler ranges.
pub const NVTX: &[&str] = if cfg!(windows) {
    &["nvToolsExt64_1.dll"]
} else {
    &["libnvtx3interop.so.1", "libnvtx3interop.so", "libnvToolsExt.so.1", "libnvToolsExt.so"]
};

/// File names of cuBLASLt.
pub const CUBLAS_LT: &[&str] = if cfg!(windows) {
    &["cublasLt64_13.dll", "cublasLt64_12.dll", "cublasLt64_11.dll"]
} else {
    &["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11", "libcublasLt.so"]
};

/// Looks for the driver's library, for cuBLASLt and for the ranges of profilers as the system's loader does. What is found
/// stays loaded, as unloading is not what these libraries are made for.
pub fn libraries() -> [FoundLibrary; 3] {
    const CUDA: &[&str] =
        if cfg!(windows) { &["nvcuda.dll"] } else { &["libcuda.so", "libcuda.so.1"] };
    [look("libcuda", CUDA), look("libcublasLt", CUBLAS_LT), look("libnvToolsExt", NVTX)]
}

fn look(name: &'static str, looked_for: &'static [&'static str]) -> FoundLibrary {
    let loads = |file: &&&str| {
        // SAFETY: runs the initialisers of one of NVIDIA's libraries, which have no
        // preconditions.
        let library = unsafe { libloading::Library::new(**file) };
        library.map(std::mem::forget).is_ok()
    };
    let found = looked_for.iter().find(loads).map(|file| (*file, mapped(name)));
    FoundLibrary { name, looked_for, found }
}

/// The file of a library that is loaded, as Linux tells it.
fn mapped(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let of = |path: &&str| {
        let file = Path::new(path).file_name().and_then(|file| file.to_str());
        file.and_then(|file| file.strip_prefix(name)).is_some_and(|rest| rest.starts_with(".so"))
    };
    // Five columns, then the path, which may hold blanks.
    let paths = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    paths.into_iter().find(of).map(PathBuf::from)
}
