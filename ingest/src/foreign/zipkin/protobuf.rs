//! A `ListOfSpans` in protobuf (openzipkin/zipkin-api `zipkin.proto`).
//!
//! Bytes that are no protobuf refuse the request; text that is not UTF-8 refuses its span alone.

use std::net::{Ipv4Addr, Ipv6Addr};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tracelake_model::DecodeLimits;

use crate::error::Error;
use crate::foreign::draft::{Draft, Room, Texts, Translated};
use crate::foreign::tag::any;
use crate::foreign::zipkin::span::{Annotation, Endpoint, Span};
use crate::wire::field::{Fields, Malformed};

/// Bytes of a trace id.
const TRACE_BYTES: usize = 16;

/// A list of spans as OTLP.
pub(crate) fn translate(limits: &DecodeLimits, list: &[u8]) -> Result<Translated, Error> {
    let mut draft = Draft::new(limits);
    let mut texts = Texts::default();
    let mut fields = Fields::new(list);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            draft.count()?;
            texts.fault = None;
            let span = read_span(&mut texts, wire.bytes()?)?;
            match texts.fault {
                Some(reason) => draft.refuse(reason),
                None => span.put(limits, &mut draft)?,
            }
        }
    }
    draft.finish()
}

fn read_span(texts: &mut Texts, message: &[u8]) -> Result<Span, Malformed> {
    let mut span = Span::default();
    let mut room = Room::new();
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => span.trace_id = trace_id(wire.bytes()?),
            2 => span.parent_id = wire.bytes()?.to_vec(),
            3 => span.span_id = wire.bytes()?.to_vec(),
            4 => span.kind = kind(wire.enumeration()?),
            5 => span.name = texts.read(wire.bytes()?),
            6 => span.timestamp = wire.fixed64()?,
            7 => span.duration = wire.varint()?,
            8 => read_endpoint(texts, wire.bytes()?, &mut span.local)?,
            9 => read_endpoint(texts, wire.bytes()?, &mut span.remote)?,
            10 => {
                let annotation = read_annotation(texts, wire.bytes()?)?;
                span.annotations.push(&mut room, annotation);
            }
            11 => {
                let tag = read_tag(texts, wire.bytes()?)?;
                span.tags.push(&mut room, tag);
            }
            12 => span.debug = wire.varint()? != 0,
            13 => span.shared = wire.varint()? != 0,
            _ => {}
        }
    }
    Ok(span)
}

/// 8 bytes are the lower half.
fn trace_id(bytes: &[u8]) -> Vec<u8> {
    if bytes.len() == TRACE_BYTES / 2 { [&[0; TRACE_BYTES / 2], bytes].concat() } else { bytes.to_vec() }
}

fn kind(number: i32) -> SpanKind {
    match number {
        1 => SpanKind::Client,
        2 => SpanKind::Server,
        3 => SpanKind::Producer,
        4 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn read_endpoint(texts: &mut Texts, message: &[u8], into: &mut Endpoint) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => into.service = texts.read(wire.bytes()?),
            2 => into.ipv4 = <[u8; 4]>::try_from(wire.bytes()?).map_or_else(|_| String::new(), ipv4),
            3 => into.ipv6 = <[u8; 16]>::try_from(wire.bytes()?).map_or_else(|_| String::new(), ipv6),
            4 => into.port = u16::try_from(wire.enumeration()?).unwrap_or_default(),
            _ => {}
        }
    }
    Ok(())
}

fn ipv4(bytes: [u8; 4]) -> String {
    Ipv4Addr::from(bytes).to_string()
}

fn ipv6(bytes: [u8; 16]) -> String {
    Ipv6Addr::from(bytes).to_string()
}

fn read_annotation(texts: &mut Texts, message: &[u8]) -> Result<Annotation, Malformed> {
    let mut annotation = Annotation::default();
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => annotation.timestamp = wire.fixed64()?,
            2 => annotation.value = texts.read(wire.bytes()?),
            _ => {}
        }
    }
    Ok(annotation)
}

/// An entry of a map: key 1, value 2.
fn read_tag(texts: &mut Texts, message: &[u8]) -> Result<KeyValue, Malformed> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => key = texts.read(wire.bytes()?),
            2 => value = texts.read(wire.bytes()?),
            _ => {}
        }
    }
    Ok(any(&key, Value::StringValue(value)))
}
