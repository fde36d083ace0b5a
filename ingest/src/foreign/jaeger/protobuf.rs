//! A `PostSpansRequest` in protobuf (jaegertracing/jaeger-idl `collector.proto`, `model.proto`): one batch, whose spans
//! may each name a process of their own.
//!
//! Bytes that are no protobuf refuse the request; text that is not UTF-8 refuses its span alone.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::Event;
use tracelake_model::DecodeLimits;

use crate::error::Error;
use crate::foreign::draft::{Draft, Parts, Room, Texts, Translated};
use crate::foreign::jaeger::event::event;
use crate::foreign::jaeger::span::{Process, Reference, Span, unix_nano};
use crate::foreign::tag::any;
use crate::wire::field::{Fields, Malformed, Wire};

const NANOS: i64 = 1_000_000_000;

/// A batch as OTLP.
pub(crate) fn translate(limits: &DecodeLimits, request: &[u8]) -> Result<Translated, Error> {
    let mut draft = Draft::new(limits);
    let mut texts = Texts::default();
    let mut fields = Fields::new(request);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            put_batch(&mut texts, wire.bytes()?, &mut draft)?;
        }
    }
    draft.finish()
}

/// Two passes, because the process stands behind the spans.
fn put_batch(texts: &mut Texts, batch: &[u8], draft: &mut Draft) -> Result<(), Error> {
    let mut process = Process::default();
    texts.fault = None;
    let mut fields = Fields::new(batch);
    while let Some((number, wire)) = fields.next()? {
        if number == 2 {
            read_process(texts, wire.bytes()?, &mut process)?;
        }
    }
    let fault = texts.fault;
    let place = draft.resource(&process.resource())?;
    let mut fields = Fields::new(batch);
    while let Some((number, wire)) = fields.next()? {
        if number != 1 {
            continue;
        }
        draft.count()?;
        texts.fault = None;
        let (span, own) = read_span(texts, wire.bytes()?)?;
        // The fault of the batch's process is no matter to a span that has its own.
        let reason = texts.fault.or(if own.is_some() { None } else { fault });
        match reason {
            Some(reason) => draft.refuse(reason),
            None => {
                let place = own.map_or(Ok(place), |own| draft.resource(&own.resource()))?;
                span.put(place, draft)?;
            }
        }
    }
    Ok(())
}

fn read_process(texts: &mut Texts, message: &[u8], into: &mut Process) -> Result<(), Malformed> {
    let mut room = Room::new();
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => into.service = texts.read(wire.bytes()?),
            2 => into.tags.push(&mut room, read_tag(texts, wire)?),
            _ => {}
        }
    }
    Ok(())
}

fn read_span(texts: &mut Texts, message: &[u8]) -> Result<(Span, Option<Process>), Malformed> {
    let mut span = Span { start: Some(0), duration: Some(0), ..Span::default() };
    let mut own = None;
    let mut warnings = Vec::new();
    let mut room = Room::new();
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => span.trace_id = wire.bytes()?.to_vec(),
            2 => span.span_id = wire.bytes()?.to_vec(),
            3 => span.name = texts.read(wire.bytes()?),
            4 => span.references.push(&mut room, read_reference(wire)?),
            5 => span.flags = wire.uint32()?,
            6 => span.start = read_time(wire)?,
            7 => span.duration = read_time(wire)?,
            8 => span.tags.push(&mut room, read_tag(texts, wire)?),
            9 => read_log(texts, wire, &mut room, &mut span.logs)?,
            10 => read_process(texts, wire.bytes()?, own.get_or_insert_default())?,
            12 if room.take() => warnings.push(texts.read(wire.bytes()?)),
            _ => {}
        }
    }
    if !warnings.is_empty() {
        let values = warnings.into_iter().map(|text| AnyValue { value: Some(Value::StringValue(text)) }).collect();
        span.tags.push(&mut room, any("jaeger.warnings", Value::ArrayValue(ArrayValue { values })));
    }
    Ok((span, own))
}

/// A `google.protobuf.Timestamp` or `Duration` in nanoseconds, where it fits.
fn read_time(wire: Wire<'_>) -> Result<Option<i64>, Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::new(wire.bytes()?);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => seconds = wire.varint()?.cast_signed(),
            2 => nanos = i64::from(wire.enumeration()?),
            _ => {}
        }
    }
    Ok(seconds.checked_mul(NANOS).and_then(|seconds| seconds.checked_add(nanos)))
}

fn read_reference(wire: Wire<'_>) -> Result<Reference, Malformed> {
    let mut reference = Reference::default();
    let mut fields = Fields::new(wire.bytes()?);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => reference.trace_id = wire.bytes()?.to_vec(),
            2 => reference.span_id = wire.bytes()?.to_vec(),
            3 => reference.follows = wire.enumeration()? == 1,
            _ => {}
        }
    }
    Ok(reference)
}

fn read_log(texts: &mut Texts, wire: Wire<'_>, room: &mut Room, logs: &mut Parts<Event>) -> Result<(), Malformed> {
    let (mut time, mut parts) = (Some(0), Parts::default());
    let mut fields = Fields::new(wire.bytes()?);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => time = read_time(wire)?,
            2 => parts.push(room, read_tag(texts, wire)?),
            _ => {}
        }
    }
    logs.push(room, event(unix_nano(time), parts));
    Ok(())
}

/// A tag's value is the one that its type names; without it, that type's zero.
fn read_tag(texts: &mut Texts, wire: Wire<'_>) -> Result<KeyValue, Malformed> {
    let (mut key, mut named) = (String::new(), 0);
    let (mut text, mut flag, mut long, mut double, mut bytes) = (String::new(), false, 0, 0.0, &[][..]);
    let mut fields = Fields::new(wire.bytes()?);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => key = texts.read(wire.bytes()?),
            2 => named = wire.enumeration()?,
            3 => text = texts.read(wire.bytes()?),
            4 => flag = wire.varint()? != 0,
            5 => long = wire.varint()?.cast_signed(),
            6 => double = wire.double()?,
            7 => bytes = wire.bytes()?,
            _ => {}
        }
    }
    let value = match named {
        1 => Value::BoolValue(flag),
        2 => Value::IntValue(long),
        3 => Value::DoubleValue(double),
        4 => Value::BytesValue(bytes.to_vec()),
        _ => Value::StringValue(text),
    };
    Ok(any(&key, value))
}
