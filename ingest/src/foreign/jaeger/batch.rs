//! A Thrift `Batch`: a process and its spans (jaegertracing/jaeger-idl `jaeger.thrift`).
//!
//! Bytes that are no Thrift, and a batch without process or spans, are refused whole; a span with text that is not
//! UTF-8 is refused alone. A field of another type than its definition counts as absent, as Thrift's readers have it.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use tracelake_model::DecodeLimits;

use crate::error::Error;
use crate::foreign::draft::{Draft, Parts, Room, Texts, Translated};
use crate::foreign::jaeger::event::event;
use crate::foreign::jaeger::span::{Process, Reference, Span, unix_nano};
use crate::foreign::jaeger::thrift::{Broken, Kind, Reader};
use crate::foreign::tag::any;
use crate::otlp::partial::Reason;

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        Self::Malformed { format: "Jaeger Thrift", detail: broken.to_string() }
    }
}

/// A batch as OTLP.
pub(crate) fn translate(limits: &DecodeLimits, message: &[u8]) -> Result<Translated, Error> {
    let mut draft = Draft::new(limits);
    let mut reader = Reader::new(message);
    let mut texts = Texts::default();
    let (mut process, mut spans) = (None, None);
    while let Some((number, kind)) = reader.field()? {
        match (number, kind) {
            (1, Kind::Struct) => process = Some(read_process(&mut reader, &mut texts)?),
            (2, Kind::List) => {
                // The process may stand behind its spans.
                spans = Some(reader.clone());
                reader.skip(kind)?;
            }
            _ => reader.skip(kind)?,
        }
    }
    let (Some(process), Some(mut reader)) = (process, spans) else {
        let detail = "a Batch has a process (field 1) and a list of spans (field 2)".to_owned();
        return Err(Error::Malformed { format: "Jaeger Thrift", detail });
    };
    let fault_of_process = texts.fault;
    let place = draft.resource(&process.resource())?;
    let (kind, count) = reader.list()?;
    for _ in 0..count {
        draft.count()?;
        texts.fault = fault_of_process;
        if kind != Kind::Struct {
            reader.skip(kind)?;
            draft.refuse(Reason::Form);
            continue;
        }
        let span = read_span(&mut reader, &mut texts)?;
        match texts.fault {
            Some(reason) => draft.refuse(reason),
            None => span.put(place, &mut draft)?,
        }
    }
    draft.finish()
}

fn read_process(reader: &mut Reader<'_>, texts: &mut Texts) -> Result<Process, Broken> {
    let mut process = Process::default();
    let mut room = Room::new();
    while let Some((number, kind)) = reader.field()? {
        match (number, kind) {
            (1, Kind::Binary) => process.service = texts.read(reader.binary()?),
            (2, Kind::List) => read_tags(reader, texts, &mut room, &mut process.tags)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(process)
}

fn read_span(reader: &mut Reader<'_>, texts: &mut Texts) -> Result<Span, Broken> {
    let mut span = Span { start: Some(0), duration: Some(0), ..Span::default() };
    let (mut low, mut high) = (0, 0);
    let mut room = Room::new();
    while let Some((number, kind)) = reader.field()? {
        match (number, kind) {
            (1, Kind::I64) => low = reader.i64()?,
            (2, Kind::I64) => high = reader.i64()?,
            (3, Kind::I64) => span.span_id = reader.i64()?.to_be_bytes().to_vec(),
            (4, Kind::I64) => span.parent_span_id = reader.i64()?.to_be_bytes().to_vec(),
            (5, Kind::Binary) => span.name = texts.read(reader.binary()?),
            (6, Kind::List) => read_each(reader, |reader| {
                let reference = read_reference(reader)?;
                span.references.push(&mut room, reference);
                Ok(())
            })?,
            (7, Kind::I32) => span.flags = reader.i32()?.cast_unsigned(),
            (8, Kind::I64) => span.start = nanos(reader.i64()?),
            (9, Kind::I64) => span.duration = nanos(reader.i64()?),
            (10, Kind::List) => read_tags(reader, texts, &mut room, &mut span.tags)?,
            (11, Kind::List) => {
                read_each(reader, |reader| read_log(reader, texts, &mut room, &mut span.logs))?;
            }
            (12, Kind::Bool) => span.incomplete = reader.bool()?,
            _ => reader.skip(kind)?,
        }
    }
    span.trace_id = trace_id(high, low);
    Ok(span)
}

/// Microseconds as nanoseconds, where they fit.
fn nanos(micros: i64) -> Option<i64> {
    micros.checked_mul(1000)
}

fn trace_id(high: i64, low: i64) -> Vec<u8> {
    [high.to_be_bytes(), low.to_be_bytes()].concat()
}

/// Each struct of a list; other elements are passed over.
fn read_each<'a>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let (kind, count) = reader.list()?;
    for _ in 0..count {
        if kind == Kind::Struct {
            read(reader)?;
        } else {
            reader.skip(kind)?;
        }
    }
    Ok(())
}

fn read_reference(reader: &mut Reader<'_>) -> Result<Reference, Broken> {
    let mut reference = Reference::default();
    let (mut low, mut high) = (0, 0);
    while let Some((number, kind)) = reader.field()? {
        match (number, kind) {
            (1, Kind::I32) => reference.follows = reader.i32()? == 1,
            (2, Kind::I64) => low = reader.i64()?,
            (3, Kind::I64) => high = reader.i64()?,
            (4, Kind::I64) => reference.span_id = reader.i64()?.to_be_bytes().to_vec(),
            _ => reader.skip(kind)?,
        }
    }
    reference.trace_id = trace_id(high, low);
    Ok(reference)
}

fn read_log(
    reader: &mut Reader<'_>,
    texts: &mut Texts,
    room: &mut Room,
    logs: &mut Parts<Event>,
) -> Result<(), Broken> {
    let (mut time, mut fields) = (Some(0), Parts::default());
    while let Some((number, kind)) = reader.field()? {
        match (number, kind) {
            (1, Kind::I64) => time = nanos(reader.i64()?),
            (2, Kind::List) => read_tags(reader, texts, room, &mut fields)?,
            _ => reader.skip(kind)?,
        }
    }
    logs.push(room, event(unix_nano(time), fields));
    Ok(())
}

fn read_tags(
    reader: &mut Reader<'_>,
    texts: &mut Texts,
    room: &mut Room,
    tags: &mut Parts<KeyValue>,
) -> Result<(), Broken> {
    read_each(reader, |reader| {
        let tag = read_tag(reader, texts)?;
        tags.push(room, tag);
        Ok(())
    })
}

/// A tag's value is the one that its type names; without it, that type's zero.
fn read_tag(reader: &mut Reader<'_>, texts: &mut Texts) -> Result<KeyValue, Broken> {
    let (mut key, mut named) = (String::new(), 0);
    let (mut text, mut double, mut flag, mut long, mut bytes) = (String::new(), 0.0, false, 0, Vec::new());
    while let Some((number, kind)) = reader.field()? {
        match (number, kind) {
            (1, Kind::Binary) => key = texts.read(reader.binary()?),
            (2, Kind::I32) => named = reader.i32()?,
            (3, Kind::Binary) => text = texts.read(reader.binary()?),
            (4, Kind::Double) => double = reader.double()?,
            (5, Kind::Bool) => flag = reader.bool()?,
            (6, Kind::I64) => long = reader.i64()?,
            (7, Kind::Binary) => bytes = reader.binary()?.to_vec(),
            _ => reader.skip(kind)?,
        }
    }
    let value = match named {
        1 => Value::DoubleValue(double),
        2 => Value::BoolValue(flag),
        3 => Value::IntValue(long),
        4 => Value::BytesValue(bytes),
        _ => Value::StringValue(text),
    };
    Ok(any(&key, value))
}
