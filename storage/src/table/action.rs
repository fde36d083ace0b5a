//! Our commits as actions of the Delta protocol.
//!
//! Deliberately decides nothing: what a commit holds is decided by its callers, time comes as a value.

use std::collections::HashMap;
use std::path::Path;

use arrow::datatypes::{DataType, Field, Schema};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake_core::kernel::transaction::CommitData;
use deltalake_core::kernel::{Action, Add, CommitInfo, Metadata, Protocol, StructType, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use serde_json::json;
use tracelake_model::{Table, UnixNano, column};

use crate::error::Error;
use crate::part::durable;
use crate::part::file::NewPart;

/// What a table promises to other writers and to clean-up.
const CONFIGURATION: &[(&str, &str)] = &[
    ("delta.logRetentionDuration", "interval 1 days"),
    ("delta.deletedFileRetentionDuration", "interval 1 hours"),
    ("delta.checkpointInterval", "100"),
];

/// A commit that appends parts: the bytes of its entry.
pub(crate) fn encode(
    table: &Path,
    mut actions: Vec<Action>,
    parts: &[NewPart],
    txns: &[(String, u64)],
    now: UnixNano,
) -> Result<bytes::Bytes, Error> {
    let millis = now.0.div_euclid(1_000_000);
    let info = CommitInfo {
        timestamp: Some(millis),
        operation: Some("WRITE".into()),
        operation_parameters: Some(HashMap::from([
            ("mode".to_owned(), json!("Append")),
            ("partitionBy".to_owned(), json!(format!("[\"{}\"]", column::DATE))),
        ])),
        is_blind_append: Some(true),
        engine_info: Some(concat!("tracelake/", env!("CARGO_PKG_VERSION")).into()),
        ..CommitInfo::default()
    };
    actions.insert(0, Action::CommitInfo(info));
    actions.extend(parts.iter().map(|part| Action::Add(add(part, millis))));
    let operation = DeltaOperation::Write {
        mode: SaveMode::Append,
        partition_by: Some(vec![column::DATE.to_owned()]),
        predicate: None,
    };
    let txns = txns.iter().map(|(id, version)| {
        let version = i64::try_from(*version).unwrap_or(i64::MAX);
        Transaction::new_with_last_update(id, version, Some(millis))
    });
    let commit = CommitData::new(actions, operation, HashMap::new(), txns.collect());
    commit.get_bytes().map_err(|fault| refused(table, &fault))
}

fn add(new: &NewPart, millis: i64) -> Add {
    let part = &new.part;
    let name = part.location.filename().unwrap_or_default();
    Add {
        path: format!("{}={}/{name}", column::DATE, part.date),
        partition_values: HashMap::from([(column::DATE.to_owned(), Some(part.date.clone()))]),
        size: i64::try_from(part.bytes).unwrap_or(i64::MAX),
        modification_time: millis,
        data_change: true,
        stats: Some(new.stats.clone()),
        ..Add::default()
    }
}

/// The actions that make a table: every Delta reader and writer takes these versions.
pub(crate) fn create(path: &Path, table: Table, now: UnixNano) -> Result<Vec<Action>, Error> {
    let id = durable::unique_name()?;
    let metadata = json!({
        "id": format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]),
        "name": table.as_str(),
        "description": null,
        "format": { "provider": "parquet", "options": {} },
        "schemaString": schema_text(path, &schema(path, table)?)?,
        "partitionColumns": [column::DATE],
        "configuration": CONFIGURATION.iter().copied().collect::<HashMap<_, _>>(),
        "createdTime": now.0.div_euclid(1_000_000),
    });
    let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
    let metadata: Metadata = serde_json::from_value(metadata).map_err(|fault| refused(path, &fault))?;
    let protocol: Protocol = serde_json::from_value(protocol).map_err(|fault| refused(path, &fault))?;
    Ok(vec![Action::Protocol(protocol), Action::Metadata(metadata)])
}

/// The metadata of a table that gained columns since it was made; `None` when it has them all. Columns that we do not
/// know stay; new ones may be null, because older files lack them.
pub(crate) fn widen(path: &Path, table: Table, metadata: &Metadata) -> Result<Option<Metadata>, Error> {
    let mut text = serde_json::to_value(metadata).map_err(|fault| refused(path, &fault))?;
    let stored = text.get("schemaString").and_then(|schema| schema.as_str()).unwrap_or_default();
    let stored: StructType = serde_json::from_str(stored).map_err(|fault| refused(path, &fault))?;
    let wanted = schema(path, table)?;
    let missing: Vec<_> = wanted.fields().filter(|field| stored.field(field.name()).is_none()).cloned().collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let missing = missing.into_iter().map(|mut field| {
        field.nullable = true;
        field
    });
    let merged = StructType::try_new(stored.fields().cloned().chain(missing)).map_err(|fault| refused(path, &fault))?;
    text["schemaString"] = schema_text(path, &merged)?.into();
    Ok(Some(serde_json::from_value(text).map_err(|fault| refused(path, &fault))?))
}

fn schema(path: &Path, table: Table) -> Result<StructType, Error> {
    let mut fields: Vec<_> = table.file_schema().fields().iter().cloned().collect();
    fields.push(Field::new(column::DATE, DataType::Utf8, true).into());
    (&Schema::new(fields)).try_into_kernel().map_err(|fault| refused(path, &fault))
}

fn schema_text(path: &Path, schema: &StructType) -> Result<String, Error> {
    serde_json::to_string(schema).map_err(|fault| refused(path, &fault))
}

fn refused(path: &Path, fault: &dyn std::fmt::Display) -> Error {
    Error::Flush(format!("cannot write a commit of {}: {fault}", path.display()))
}
