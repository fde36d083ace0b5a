//! Derived rows as a frame's payload, and back: Arrow IPC streams, one per batch.

use std::io::Cursor;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use tracelake_model::{Batch, Table};

use crate::error::Error;

/// Each batch as its stream's length (8 bytes, little-endian) and an Arrow IPC stream.
pub(crate) fn encode(batches: &[Batch]) -> Result<Bytes, Error> {
    let mut out = Vec::new();
    for batch in batches {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.rows().schema())?;
        writer.write(batch.rows())?;
        let stream = writer.into_inner()?;
        out.extend((stream.len() as u64).to_le_bytes());
        out.extend(stream);
    }
    Ok(Bytes::from(out))
}

/// The batches of a payload; `tables` names them in order.
pub(crate) fn decode(tables: &[(Table, u32)], mut payload: &[u8]) -> Result<Vec<Batch>, String> {
    let mut batches = Vec::new();
    for (table, _) in tables {
        let (length, rest) = payload.split_first_chunk::<8>().ok_or("the payload ends early")?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|error| error.to_string())?;
        let (stream, rest) = rest.split_at_checked(length).ok_or("the payload ends early")?;
        for rows in StreamReader::try_new(Cursor::new(stream), None).map_err(|error| error.to_string())? {
            let rows = rows.map_err(|error| error.to_string())?;
            batches.push(Batch::new(*table, rows).map_err(|error| error.to_string())?);
        }
        payload = rest;
    }
    Ok(batches)
}
