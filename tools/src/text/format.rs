//! What a file holds, told from its name.

use std::io::{self, BufReader, Read};

/// A compression that a name ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Xz,
}

/// What is inside, once decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text,
    JsonLines,
    Parquet,
    Tar,
    /// The name does not say. Compressed, it may still turn out to be a tar.
    Unknown,
}

/// Compression and content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) compression: Option<Compression>,
    pub(super) content: Content,
}

impl Format {
    /// Reads the format off a file name (case does not matter).
    pub(super) fn of_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let (stem, extension) = split_extension(&name);
        let (compression, content_extension) = match extension {
            "gz" => (Some(Compression::Gzip), split_extension(stem).1),
            "zst" => (Some(Compression::Zstd), split_extension(stem).1),
            "xz" => (Some(Compression::Xz), split_extension(stem).1),
            "tgz" => (Some(Compression::Gzip), "tar"),
            "tzst" => (Some(Compression::Zstd), "tar"),
            "txz" => (Some(Compression::Xz), "tar"),
            other => (None, other),
        };
        let content = match content_extension {
            "txt" => Content::Text,
            "jsonl" | "json" => Content::JsonLines,
            "parquet" => Content::Parquet,
            "tar" => Content::Tar,
            _ => Content::Unknown,
        };
        Self { compression, content }
    }

    /// Whether a file of this name is worth opening.
    pub(super) fn is_known(self) -> bool {
        self.content != Content::Unknown || self.compression.is_some()
    }
}

fn split_extension(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or((name, ""))
}

/// Puts the decompressor in front of a stream. Streams of several frames or
/// members, as parallel compressors make, are read to their end.
pub(super) fn decompress<'a>(
    compression: Option<Compression>,
    input: Box<dyn Read + 'a>,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        None => input,
        Some(Compression::Gzip) => {
            let buffered = BufReader::with_capacity(1 << 16, input);
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
        }
        Some(Compression::Zstd) => {
            let mut decoder = zstd::Decoder::new(input)?;
            // Files made with --long need a window of up to 2 GiB.
            decoder.window_log_max(31)?;
            Box::new(decoder)
        }
        Some(Compression::Xz) => Box::new(liblzma::read::XzDecoder::new_multi_decoder(input)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let format = |name| {
            let format = Format::of_name(name);
            (format.compression, format.content)
        };
        assert_eq!(format("a.txt"), (None, Content::Text));
        assert_eq!(format("A.JSONL.ZST"), (Some(Compression::Zstd), Content::JsonLines));
        assert_eq!(format("openwebtext.tar.xz"), (Some(Compression::Xz), Content::Tar));
        assert_eq!(format("x.tgz"), (Some(Compression::Gzip), Content::Tar));
        assert_eq!(format("urlsf_subset00-1_data.xz"), (Some(Compression::Xz), Content::Unknown));
        assert_eq!(format("README"), (None, Content::Unknown));
        assert_eq!(format(".txt"), (None, Content::Text));
        assert!(!Format::of_name("x.csv").is_known());
    }
}
