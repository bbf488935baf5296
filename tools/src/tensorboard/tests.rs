use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::record::masked_crc;
use super::{Error, EventWriter};

/// One decoded event.
#[derive(Debug, Default, PartialEq)]
struct Event {
    wall_time: f64,
    step: i64,
    file_version: Option<String>,
    session_status: Option<u64>,
    scalars: Vec<(String, f32)>,
}

/// A field of a message: its number and what it holds.
enum Field<'a> {
    Varint(u64),
    Fixed(&'a [u8]),
    Bytes(&'a [u8]),
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = bytes.split_at(count);
    *bytes = tail;
    head
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint of more than ten bytes");
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut bytes)),
            1 => Field::Fixed(take(&mut bytes, 8)),
            2 => {
                let length = varint(&mut bytes) as usize;
                Field::Bytes(take(&mut bytes, length))
            }
            5 => Field::Fixed(take(&mut bytes, 4)),
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn scalar(value: &[u8]) -> (String, f32) {
    let (mut tag, mut number) = (None, None);
    for field in fields(value) {
        match field {
            (1, Field::Bytes(bytes)) => tag = Some(text(bytes)),
            (2, Field::Fixed(bytes)) => {
                number = Some(f32::from_le_bytes(bytes.try_into().unwrap()));
            }
            (number, _) => panic!("field {number} in a summary value"),
        }
    }
    (tag.unwrap(), number.unwrap())
}

fn event(payload: &[u8]) -> Event {
    let mut event = Event::default();
    for field in fields(payload) {
        match field {
            (1, Field::Fixed(bytes)) => {
                event.wall_time = f64::from_le_bytes(bytes.try_into().unwrap());
            }
            (2, Field::Varint(step)) => event.step = step as i64,
            (3, Field::Bytes(bytes)) => event.file_version = Some(text(bytes)),
            (5, Field::Bytes(summary)) => {
                for value in fields(summary) {
                    let (1, Field::Bytes(value)) = value else {
                        panic!("field {} in a summary", value.0)
                    };
                    event.scalars.push(scalar(value));
                }
            }
            (7, Field::Bytes(log)) => match fields(log).as_slice() {
                [(1, Field::Varint(status))] => event.session_status = Some(*status),
                _ => panic!("not a session log with a status alone"),
            },
            (number, _) => panic!("field {number} in an event"),
        }
    }
    event
}

/// Every event of a file, with both checksums of each record checked.
fn read(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = take(&mut rest, 8);
        assert_eq!(take(&mut rest, 4), masked_crc(length).to_le_bytes());
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let payload = take(&mut rest, length);
        assert_eq!(take(&mut rest, 4), masked_crc(payload).to_le_bytes());
        events.push(event(payload));
    }
    events
}

#[test]
fn checksums_are_crc32c_masked_as_tensorflow_does() {
    // CRC-32C of this string is 0xe3069283 in RFC 3720; rotated by 15 and offset by hand.
    assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
}

#[test]
fn a_file_starts_as_tensorflow_s_own_do() {
    let dir = tempfile::tempdir().unwrap();
    let writer = EventWriter::create(dir.path(), None).unwrap();
    let bytes = fs::read(writer.path()).unwrap();
    // The first twelve bytes of every event file TensorFlow writes: length 24 and its checksum.
    assert_eq!(bytes[..12], [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
    assert_eq!(&bytes[21..36], b"\x1a\x0dbrain.Event:2");
}

#[test]
fn scalars_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(&dir.path().join("a/b"), None).unwrap();
    writer.scalar("train/loss", 0, 2.5, 1.0e9).unwrap();
    writer.scalar("train/loss", -1, f32::NAN, 1.5e9).unwrap();
    writer.scalars(300, &[("é", 1.0), ("", f32::INFINITY)], 2.0e9).unwrap();
    writer.flush().unwrap();
    let events = read(writer.path());
    assert_eq!(events.len(), 4);
    assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
    assert_eq!(
        (events[1].step, events[1].wall_time, &events[1].scalars),
        (0, 1.0e9, &vec![("train/loss".to_owned(), 2.5)])
    );
    assert_eq!(events[2].step, -1);
    assert!(events[2].scalars[0].1.is_nan());
    assert_eq!(events[3].scalars, [("é".to_owned(), 1.0), (String::new(), f32::INFINITY)]);
    assert!(events.iter().all(|event| event.session_status.is_none()));
}

#[test]
fn a_resumed_run_starts_a_session_at_its_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let writer = EventWriter::create(dir.path(), Some(200)).unwrap();
    let events = read(writer.path());
    assert_eq!(events.len(), 2);
    assert_eq!((events[1].step, events[1].session_status), (200, Some(1)));
}

#[test]
fn later_files_sort_after_earlier_ones() {
    let dir = tempfile::tempdir().unwrap();
    // A file from a clock that ran ahead, and things that are no event files.
    let ahead = "events.out.tfevents.4000000000.host.9.0";
    for name in [ahead, "metrics.jsonl", "events.out.tfevents.x"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let mut names = vec![ahead.to_owned()];
    for _ in 0..3 {
        let writer = EventWriter::create(dir.path(), None).unwrap();
        let name = writer.path().file_name().unwrap().to_str().unwrap();
        names.push(name.to_owned());
    }
    assert!(names.is_sorted(), "{names:?}");
    assert!(names[1].starts_with("events.out.tfevents.4000000001."));
    assert!(names[1].contains(&format!(".{}.", std::process::id())));
}

#[test]
fn a_place_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = EventWriter::create(&file, None).unwrap_err();
    assert!(matches!(&error, Error::Create { path, .. } if *path == file));
    assert!(error.to_string().contains(&file.display().to_string()));
}

proptest! {
    #[test]
    fn any_scalar_round_trips(tag in ".{0,300}", step: i64, value: f32, wall_time: f64) {
        let bytes = super::event::scalars(wall_time, step, &[(&tag, value)]);
        let event = event(&bytes);
        prop_assert_eq!(event.step, step);
        prop_assert_eq!(event.wall_time.to_bits(), wall_time.to_bits());
        prop_assert_eq!(&event.scalars[0].0, &tag);
        prop_assert_eq!(event.scalars[0].1.to_bits(), value.to_bits());
    }
}
