//! A column of strings of a parquet file, a batch of rows at a time.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::place::{Place, Position};
use super::reader::{Reader, Record, RecordKind};
use crate::Error;

/// Rows decoded at a time.
const BATCH: usize = 256;

/// Passes each row on that is not null.
pub(super) fn read(reader: &mut Reader<'_>, source: &Arc<str>, file: File) -> Result<(), Error> {
    let place = Place::new(source, Position::Whole);
    let parquet = match guarded(|| SerializedFileReader::new(file)) {
        Ok(parquet) => parquet,
        Err(reason) => return reader.sink.bad(Error::Parquet { place, reason }),
    };
    let schema = parquet.metadata().file_metadata().schema_descr();
    let column = schema.columns().iter().position(|column| {
        column.path().string() == reader.field
            && column.physical_type() == Type::BYTE_ARRAY
            && column.max_rep_level() == 0
    });
    let Some(column) = column else {
        let columns: Vec<String> = schema
            .columns()
            .iter()
            .map(|column| format!("{} ({})", column.path().string(), column.physical_type()))
            .collect();
        return Err(Error::MissingColumn {
            place,
            column: reader.field.to_owned(),
            found: columns.join(", "),
        });
    };
    let full_level = schema.column(column).max_def_level();
    let mut row = 1;
    for group in 0..parquet.num_row_groups() {
        let opened = guarded(|| parquet.get_row_group(group)?.get_column_reader(column));
        let outcome = match opened {
            Ok(ColumnReader::ByteArrayColumnReader(mut rows)) => {
                read_group(reader, source, &mut rows, full_level, &mut row)?
            }
            Ok(_) => Err("the column changes its type between row groups".to_owned()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = outcome {
            let place = Place::new(source, Position::Row(row));
            return reader.sink.bad(Error::Parquet { place, reason });
        }
        let metadata = parquet.metadata().row_group(group);
        let bytes = u64::try_from(metadata.compressed_size()).unwrap_or(0);
        reader.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }
    Ok(())
}

/// Reads one row group. The inner result is the library's, the outer the sink's.
fn read_group(
    reader: &mut Reader<'_>,
    source: &Arc<str>,
    rows: &mut ColumnReaderImpl<ByteArrayType>,
    full_level: i16,
    row: &mut u64,
) -> Result<Result<(), String>, Error> {
    let mut values: Vec<ByteArray> = Vec::new();
    let mut levels: Vec<i16> = Vec::new();
    loop {
        values.clear();
        levels.clear();
        let read = guarded(|| rows.read_records(BATCH, Some(&mut levels), None, &mut values));
        let records = match read {
            Ok((0, _, _)) => return Ok(Ok(())),
            Ok((records, _, _)) => records,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut present = values.iter();
        for index in 0..records {
            let position = Position::Row(*row);
            *row += 1;
            // A column that cannot be null has no levels.
            let null = full_level > 0 && levels.get(index) != Some(&full_level);
            let value = if null { None } else { present.next() };
            match value {
                Some(value) => emit(reader, source, position, value.data())?,
                None => reader.sink.bad(Error::NotText {
                    place: Place::new(source, position),
                    field: reader.field.to_owned(),
                    found: "null",
                })?,
            }
        }
    }
}

fn emit(
    reader: &mut Reader<'_>,
    source: &Arc<str>,
    position: Position,
    bytes: &[u8],
) -> Result<(), Error> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return reader.sink.bad(Error::InvalidUtf8 {
            place: Place::new(source, position),
            byte: error.valid_up_to(),
        });
    }
    reader.sink.record(Record {
        source,
        position,
        kind: RecordKind::Text,
        starts_document: true,
        bytes,
    })
}

/// Calls the library, whose decoders still panic on some damaged files.
fn guarded<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("its pages contradict each other".to_owned()),
    }
}
