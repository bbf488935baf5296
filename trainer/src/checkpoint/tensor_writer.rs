//! Writing safetensors files tensor by tensor.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::CheckpointError;
use super::checksums::checksum;

/// Bytes of the header's length field, and the alignment of what follows the header.
const WORD: usize = 8;

// The format is little-endian and tensors are written as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"));

/// Writes `tensors` (name, shape) to `path` in their order and makes them durable; `values` is
/// asked for the elements of one tensor after another, and `note` is told the name and the checksum
/// of each. The same input gives the same bytes.
pub(super) fn write<'a>(
    path: &Path,
    tensors: &[(String, Vec<usize>)],
    mut values: impl FnMut(usize) -> Result<Cow<'a, [f32]>, CheckpointError>,
    note: &mut dyn FnMut(&str, String),
) -> Result<(), CheckpointError> {
    let mut file = File::create(path).map_err(CheckpointError::io("create", path))?;
    write_to(&mut file, path, tensors, &mut values, note)?;
    file.sync_all().map_err(CheckpointError::io("sync", path))
}

fn write_to<'a>(
    file: &mut impl Write,
    path: &Path,
    tensors: &[(String, Vec<usize>)],
    values: &mut impl FnMut(usize) -> Result<Cow<'a, [f32]>, CheckpointError>,
    note: &mut dyn FnMut(&str, String),
) -> Result<(), CheckpointError> {
    let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(CheckpointError::io("write", path));
    put(&header(path, tensors)?)?;
    for (place, (name, shape)) in tensors.iter().enumerate() {
        let values = values(place)?;
        let expected = shape.iter().product();
        if values.len() != expected {
            return Err(CheckpointError::WrongCount {
                name: name.clone(),
                expected,
                given: values.len(),
            });
        }
        // A checkpoint that could not be loaded must not push out one that can.
        check_finite(path, name, &values)?;
        put(bytemuck::cast_slice(&values))?;
        note(name, checksum(&values));
    }
    Ok(())
}

pub(super) fn check_finite(path: &Path, name: &str, values: &[f32]) -> Result<(), CheckpointError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(CheckpointError::NotFinite {
            path: path.to_owned(),
            name: name.to_owned(),
            index,
            value: values[index],
        }),
    }
}

fn header(path: &Path, tensors: &[(String, Vec<usize>)]) -> Result<Vec<u8>, CheckpointError> {
    let mut end = 0;
    let infos = tensors.iter().map(|(name, shape)| {
        let start = end;
        end += shape.iter().product::<usize>() * size_of::<f32>();
        let info =
            TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets: (start, end) };
        (name.clone(), info)
    });
    let broken = |message| CheckpointError::BrokenHeader { path: path.to_owned(), message };
    let metadata =
        Metadata::new(None, infos.collect()).map_err(|error| broken(error.to_string()))?;
    let mut json = serde_json::to_vec(&metadata).map_err(|error| broken(error.to_string()))?;
    json.resize(json.len().next_multiple_of(WORD), b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_typed_error_with_advice() {
        let path = Path::new("/dev/full");
        if !path.exists() {
            return;
        }
        let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let tensors = [("a".to_owned(), vec![2])];
        let error =
            write_to(&mut file, path, &tensors, &mut |_| Ok(vec![1.0, 2.0].into()), &mut |_, _| {});
        let error = error.unwrap_err().to_string();
        assert!(error.contains("/dev/full") && error.contains("free some space"), "{error}");
    }

    #[test]
    fn the_crate_of_the_format_reads_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let tensors = [("b".to_owned(), vec![2, 1]), ("a".to_owned(), vec![3])];
        let values = [vec![1.0, 2.0], vec![3.0, 4.0, 5.0]];
        let mut noted = Vec::new();
        let note = &mut |name: &str, checksum| noted.push((name.to_owned(), checksum));
        write(&path, &tensors, |place| Ok(Cow::Borrowed(&values[place][..])), note).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let a = read.tensor("a").unwrap();
        assert_eq!((a.shape(), a.data()), (&[3][..], bytemuck::cast_slice(&values[1])));
        assert_eq!(read.tensor("b").unwrap().shape(), [2, 1]);
        // zlib.crc32 of the same bytes.
        let expected = [("b", "2e3fa576"), ("a", "a5657320")];
        assert_eq!(noted, expected.map(|(name, crc)| (name.to_owned(), crc.to_owned())));
    }
}
