//! English to learn from where no data is at hand: what the quickstart trains on, and the tests of
//! whole models.

/// In the public domain, packed by the build script.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/quickstart.txt.zst"));

/// About 3 MB of text; lines end in a line feed, paragraphs in two.
///
/// # Errors
/// If the program is damaged.
pub fn text() -> std::io::Result<String> {
    let text = String::from_utf8(zstd::decode_all(PACKED)?).map_err(std::io::Error::other)?;
    Ok(text.replace("\r\n", "\n"))
}
