//! Our commits as actions of the Delta protocol.
//!
//! Deliberately decides nothing: what a commit holds is decided by its callers, time comes as a value.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake_core::kernel::transaction::CommitData;
use deltalake_core::kernel::{Action, Add, CommitInfo, Metadata, Protocol, Remove, StructType, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use object_store::path::Path as Location;
use serde_json::json;
use tracelake_model::{Table, UnixNano, column};

use crate::checksum;
use crate::error::Error;
use crate::name::unique;
use crate::part::file::{Commits, NewPart, Part};
use crate::table::entry;
use crate::table::live::{CHECKSUM_TAG, COMMITS_TAG};

/// How a table keeps what is past, as it promises to other writers too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Entries of the log that a checkpoint covers.
    pub(crate) log: Duration,
    /// Files that were removed.
    pub(crate) removed: Duration,
    /// Commits from one checkpoint to the next.
    pub(crate) checkpoint_every: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { log: Duration::from_secs(86_400), removed: Duration::from_secs(3600), checkpoint_every: 100 }
    }
}

/// Why a commit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose<'a> {
    /// New rows.
    Append,
    /// The same rows in other parts.
    Compact,
    /// Rows go for good with their parts.
    Drop,
    /// Rows go because their file is damaged, and how.
    Quarantine(&'a str),
    /// Some rows of a part go for good.
    Erase,
}

/// In the commit that takes a damaged part out of service: what is wrong with it.
const REASON: &str = "tracelake.damage";

/// What a commit changes.
pub(crate) struct Commit<'a> {
    pub(crate) purpose: Purpose<'a>,
    pub(crate) removed: &'a [Arc<Part>],
    pub(crate) added: &'a [NewPart],
    pub(crate) txns: &'a [(String, u64)],
}

/// A commit as the bytes of the entry of a version; `actions` come first.
pub(crate) fn encode(
    table: &Location,
    mut actions: Vec<Action>,
    commit: &Commit<'_>,
    version: u64,
    now: UnixNano,
) -> Result<bytes::Bytes, Error> {
    let millis = now.0.div_euclid(1_000_000);
    let partition_by = Some(vec![column::DATE.to_owned()]);
    let append = || DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
    let (operation, name, parameters) = match commit.purpose {
        Purpose::Append => {
            let by = json!(format!("[\"{}\"]", column::DATE));
            (append(), "WRITE", vec![("mode", json!("Append")), ("partitionBy", by)])
        }
        Purpose::Compact => {
            let operation = DeltaOperation::Optimize { predicate: None, target_size: 0 };
            (operation, "OPTIMIZE", vec![("predicate", json!("[]"))])
        }
        Purpose::Drop | Purpose::Quarantine(_) | Purpose::Erase => {
            (DeltaOperation::Delete { predicate: None }, "DELETE", vec![("predicate", json!("[]"))])
        }
    };
    let mut about = HashMap::from([(entry::SEAL.to_owned(), json!(checksum::UNSEALED))]);
    if let Purpose::Quarantine(reason) = commit.purpose {
        about.insert(REASON.to_owned(), json!(reason));
    }
    let info = CommitInfo {
        timestamp: Some(millis),
        operation: Some(name.into()),
        operation_parameters: Some(parameters.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        is_blind_append: Some(commit.purpose == Purpose::Append),
        engine_info: Some(concat!("tracelake/", env!("CARGO_PKG_VERSION"), " (sealed)").into()),
        info: about,
        ..CommitInfo::default()
    };
    actions.insert(0, Action::CommitInfo(info));
    let data_change = commit.purpose != Purpose::Compact;
    actions.extend(commit.removed.iter().map(|part| Action::Remove(remove(part, data_change, millis))));
    let stored = |part: &NewPart| match commit.purpose {
        Purpose::Append => millis,
        Purpose::Compact | Purpose::Drop | Purpose::Quarantine(_) | Purpose::Erase => {
            part.part.stored.0.div_euclid(1_000_000)
        }
    };
    let commits = |part: &NewPart| match commit.purpose {
        Purpose::Append => Commits::of_version(version),
        _ => part.part.commits,
    };
    actions.extend(commit.added.iter().map(|part| Action::Add(add(part, data_change, stored(part), commits(part)))));
    let txns = commit.txns.iter().map(|(id, version)| {
        let version = i64::try_from(*version).unwrap_or(i64::MAX);
        Transaction::new_with_last_update(id, version, Some(millis))
    });
    let commit = CommitData::new(actions, operation, HashMap::new(), txns.collect());
    let mut text = commit.get_bytes().map_err(|fault| refused(table, &fault))?.to_vec();
    checksum::seal(entry::SEAL, &mut text);
    Ok(text.into())
}

/// The path of a part relative to its table.
pub(crate) fn relative(part: &Part) -> String {
    format!("{}={}/{}", column::DATE, part.date, part.location.filename().unwrap_or_default())
}

fn partition(part: &Part) -> HashMap<String, Option<String>> {
    HashMap::from([(column::DATE.to_owned(), Some(part.date.clone()))])
}

fn remove(part: &Part, data_change: bool, millis: i64) -> Remove {
    Remove {
        path: relative(part),
        data_change,
        deletion_timestamp: Some(millis),
        extended_file_metadata: Some(true),
        partition_values: Some(partition(part)),
        size: i64::try_from(part.bytes).ok(),
        ..Remove::default()
    }
}

fn add(new: &NewPart, data_change: bool, stored_millis: i64, commits: Commits) -> Add {
    let mut tags = HashMap::from([(COMMITS_TAG.to_owned(), Some(commits.to_text()))]);
    tags.extend(new.part.checksum.map(|sum| (CHECKSUM_TAG.to_owned(), Some(checksum::to_text(sum)))));
    Add {
        path: relative(&new.part),
        partition_values: partition(&new.part),
        size: i64::try_from(new.part.bytes).unwrap_or(i64::MAX),
        modification_time: stored_millis,
        data_change,
        stats: Some(new.stats.clone()),
        tags: Some(tags),
        ..Add::default()
    }
}

/// The actions that make a table: every Delta reader and writer takes these versions.
pub(crate) fn create(path: &Location, table: Table, keep: Keep, now: UnixNano) -> Result<Vec<Action>, Error> {
    let id = unique().map_err(|fault| refused(path, &fault))?;
    let metadata = json!({
        "id": format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]),
        "name": table.as_str(),
        "description": null,
        "format": { "provider": "parquet", "options": {} },
        "schemaString": schema_text(path, &schema(path, table)?)?,
        "partitionColumns": [column::DATE],
        "configuration": configuration(keep).into_iter().collect::<HashMap<_, _>>(),
        "createdTime": now.0.div_euclid(1_000_000),
    });
    let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
    let metadata: Metadata = serde_json::from_value(metadata).map_err(|fault| refused(path, &fault))?;
    let protocol: Protocol = serde_json::from_value(protocol).map_err(|fault| refused(path, &fault))?;
    Ok(vec![Action::Protocol(protocol), Action::Metadata(metadata)])
}

/// What a table promises to other writers and to clean-up.
fn configuration(keep: Keep) -> [(&'static str, String); 3] {
    [
        ("delta.logRetentionDuration", interval(keep.log)),
        ("delta.deletedFileRetentionDuration", interval(keep.removed)),
        ("delta.checkpointInterval", keep.checkpoint_every.to_string()),
    ]
}

fn interval(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "days"), (3600, "hours"), (1, "seconds")];
    let fits = units.into_iter().find(|(factor, _)| seconds != 0 && seconds.is_multiple_of(*factor));
    fits.map_or_else(
        || "interval 0 seconds".to_owned(),
        |(factor, unit)| format!("interval {} {unit}", seconds / factor),
    )
}

/// The metadata of a table that gained columns since it was made, or is kept otherwise; `None` when nothing changed.
/// Columns and settings that we do not know stay; new columns may be null, because older files lack them.
pub(crate) fn renew(path: &Location, table: Table, keep: Keep, metadata: &Metadata) -> Result<Option<Metadata>, Error> {
    let mut text = serde_json::to_value(metadata).map_err(|fault| refused(path, &fault))?;
    let stored = text.get("schemaString").and_then(|schema| schema.as_str()).unwrap_or_default();
    let stored: StructType = serde_json::from_str(stored).map_err(|fault| refused(path, &fault))?;
    let wanted = schema(path, table)?;
    let missing: Vec<_> = wanted.fields().filter(|field| stored.field(field.name()).is_none()).cloned().collect();
    let mut settled = true;
    for (key, value) in configuration(keep) {
        settled &= text["configuration"][key] == value.as_str();
        text["configuration"][key] = value.into();
    }
    if missing.is_empty() && settled {
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

fn schema(path: &Location, table: Table) -> Result<StructType, Error> {
    let mut fields: Vec<_> = table.file_schema().fields().iter().cloned().collect();
    fields.push(Field::new(column::DATE, DataType::Utf8, true).into());
    (&Schema::new(fields)).try_into_kernel().map_err(|fault| refused(path, &fault))
}

fn schema_text(path: &Location, schema: &StructType) -> Result<String, Error> {
    serde_json::to_string(schema).map_err(|fault| refused(path, &fault))
}

fn refused(path: &Location, fault: &dyn std::fmt::Display) -> Error {
    Error::Flush(format!("cannot write a commit of {path}: {fault}"))
}
