//! One request becomes spans, log records and audit records: a walk over the tables of `shop.rs`.
//!
//! Deliberately knows no wall clock and no network: everything follows from the seed and the instant of the request.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore};
use std::ops::Range;

use crate::demo::attribute::{self, boolean, int, text, text_value};
use crate::demo::session::Session;
use crate::demo::shop::{Door, Operation, Service, Step};
use crate::demo::story::{Mishap, Phase};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const INTERNAL: i32 = 1;
const ERROR: i32 = 2;

/// A record and the instance that sent it.
#[derive(Debug)]
pub(crate) struct Sent<T> {
    pub(crate) service: &'static Service,
    pub(crate) instance: u8,
    pub(crate) record: T,
}

/// What one request left behind.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    pub(crate) spans: Vec<Sent<Span>>,
    pub(crate) logs: Vec<Sent<LogRecord>>,
}

/// Walks `operation`, entered from outside at `at` (Unix nanoseconds).
pub(crate) fn walk(operation: &'static Operation, at: u64, phase: Phase, mut rng: SmallRng) -> Trail {
    let session = Session::draw(&mut rng);
    let mut trace_id = vec![0; 16];
    rng.fill_bytes(&mut trace_id);
    let mut walk = Walk { rng, session, trace_id, phase, trail: Trail::default() };
    walk.serve(operation, Place { parent: Vec::new(), outside: true }, at);
    walk.trail
}

struct Walk {
    rng: SmallRng,
    session: Session,
    trace_id: Vec<u8>,
    phase: Phase,
    trail: Trail,
}

/// From where an operation is entered.
struct Place {
    parent: Vec<u8>,
    outside: bool,
}

/// How an operation or step ended.
#[derive(Clone, Copy)]
struct Outcome {
    end: u64,
    /// HTTP's; 200 when all went well.
    status: u16,
}

/// The span within which steps are taken.
struct Frame {
    service: &'static Service,
    instance: u8,
    span_id: Vec<u8>,
}

impl Walk {
    fn serve(&mut self, operation: &'static Operation, place: Place, at: u64) -> Outcome {
        let instance = self.rng.random_range(0..operation.service.replicas);
        let frame = Frame { service: operation.service, instance, span_id: self.span_id() };
        let mishap = self.draw_mishap(operation);
        let work = self.spread(operation.work_us);
        let mut outcome = Outcome { end: at + work / 2, status: 200 };
        let until = mishap.map_or(operation.steps.len(), |mishap| mishap.at_step);
        for step in &operation.steps[..until.min(operation.steps.len())] {
            outcome = self.step(step, &frame, outcome.end);
            if outcome.status >= 400 {
                break;
            }
        }
        let mut span = self.span(&frame, place.parent, attribute::server_name(operation), at);
        if let Some(mishap) = mishap.filter(|_| outcome.status < 400) {
            let since = outcome.end;
            outcome.end += self.spread(mishap.delay_us);
            outcome.status = mishap.status;
            self.tell_mishap(mishap, operation, &frame, &mut span, since..outcome.end);
        }
        outcome.end += work / 2;
        span.kind = match operation.door {
            Door::Http { .. } | Door::Grpc { .. } => SERVER,
            Door::Topic { .. } => CONSUMER,
            Door::Cron { .. } => INTERNAL,
        };
        span.attributes = attribute::server(operation, &self.session, outcome.status, place.outside);
        if let Door::Topic { .. } = operation.door {
            let link = span::Link {
                trace_id: self.trace_id.clone(),
                span_id: span.parent_span_id.clone(),
                ..span::Link::default()
            };
            span.links.push(link);
        }
        self.finish(span, &frame, outcome, 500);
        self.tell_end(operation, &frame, outcome);
        outcome
    }

    /// One step within `frame`; a failed one ends the operation.
    fn step(&mut self, step: &'static Step, frame: &Frame, at: u64) -> Outcome {
        match step {
            Step::Call(operation) => self.call(operation, frame, at),
            Step::Together(steps) => {
                let mut joined = Outcome { end: at, status: 200 };
                for step in *steps {
                    let begin = at + self.spread(40);
                    let outcome = self.step(step, frame, begin);
                    joined.end = joined.end.max(outcome.end);
                    joined.status = joined.status.max(outcome.status);
                }
                joined
            }
            Step::Sometimes(share, step) => {
                if self.rng.random_range(0..100) < *share {
                    self.step(step, frame, at)
                } else {
                    Outcome { end: at, status: 200 }
                }
            }
            Step::Query { database, verb, table, text, median_us } => {
                let attributes = attribute::postgresql(database, verb, table, text);
                self.leaf(format!("{verb} {table}"), CLIENT, attributes, *median_us, frame, at)
            }
            Step::Cache { command, key, median_us } => {
                let attributes = attribute::redis(command, &self.session.fill(key));
                self.leaf((*command).to_owned(), CLIENT, attributes, *median_us, frame, at)
            }
            Step::External { host, method, path, median_us } => {
                let attributes = attribute::external(host, method, path, 200);
                self.leaf((*method).to_owned(), CLIENT, attributes, *median_us, frame, at)
            }
            Step::Work { name, median_us } => {
                self.leaf((*name).to_owned(), INTERNAL, Vec::new(), *median_us, frame, at)
            }
            Step::Publish { topic, consumers } => self.publish(topic, consumers, frame, at),
        }
    }

    fn call(&mut self, operation: &'static Operation, frame: &Frame, at: u64) -> Outcome {
        let callee = Frame { service: frame.service, instance: frame.instance, span_id: self.span_id() };
        let travel = self.spread(220);
        let place = Place { parent: callee.span_id.clone(), outside: false };
        let answer = self.serve(operation, place, at + travel);
        let outcome = Outcome { end: answer.end + self.spread(220), status: answer.status };
        let name = match &operation.door {
            Door::Http { method, .. } => (*method).to_owned(),
            _ => attribute::server_name(operation),
        };
        let mut span = self.span(&callee, frame.span_id.clone(), name, at);
        span.kind = CLIENT;
        span.attributes = attribute::client(operation, &self.session, outcome.status);
        self.finish(span, &callee, outcome, 400);
        // An answer that the shopper caused (a wrong password, a declined card) passes up as it is; a broken neighbour
        // is our own internal error, except for what nobody needs to see.
        let optional = matches!(operation.service.name, "recommendation" | "ad" | "email");
        Outcome { status: if optional { 200 } else { outcome.status }, ..outcome }
    }

    fn publish(&mut self, topic: &str, consumers: &[&'static Operation], frame: &Frame, at: u64) -> Outcome {
        let sending = Frame { service: frame.service, instance: frame.instance, span_id: self.span_id() };
        let outcome = Outcome { end: at + self.spread(1_900), status: 200 };
        let mut span = self.span(&sending, frame.span_id.clone(), format!("send {topic}"), at);
        span.kind = PRODUCER;
        span.attributes = attribute::messaging("send", &self.session);
        self.finish(span, &sending, outcome, 400);
        for consumer in consumers {
            let waited = self.spread(24_000);
            let place = Place { parent: sending.span_id.clone(), outside: false };
            self.serve(consumer, place, outcome.end + waited);
        }
        outcome
    }

    fn leaf(
        &mut self,
        name: String,
        kind: i32,
        attributes: Vec<KeyValue>,
        median_us: u64,
        frame: &Frame,
        at: u64,
    ) -> Outcome {
        let own = Frame { service: frame.service, instance: frame.instance, span_id: self.span_id() };
        let outcome = Outcome { end: at + self.spread(median_us), status: 200 };
        let mut span = self.span(&own, frame.span_id.clone(), name, at);
        span.kind = kind;
        span.attributes = attributes;
        self.finish(span, &own, outcome, 400);
        outcome
    }

    fn draw_mishap(&mut self, operation: &'static Operation) -> Option<&'static Mishap> {
        let phase = self.phase;
        let share = |mishap: &Mishap| if phase == Phase::During { mishap.incident } else { mishap.daily };
        operation.mishaps.iter().find(|mishap| self.rng.random_range(0..10_000) < share(mishap))
    }

    /// The failing neighbour's span, the exception, and the line in the log.
    ///
    /// Java, Ruby and the like record the exception on the span, Python and .NET in the log, as their usual
    /// instrumentations do: once, so that nobody counts it twice.
    fn tell_mishap(
        &mut self,
        mishap: &Mishap,
        operation: &'static Operation,
        frame: &Frame,
        span: &mut Span,
        waited: Range<u64>,
    ) {
        let at = waited.end;
        let line = mishap.lines[usize::from(self.rng.random_bool(0.5))];
        let mut attributes = vec![text("enduser.id", self.session.user.clone())];
        if !mishap.exception.is_empty() {
            let exception = vec![
                text("exception.type", mishap.exception),
                text("exception.message", mishap.message),
                text("exception.stacktrace", mishap.stacktrace),
            ];
            span.status = Some(Status { code: ERROR, message: mishap.message.to_owned() });
            if matches!(frame.service.language, "python" | "dotnet") {
                attributes.extend(exception);
            } else {
                span.events.push(span::Event {
                    time_unix_nano: at,
                    name: "exception".to_owned(),
                    attributes: exception.into_iter().chain([boolean("exception.escaped", true)]).collect(),
                    ..span::Event::default()
                });
            }
            self.tell_broken_step(mishap, operation, frame, waited);
        }
        self.log(frame, at, mishap.severity, text_value(self.session.fill(line)), attributes);
    }

    /// The step that broke, as the caller saw it: a question or call that ended in an error.
    fn tell_broken_step(&mut self, mishap: &Mishap, operation: &'static Operation, frame: &Frame, waited: Range<u64>) {
        let (name, mut attributes) = match operation.steps.get(mishap.at_step) {
            Some(Step::External { host, method, path, .. }) => {
                ((*method).to_owned(), attribute::external(host, method, path, 0))
            }
            Some(Step::Query { database, verb, table, text, .. }) => {
                (format!("{verb} {table}"), attribute::postgresql(database, verb, table, text))
            }
            _ => return,
        };
        attributes.push(text("error.type", mishap.exception));
        let own = Frame { service: frame.service, instance: frame.instance, span_id: self.span_id() };
        let mut span = self.span(&own, frame.span_id.clone(), name, waited.start);
        span.kind = CLIENT;
        span.attributes = attributes;
        span.status = Some(Status { code: ERROR, message: mishap.message.to_owned() });
        self.finish(span, &own, Outcome { end: waited.end, status: 0 }, 400);
    }

    /// What the service says of an operation that ended: its line, the access log, the audited action.
    fn tell_end(&mut self, operation: &'static Operation, frame: &Frame, outcome: Outcome) {
        let went_well = outcome.status < 400;
        if let Some((line, _)) = operation.log.filter(|(_, share)| went_well && self.rng.random_range(0..100) < *share)
        {
            self.log(frame, outcome.end, 9, text_value(self.session.fill(line)), Vec::new());
        }
        if let (1, Door::Http { method, route }) = (frame.service.index, &operation.door) {
            let body = attribute::map_value(vec![
                text("method", *method),
                text("path", self.session.fill(route)),
                int("status", outcome.status),
                text("remote", self.session.address.clone()),
                boolean("cached", false),
            ]);
            let severity = if outcome.status >= 500 { 17 } else { 9 };
            let attributes = vec![text("http.route", *route), int("http.response.status_code", outcome.status)];
            self.log(frame, outcome.end, severity, body, attributes);
        }
        if let Some((action, target)) = operation.audit {
            self.audit(action, target, frame, outcome);
        }
    }

    fn audit(&mut self, action: &str, target: &str, frame: &Frame, outcome: Outcome) {
        let target_id = match target {
            "order" => &self.session.order,
            "product" => &self.session.product,
            _ => &self.session.user,
        };
        let admin = action == "product.price.update";
        let attributes = vec![
            text("audit.record.id", format!("{:016x}{:016x}", self.rng.random::<u64>(), self.rng.random::<u64>())),
            text("audit.actor.id", if admin { "admin-02".to_owned() } else { self.session.user.clone() }),
            text("audit.actor.type", if admin { "administrator" } else { "customer" }),
            text("audit.action", action),
            text("audit.outcome", if outcome.status < 400 { "success" } else { "failure" }),
            text("audit.target.id", target_id.clone()),
            text("audit.target.type", target),
            text("audit.source.id", self.session.address.clone()),
        ];
        let body = text_value(format!("{action} {target_id}"));
        self.log(frame, outcome.end, 9, body, attributes);
        if let Some(sent) = self.trail.logs.last_mut() {
            sent.record.event_name = format!("audit.{action}");
        }
    }

    fn log(&mut self, frame: &Frame, at: u64, severity: i32, body: AnyValue, attributes: Vec<KeyValue>) {
        let severity_text = match severity {
            ..13 => "INFO",
            13..17 => "WARN",
            17..21 => "ERROR",
            _ => "FATAL",
        };
        let record = LogRecord {
            time_unix_nano: at,
            observed_time_unix_nano: at + 300_000,
            severity_number: severity,
            severity_text: severity_text.to_owned(),
            body: Some(body),
            attributes,
            flags: 1,
            trace_id: self.trace_id.clone(),
            span_id: frame.span_id.clone(),
            ..LogRecord::default()
        };
        self.trail.logs.push(Sent { service: frame.service, instance: frame.instance, record });
    }

    fn span(&self, frame: &Frame, parent: Vec<u8>, name: String, at: u64) -> Span {
        Span {
            trace_id: self.trace_id.clone(),
            span_id: frame.span_id.clone(),
            parent_span_id: parent,
            flags: 0x101,
            name,
            start_time_unix_nano: at,
            ..Span::default()
        }
    }

    /// Ends a span. From `bad` on, a status is an error of this span (clients see 4xx as one, servers do not).
    fn finish(&mut self, mut span: Span, frame: &Frame, outcome: Outcome, bad: u16) {
        span.end_time_unix_nano = outcome.end.max(span.start_time_unix_nano);
        if outcome.status >= bad && span.status.is_none() {
            span.status = Some(Status { code: ERROR, message: String::new() });
            span.attributes.push(text("error.type", outcome.status.to_string()));
        }
        self.trail.spans.push(Sent { service: frame.service, instance: frame.instance, record: span });
    }

    fn span_id(&mut self) -> Vec<u8> {
        self.rng.next_u64().max(1).to_be_bytes().to_vec()
    }

    /// Nanoseconds around a median of microseconds, log-normal with a tail as networks and disks have it.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "chance needs no last digit"
    )]
    fn spread(&mut self, median_us: u64) -> u64 {
        let (u, v): (f64, f64) = (1.0 - self.rng.random::<f64>(), self.rng.random());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (median_us as f64 * 1000.0 * (0.34 * normal).exp()) as u64
    }
}
