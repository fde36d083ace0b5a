//! What running a system leaves: spans as rows of the table, and beside them the acts, which say what really happened.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::system::System;

/// 2023-11-14T22:00:00Z.
pub(super) const BEGIN: i64 = 1_699_999_200_000_000_000;

/// A span as its service would send it.
#[derive(Clone, Debug)]
pub(super) struct MadeSpan {
    pub(super) trace: usize,
    pub(super) id: u64,
    pub(super) parent: u64,
    /// Whose sampler decides.
    pub(super) owner: usize,
    pub(super) service: String,
    pub(super) kind: i8,
    pub(super) start: i64,
    pub(super) duration_ns: i64,
    pub(super) error: bool,
    /// Columns of promoted attributes.
    pub(super) columns: Map<String, Value>,
    /// Other attributes.
    pub(super) rest: Map<String, Value>,
    /// Places of spans.
    pub(super) links: Vec<usize>,
    /// The service of the map that it belongs to; `None` where it must leave no mark.
    pub(super) shown: Option<String>,
    pub(super) is_request: bool,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) struct Act {
    /// Ids of the ends, and the kind of the edge.
    pub(super) edge: (String, String, &'static str),
    /// The span whose duration and outcome count.
    pub(super) figure: usize,
    /// Spans without which nobody can know; with the figure's.
    pub(super) seen_by: Vec<usize>,
    /// Not counted when all spans of one of these lists are there: they tell it in another act.
    pub(super) unless: Vec<Vec<usize>>,
}

/// A record in the making.
pub(super) struct Record<'a> {
    pub(super) system: &'a System,
    pub(super) rng: StdRng,
    pub(super) spans: Vec<MadeSpan>,
    pub(super) acts: Vec<Act>,
    /// Each trace's randomness: the 56 bits that samplers share.
    pub(super) randomness: Vec<u64>,
    /// Messages that wait for their consumer to take up many: for each queue, then each of its consumers, the places of
    /// the spans that sent them.
    pub(super) waiting: Vec<Vec<Vec<usize>>>,
    /// Spans when the request under way began.
    pub(super) request_begins: usize,
    last_id: Vec<u64>,
}

impl<'a> Record<'a> {
    pub(super) fn new(system: &'a System) -> Self {
        Self {
            system,
            rng: StdRng::seed_from_u64(system.seed ^ 0x00c0_ffee),
            spans: Vec::new(),
            acts: Vec::new(),
            randomness: Vec::new(),
            waiting: system.queues.iter().map(|queue| vec![Vec::new(); queue.consumers.len()]).collect(),
            request_begins: 0,
            last_id: Vec::new(),
        }
    }

    /// Begins a trace. Span ids count from 1 in each, so that the same ones stand in all.
    pub(super) fn trace(&mut self) -> usize {
        self.randomness.push(self.rng.random_range(0..1 << 56));
        self.last_id.push(0);
        self.last_id.len() - 1
    }

    /// Adds a span of a service below another; its place.
    pub(super) fn span(&mut self, trace: usize, below: Option<usize>, service: usize, kind: i8) -> usize {
        self.last_id[trace] += 1;
        let made = &self.system.services[service];
        let start = BEGIN + i64::try_from(trace).unwrap() * 1_000_000_000 + self.rng.random_range(0..900_000_000);
        self.spans.push(MadeSpan {
            trace,
            id: self.last_id[trace],
            parent: below.map_or(0, |place| self.spans[place].id),
            owner: service,
            service: made.name.clone(),
            kind: if made.has_kinds { kind } else { 0 },
            start: start + made.skew_ns,
            duration_ns: self.rng.random_range(1..50_000_000),
            error: false,
            columns: Map::new(),
            rest: Map::new(),
            links: Vec::new(),
            shown: Some(format!("service:{}", made.name)),
            is_request: false,
        });
        self.spans.len() - 1
    }

    pub(super) fn column(&mut self, span: usize, name: &str, value: &str) {
        self.spans[span].columns.insert(name.to_owned(), json!(value));
    }

    pub(super) fn rest(&mut self, span: usize, key: &str, value: &str) {
        self.spans[span].rest.insert(key.to_owned(), json!(value));
    }

    /// Notes what happened; `seen_by` besides the span that `figure` names.
    pub(super) fn act(&mut self, edge: (String, String, &'static str), figure: usize, seen_by: &[usize]) -> &mut Act {
        self.acts.push(Act { edge, figure, seen_by: seen_by.to_vec(), unless: Vec::new() });
        self.acts.last_mut().unwrap()
    }

    /// The node of a service.
    pub(super) fn node(&self, service: usize) -> String {
        format!("service:{}", self.system.services[service].name)
    }

    /// Whether a span is recorded at all, by its service's sampler.
    pub(super) fn is_sampled(&self, span: usize) -> bool {
        let span = &self.spans[span];
        self.randomness[span.trace] >= self.system.services[span.owner].threshold
    }

    /// The row of a span, as the decoder would write it.
    pub(super) fn row(&self, span: usize) -> Value {
        let span = &self.spans[span];
        let threshold = self.system.services[span.owner].threshold;
        let mut row = span.columns.clone();
        row.insert("trace_id".into(), json!(trace_id(span.trace)));
        row.insert("span_id".into(), json!(format!("{:016x}", span.id)));
        if span.parent != 0 {
            row.insert("parent_span_id".into(), json!(format!("{:016x}", span.parent)));
        }
        row.insert("service_name".into(), json!(span.service));
        row.insert("kind".into(), json!(span.kind));
        row.insert("start_unix_nano".into(), json!(span.start));
        row.insert("duration_ns".into(), json!(span.duration_ns));
        row.insert("status_code".into(), json!(if span.error { 2 } else { 0 }));
        if threshold != 0 {
            let hex = format!("{threshold:014x}");
            row.insert("trace_state".into(), json!(format!("other=1,ot=rv:1;th:{}", hex.trim_end_matches('0'))));
        }
        if !span.rest.is_empty() {
            row.insert("attributes_rest".into(), json!(Value::Object(span.rest.clone()).to_string()));
        }
        let link = |to: &usize| {
            let to = &self.spans[*to];
            json!({"trace_id": trace_id(to.trace), "span_id": format!("{:016x}", to.id)})
        };
        if !span.links.is_empty() {
            row.insert("links".into(), span.links.iter().map(link).collect());
        }
        Value::Object(row)
    }
}

/// The id of a trace as the rows have it.
pub(super) fn trace_id(trace: usize) -> String {
    format!("{:032x}", trace + 1)
}
