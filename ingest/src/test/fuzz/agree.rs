//! One request decoded by the product and by the reference, compared cell by cell.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::{DecodeError, Message};
use tracelake_model::{Batch, ContentType, DecodeLimits, Fault, Signal, Table};

use crate::decode::Decoded;
use crate::error::Error;
use crate::otlp::partial::{Reason, Refused};
use crate::test::bench::{batch_of, cell, decoded_within};
use crate::test::reference::{Expected, Row, expected};

/// How a request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Whole,
    InPart,
    Refused,
}

/// Both decoders agree about a request; panics where they do not.
pub(crate) fn check(signal: Signal, limits: DecodeLimits, plain: &[u8]) -> Taken {
    let found = decoded_within(limits, signal, ContentType::Protobuf, plain);
    let taken = compare(expected(signal, limits, plain), &found, limits);
    // Who follows the definitions to the letter refuses a whole request where we refuse records, never the other way.
    if generated(signal, plain).is_ok() {
        if let Ok(found) = &found {
            let message = found.refused.message(signal);
            let nested = message.contains("nested") && limits.nesting >= DecodeLimits::default().nesting;
            assert!(!message.contains("UTF-8") && !nested, "{message}");
        } else {
            assert!(matches!(found, Err(Error::TooLarge { .. })), "prost takes it, we do not: {found:?}");
        }
    }
    let again = decoded_within(limits, signal, ContentType::Protobuf, plain);
    assert_eq!(found.map(|found| found.batches).ok(), again.map(|found| found.batches).ok(), "decoding is pure");
    taken
}

/// A decoded request is what the reference says.
pub(crate) fn compare(
    reference: Result<Expected, DecodeError>,
    found: &Result<Decoded, Error>,
    limits: DecodeLimits,
) -> Taken {
    let reference = match (reference, found) {
        (Err(error), Ok(_)) => panic!("not protobuf ({error}), yet it was taken"),
        (Err(_), Err(error)) => {
            assert!(matches!(error.kind(), Fault::Invalid | Fault::TooLarge), "{error}");
            return Taken::Refused;
        }
        (Ok(reference), _) if reference.records > limits.records => {
            assert!(matches!(found, Err(Error::TooLarge { .. })), "too many records: {found:?}");
            return Taken::Refused;
        }
        (Ok(reference), _) => reference,
    };
    let found = found.as_ref().unwrap_or_else(|error| panic!("the reference takes it, we do not: {error}"));
    compare_rows(&reference, &found.batches);
    compare_refused(&reference, &found.refused);
    assert_eq!(found.timed, reference.timed, "whether any record has a time");
    if reference.refused.is_empty() { Taken::Whole } else { Taken::InPart }
}

fn compare_rows(reference: &Expected, batches: &[Batch]) {
    let mut tables: BTreeMap<&str, (Table, Vec<&Row>)> = BTreeMap::new();
    for (table, row) in &reference.rows {
        tables.entry(table.as_str()).or_insert((*table, Vec::new())).1.push(row);
    }
    assert_eq!(batches.len(), tables.len(), "one batch for each table that has rows");
    for (table, rows) in tables.into_values() {
        let batch = batch_of(batches, table);
        assert_eq!(batch.row_count(), rows.len(), "rows of {table}");
        let schema = table.schema();
        for (at, row) in rows.into_iter().enumerate() {
            let known: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert!(row.cells.keys().all(|column| known.contains(column)), "{:?}", row.cells.keys());
            for column in known {
                match row.cells.get(column) {
                    Some(text) => assert_eq!(&cell(batch, column, at), text, "{table} row {at} column {column}"),
                    None if row.complete => {
                        assert_eq!(cell(batch, column, at), "NULL", "{table} row {at} column {column}");
                    }
                    None => {}
                }
            }
        }
    }
}

/// Of several reasons that a record has, the product tells the one it met first.
fn compare_refused(reference: &Expected, found: &Refused) {
    assert_eq!(found.total() as usize, reference.refused.len(), "{found:?} {:?}", reference.refused);
    if reference.refused.iter().all(|reasons| reasons.len() == 1) {
        let mut refused = Refused::default();
        for reason in reference.refused.iter().flatten() {
            refused.add(*reason, 1);
        }
        assert_eq!(*found, refused);
    }
    for reason in Reason::ALL {
        let possible = reference.refused.iter().filter(|reasons| reasons.contains(&reason)).count();
        assert!(found.of(reason) as usize <= possible, "{reason:?}: {found:?} {:?}", reference.refused);
    }
}

/// The types that SDKs are generated from.
fn generated(signal: Signal, plain: &[u8]) -> Result<(), DecodeError> {
    match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(plain).map(drop),
        Signal::Logs | Signal::Audit => ExportLogsServiceRequest::decode(plain).map(drop),
        Signal::Metrics => ExportMetricsServiceRequest::decode(plain).map(drop),
    }
}
