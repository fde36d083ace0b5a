//! The rows that a request should become, each cell as the text that a batch's cell shows.

use std::collections::BTreeSet;

use prost::{DecodeError, Message};
use tracelake_model::semconv::{self, Promoted, PromotedKind};
use tracelake_model::{DecodeLimits, Signal, SpanId, Table, TraceId, Value, to_hex};

use crate::otlp::partial::Reason;
use crate::test::bench::NOW;
use crate::test::reference::cell::{Expected, Row, list};
use crate::test::reference::message as m;
use crate::test::reference::point::push_metric;
use crate::test::reference::value::{Entries, Reader, json, marks, shorten, stored};

/// Reads a request. An error is one of protobuf itself: nothing of the request may be taken.
pub(crate) fn expected(signal: Signal, limits: DecodeLimits, plain: &[u8]) -> Result<Expected, DecodeError> {
    let mut found = Expected::default();
    let mut reader = Reader { limits, faults: BTreeSet::new() };
    for raw in m::Request::decode(plain)?.groups {
        let group = m::Group::decode(raw.as_slice())?;
        reader.faults.clear();
        let mut origin = Row::default();
        resource(&mut reader, &group, &mut origin)?;
        let faults = reader.faults.clone();
        for raw in &group.members {
            let scope_group = m::Group::decode(raw.as_slice())?;
            reader.faults.clear();
            let mut origin = origin.clone();
            scope(&mut reader, &scope_group, &mut origin)?;
            // What is wrong with a resource is found first.
            let inherited = if faults.is_empty() { reader.faults.clone() } else { faults.clone() };
            for raw in &scope_group.members {
                reader.faults.clear();
                match signal {
                    Signal::Traces => span(&mut reader, raw, &origin, &inherited, &mut found)?,
                    Signal::Metrics => push_metric(&mut reader, raw, &origin, &inherited, &mut found)?,
                    Signal::Logs | Signal::Audit => log(&mut reader, signal, raw, &origin, &inherited, &mut found)?,
                }
            }
        }
    }
    Ok(found)
}

fn resource(reader: &mut Reader, group: &m::Group, row: &mut Row) -> Result<(), DecodeError> {
    for raw in &group.head {
        m::Resource::decode(raw.as_slice())?;
    }
    let resource = m::Resource::decode(group.head.concat().as_slice())?;
    let entries = reader.attributes(&resource.attributes)?;
    let has_column = |key: &str| key == "service.name" || semconv::RESOURCE.iter().any(|known| known.key == key);
    let kept = stored(&entries, &reader.limits, has_column);
    let text_of = |wanted: &str| match kept.entries.iter().find(|(key, _)| key == wanted) {
        Some((_, Value::String(text))) => Some(text.clone()),
        _ => None,
    };
    let service = text_of("service.name").filter(|name| !name.is_empty());
    row.put("service_name", service.unwrap_or_else(|| semconv::UNKNOWN_SERVICE.to_owned()));
    for known in semconv::RESOURCE {
        row.put_some(known.column, text_of(known.key));
    }
    let dropped = kept.dropped + i64::from(resource.dropped);
    row.put("resource_attributes", json(&kept.entries, &marks(&kept.cut, dropped)));
    row.put_text("resource_schema_url", &reader.text(&group.schema_url));
    Ok(())
}

fn scope(reader: &mut Reader, group: &m::Group, row: &mut Row) -> Result<(), DecodeError> {
    for raw in &group.head {
        m::Scope::decode(raw.as_slice())?;
    }
    let scope = m::Scope::decode(group.head.concat().as_slice())?;
    let entries = reader.attributes(&scope.attributes)?;
    let kept = stored(&entries, &reader.limits, |key| {
        key == "service.name" || semconv::RESOURCE.iter().any(|known| known.key == key)
    });
    row.put_text("scope_name", &reader.text(&scope.name));
    row.put_text("scope_version", &reader.text(&scope.version));
    let dropped = kept.dropped + i64::from(scope.dropped);
    let has_any = !entries.is_empty() || dropped > 0;
    row.put_some("scope_attributes", has_any.then(|| json(&kept.entries, &marks(&kept.cut, dropped))));
    row.put_text("schema_url", &reader.text(&group.schema_url));
    Ok(())
}

fn span(
    reader: &mut Reader,
    raw: &[u8],
    origin: &Row,
    inherited: &BTreeSet<Reason>,
    found: &mut Expected,
) -> Result<(), DecodeError> {
    let span = m::Span::decode(raw)?;
    let mut row = Row { complete: true, ..origin.clone() };
    row.put("trace_id", to_hex(&span.trace_id));
    row.put("span_id", to_hex(&span.span_id));
    row.put_some("parent_span_id", SpanId::from_bytes(&span.parent_span_id));
    row.put_text("trace_state", &reader.text(&span.trace_state));
    row.put("flags", span.flags);
    row.put("name", reader.text(&span.name));
    row.put("kind", if (0..=5).contains(&span.kind) { span.kind } else { 0 });
    let start = reader.signed(span.start, Reason::Time);
    let end = reader.signed(span.end, Reason::Time);
    row.put("start_unix_nano", start);
    row.put("end_unix_nano", end);
    let clock = if start == 0 {
        Some("no time")
    } else if end < start {
        Some("end before start")
    } else {
        None
    };
    row.put("duration_ns", if clock.is_some() { 0 } else { end - start });
    status(reader, &span.status, &mut row)?;
    let entries = reader.attributes(&span.attributes)?;
    let dropped = attribute_cells(reader, semconv::SPAN, &entries, (clock, Vec::new()), &mut row);
    let events = span.events.iter().map(|raw| event(reader, raw)).collect::<Result<Vec<_>, _>>()?;
    row.put_some("events", list(&events));
    let links = span.links.iter().map(|raw| link(reader, raw)).collect::<Result<Vec<_>, _>>()?;
    row.put_some("links", list(&links));
    row.put("dropped_attributes_count", dropped + i64::from(span.dropped_attributes));
    row.put("dropped_events_count", span.dropped_events);
    row.put("dropped_links_count", span.dropped_links);
    let mut own = reader.faults.clone();
    if own.is_empty() && inherited.is_empty() {
        if TraceId::from_bytes(&span.trace_id).is_none() {
            own.insert(Reason::TraceId);
        } else if SpanId::from_bytes(&span.span_id).is_none() {
            own.insert(Reason::SpanId);
        }
    }
    found.timed |= span.start != 0 || span.end != 0 || own.contains(&Reason::Time);
    found.push(inherited, &own, (Table::Spans, row));
    Ok(())
}

fn status(reader: &mut Reader, raws: &m::Raws, row: &mut Row) -> Result<(), DecodeError> {
    for raw in raws {
        m::Status::decode(raw.as_slice())?;
    }
    let status = m::Status::decode(raws.concat().as_slice())?;
    row.put_text("status_message", &reader.text(&status.message));
    row.put("status_code", if (0..=2).contains(&status.code) { status.code } else { 0 });
    Ok(())
}

/// Promoted columns and the rest; how many attributes were dropped.
fn attribute_cells(
    reader: &Reader,
    set: &'static [Promoted],
    entries: &Entries,
    (clock, more_cut): (Option<&str>, Vec<String>),
    row: &mut Row,
) -> i64 {
    let kept = stored(entries, &reader.limits, |_| false);
    let mut rest = Vec::new();
    for (key, value) in kept.entries {
        let fits = |known: &&Promoted| {
            known.key == key
                && matches!(
                    (known.kind, &value),
                    (PromotedKind::String, Value::String(_))
                        | (PromotedKind::Int, Value::Int(_))
                        | (PromotedKind::Bool, Value::Bool(_))
                )
        };
        match set.iter().find(fits) {
            Some(known) => row.put(known.column, value.to_text()),
            None => rest.push((key, value)),
        }
    }
    let cut = [kept.cut, more_cut].concat();
    let clock = clock.map(|clock| (semconv::CLOCK, Value::String(clock.to_owned())));
    let ours: Vec<_> = clock.into_iter().chain(marks(&cut, 0)).collect();
    let has_any = rest.iter().any(|(key, _)| ours.iter().all(|(mark, _)| mark != key)) || !ours.is_empty();
    row.put_some("attributes_rest", has_any.then(|| json(&rest, &ours)));
    kept.dropped
}

fn event(reader: &mut Reader, raw: &[u8]) -> Result<String, DecodeError> {
    let event = m::Event::decode(raw)?;
    let time = reader.signed(event.time, Reason::Time);
    let name = reader.text(&event.name);
    let (attributes, dropped) = counted(reader, &event.attributes)?;
    let dropped = dropped + i64::from(event.dropped);
    Ok(format!("{{time: {time}, name: {name}, attributes: {attributes}, dropped: {dropped}}}"))
}

fn link(reader: &mut Reader, raw: &[u8]) -> Result<String, DecodeError> {
    let link = m::Link::decode(raw)?;
    let trace_id = TraceId::from_bytes(&link.trace_id).map_or_else(String::new, |id| id.to_string());
    let span_id = SpanId::from_bytes(&link.span_id).map_or_else(String::new, |id| id.to_string());
    let state = reader.text(&link.trace_state);
    let (attributes, dropped) = counted(reader, &link.attributes)?;
    let (flags, dropped) = (link.flags, dropped + i64::from(link.dropped));
    Ok(format!(
        "{{trace_id: {trace_id}, span_id: {span_id}, trace_state: {state}, attributes: {attributes}, flags: {flags}, \
         dropped: {dropped}}}"
    ))
}

/// Attributes beside a column that counts the dropped ones.
fn counted(reader: &mut Reader, raws: &m::Raws) -> Result<(String, i64), DecodeError> {
    let entries = reader.attributes(raws)?;
    let kept = stored(&entries, &reader.limits, |_| false);
    let ours = marks(&kept.cut, 0);
    let has_any = !kept.entries.is_empty() || !ours.is_empty();
    Ok((if has_any { json(&kept.entries, &ours) } else { String::new() }, kept.dropped))
}

fn log(
    reader: &mut Reader,
    signal: Signal,
    raw: &[u8],
    origin: &Row,
    inherited: &BTreeSet<Reason>,
    found: &mut Expected,
) -> Result<(), DecodeError> {
    let record = m::LogRecord::decode(raw)?;
    let (time, observed) = (reader.signed(record.time, Reason::Time), reader.signed(record.observed, Reason::Time));
    let event_name = reader.text(&record.event_name);
    let severity_text = reader.text(&record.severity_text);
    let entries = reader.attributes(&record.attributes)?;
    let mut body = reader.any(&record.body)?;
    let too_long = shorten(&mut body, reader.limits.value_bytes as usize);
    let is_audit = signal == Signal::Audit
        || event_name.starts_with("audit.")
        || entries.iter().any(|(key, _)| key.starts_with("audit."));
    let shown = [time, observed, NOW.0].into_iter().find(|time| *time != 0);
    let mut row = Row { complete: !is_audit, ..origin.clone() };
    row.put_some("time_unix_nano", shown);
    row.put("observed_unix_nano", observed);
    row.put_some("body", (body != Value::Empty).then(|| body.to_text()));
    row.put_text("event_name", &event_name);
    if is_audit {
        let columns = ["service_name", "resource_attributes", "time_unix_nano", "observed_unix_nano", "body"];
        row.cells.retain(|column, _| columns.contains(column));
    } else {
        row.put("severity_number", if (0..=24).contains(&record.severity_number) { record.severity_number } else { 0 });
        row.put_text("severity_text", &severity_text);
        row.put_some("body_type", type_of(&body));
        row.put_some("trace_id", TraceId::from_bytes(&record.trace_id));
        row.put_some("span_id", SpanId::from_bytes(&record.span_id));
        row.put("flags", record.flags);
        let clock = (record.time == 0).then_some("no time");
        let more_cut = if too_long { vec!["body".to_owned()] } else { Vec::new() };
        let dropped = attribute_cells(reader, semconv::LOG, &entries, (clock, more_cut), &mut row);
        row.put("dropped_attributes_count", dropped + i64::from(record.dropped));
    }
    let own = reader.faults.clone();
    found.timed |= record.time != 0 || record.observed != 0 || own.contains(&Reason::Time);
    found.push(inherited, &own, (if is_audit { Table::Audit } else { Table::Logs }, row));
    Ok(())
}

fn type_of(body: &Value) -> Option<&'static str> {
    Some(match body {
        Value::Empty => return None,
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Double(_) => "double",
        Value::Bytes(_) => "bytes",
        Value::Array(_) => "array",
        Value::Map(_) => "kvlist",
    })
}
