//! The compiled kernels of this crate.

use super::device;

#[test]
fn every_compiled_kernel_decodes() {
    let gpu = device();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/compiled/sm_80");
    let mut seen = 0;
    let mut folders = vec![std::path::PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = file.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "ptx") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                if let Err(error) = gpu.load(&text) {
                    panic!("{}: {error}", path.display());
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no compiled kernels found");
}
