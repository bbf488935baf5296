//! The few messages of TensorFlow's `event.proto` and `summary.proto` that scalars need.
//!
//! ```proto
//! message Event      { double wall_time = 1; int64 step = 2;
//!                      oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; } }
//! message Summary    { repeated Value value = 1; }
//! message Value      { string tag = 1; float simple_value = 2; }
//! message SessionLog { SessionStatus status = 1; }      // START = 1
//! ```

/// The version that makes readers honour session logs.
const FILE_VERSION: &str = "brain.Event:2";
const SESSION_START: u64 = 1;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// The event every file starts with.
pub(super) fn file_version(wall_time: f64) -> Vec<u8> {
    let mut event = head(wall_time, 0);
    put_bytes(&mut event, 3, FILE_VERSION.as_bytes());
    event
}

/// The start of a session at `step`: readers drop what older files say of this step and later ones.
pub(super) fn session_start(wall_time: f64, step: i64) -> Vec<u8> {
    let mut log = Vec::new();
    put_key(&mut log, 1, VARINT);
    put_varint(&mut log, SESSION_START);
    let mut event = head(wall_time, step);
    put_bytes(&mut event, 7, &log);
    event
}

/// Scalars of one step.
pub(super) fn scalars(wall_time: f64, step: i64, values: &[(&str, f32)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for &(tag, number) in values {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tag.as_bytes());
        put_key(&mut value, 2, FIXED32);
        value.extend_from_slice(&number.to_le_bytes());
        put_bytes(&mut summary, 1, &value);
    }
    let mut event = head(wall_time, step);
    put_bytes(&mut event, 5, &summary);
    event
}

fn head(wall_time: f64, step: i64) -> Vec<u8> {
    let mut event = Vec::new();
    put_key(&mut event, 1, FIXED64);
    event.extend_from_slice(&wall_time.to_le_bytes());
    // Zero is the default of the field and, as every protobuf writer does, left out.
    if step != 0 {
        put_key(&mut event, 2, VARINT);
        // An int64 is the varint of its two's complement, ten bytes for a negative one.
        put_varint(&mut event, step as u64);
    }
    event
}

fn put_key(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_varint(out, u64::from(field << 3 | wire_type));
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_key(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
