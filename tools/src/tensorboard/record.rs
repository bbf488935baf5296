//! TFRecord framing: length, checksum of the length, payload, checksum of the payload.

/// Added to a rotated checksum, so that a record holding records does not carry its own checksum.
const MASK_DELTA: u32 = 0xa282_ead8;

/// CRC-32C as TFRecord stores it.
pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK_DELTA)
}

/// `payload` as one TFRecord.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(payload.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(payload);
    record.extend_from_slice(&masked_crc(payload).to_le_bytes());
    record
}
