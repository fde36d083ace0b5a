//! Runs requests through a system: calls with retries and circles, sidecars, databases, peers outside, timers.

use rand::Rng;

use super::deliver::publish;
use super::record::Record;
use super::system::{Database, Entry, Mesh, Nested, Service, Step};
use crate::map::parent::{CLIENT, INTERNAL, SERVER};

/// Services that one call may pass through.
const DEPTH_MAX: usize = 4;

/// Spans of one request, in all its traces, after which nothing new is begun.
const SPANS_MAX: usize = 80;

/// A service at work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) trace: usize,
    pub(super) service: usize,
    /// The span below which its next spans hang.
    pub(super) span: usize,
    /// Its inbound sidecar's span.
    inbound: Option<usize>,
    pub(super) depth: usize,
}

impl Work {
    /// Work of a span without sidecars.
    pub(super) fn new(record: &Record<'_>, span: usize, depth: usize) -> Self {
        let made = &record.spans[span];
        Self { trace: made.trace, service: made.owner, span, inbound: None, depth }
    }
}

/// One request by one of the system's entries.
pub(super) fn request(record: &mut Record<'_>) {
    let entries = &record.system.entries;
    let entry = &entries[record.rng.random_range(0..entries.len())];
    let trace = record.trace();
    record.request_begins = record.spans.len();
    match *entry {
        Entry::User(service) => user(record, trace, service),
        Entry::Timer(service) => {
            let kind = if record.rng.random_bool(0.5) { SERVER } else { INTERNAL };
            let span = record.span(trace, None, service, kind);
            let (key, value) = [("faas.trigger", "timer"), ("job.system", "quartz")][record.rng.random_range(0..2)];
            record.rest(span, key, value);
            record.spans[span].is_request = record.spans[span].kind == SERVER;
            let edge = ("client:timer".to_owned(), record.node(service), "Call");
            record.act(edge, span, &[]);
            work(record, Work::new(record, span, 0));
        }
        Entry::Itself(service) => {
            let kind = if record.rng.random_bool(0.5) { CLIENT } else { INTERNAL };
            let span = record.span(trace, None, service, kind);
            work(record, Work::new(record, span, 0));
        }
    }
}

fn user(record: &mut Record<'_>, trace: usize, service: usize) {
    let mut below = None;
    if record.system.gateway {
        let span = proxy(record, trace, None, service, SERVER);
        let gateway = &mut record.spans[span];
        gateway.service = "istio-ingressgateway.istio-system".to_owned();
        gateway.shown = Some(format!("service:{}", gateway.service));
        gateway.is_request = true;
        record.rest(span, "node_id", "router~10.0.0.1~istio-ingressgateway-7.istio-system~istio-system.svc");
        record.rest(span, "upstream_cluster", "outbound|80||x.shop.svc.cluster.local");
        let edge = ("client:user".to_owned(), record.spans[span].shown.clone().unwrap(), "Call");
        record.act(edge, span, &[]);
        below = Some(span);
    }
    let error = record.rng.random_bool(0.1);
    let (at, entry) = enter(record, (trace, below), service, error, 0);
    let source = below.map(|span| record.spans[span].shown.clone().unwrap());
    match source {
        Some(source) => {
            let edge = (source, record.node(service), "Call");
            record.act(edge, entry, &[below.unwrap()]);
        }
        None if record.system.services[service].has_kinds => {
            let edge = ("client:user".to_owned(), record.node(service), "Call");
            record.act(edge, entry, &[]);
        }
        None => {}
    }
    work(record, at);
}

/// A service takes its steps.
pub(super) fn work(record: &mut Record<'_>, mut at: Work) {
    let system = record.system;
    for step in &system.services[at.service].steps {
        let is_over = at.depth >= DEPTH_MAX || record.spans.len() > record.request_begins + SPANS_MAX;
        if is_over || record.rng.random_bool(0.2) {
            continue;
        }
        match step {
            Step::Call { service, attempts } => call(record, at, *service, *attempts),
            Step::Database(place) => database(record, at, &system.databases[*place]),
            Step::Outside(place) => outside(record, at, *place),
            Step::Publish(queue) => publish(record, at, *queue),
            Step::Internal => at.span = record.span(at.trace, Some(at.span), at.service, INTERNAL),
            Step::Nameless => {
                let span = record.span(at.trace, Some(at.span), at.service, CLIENT);
                record.column(span, "rpc_system", "grpc");
                record.column(span, "rpc_service", "shop.Catalogue");
                // A link says nothing by itself.
                record.spans[span].links.push(0);
            }
        }
    }
}

fn call(record: &mut Record<'_>, at: Work, service: usize, attempts: usize) {
    for attempt in 0..attempts {
        let fails = record.rng.random_bool(0.3);
        if fails || attempt + 1 == attempts || record.rng.random_bool(0.5) {
            one_call(record, at, service, fails);
        }
        if !fails {
            break;
        }
    }
}

fn one_call(record: &mut Record<'_>, at: Work, to: usize, error: bool) {
    let from: &Service = &record.system.services[at.service];
    let mut own = None;
    if from.has_client_spans {
        let span = record.span(at.trace, Some(at.span), at.service, CLIENT);
        record.spans[span].error = error;
        own = Some(span);
    }
    // What names the callee in the caller's span is a peer outside only where the callee left no span.
    let names = from.names_callee && (from.has_kinds || to != at.service);
    let name = format!("host-{to}");
    if let Some(span) = own.filter(|_| names) {
        record.column(span, "peer_service", &name);
    }
    let (below, seen_by) = leave(record, at, own);
    let (callee, entry) = enter(record, (at.trace, Some(below)), to, error, at.depth + 1);
    if let Some(span) =
        own.filter(|_| record.system.services[to].shares_ids && from.has_kinds && from.mesh == Mesh::None)
    {
        let (id, parent) = (record.spans[span].id, record.spans[span].parent);
        record.spans[entry].id = id;
        record.spans[entry].parent = parent;
    }
    if at.service != to {
        let edge = (record.node(at.service), record.node(to), "Call");
        record.act(edge, entry, &[seen_by]);
    }
    if let Some(span) = own.filter(|_| names) {
        let edge = (record.node(at.service), format!("external:{name}"), "External");
        record.act(edge, span, &[]).unless.push(vec![entry]);
    }
    work(record, callee);
}

/// The outbound sidecar's spans: what the callee hangs below, and the caller's span that stands for the call.
fn leave(record: &mut Record<'_>, at: Work, own: Option<usize>) -> (usize, usize) {
    let from = &record.system.services[at.service];
    let span = own.unwrap_or(at.span);
    if from.mesh == Mesh::None {
        return (span, span);
    }
    let above = at.inbound.filter(|_| from.hands_on || from.is_silent).unwrap_or(span);
    let kinds: &[i8] = if from.mesh == Mesh::IstioBothSides { &[SERVER, CLIENT] } else { &[CLIENT] };
    let mut last = above;
    for kind in kinds {
        last = sidecar(record, (at.trace, Some(last)), at.service, *kind, "outbound");
    }
    (last, if from.is_silent { last } else { span })
}

/// A service is called: its inbound sidecar's spans, then its own. The span that stands for the call comes with it.
fn enter(
    record: &mut Record<'_>,
    (trace, below): (usize, Option<usize>),
    to: usize,
    error: bool,
    depth: usize,
) -> (Work, usize) {
    let service = &record.system.services[to];
    let mut last = below;
    let mut outer = None;
    let kinds: &[i8] = match service.mesh {
        Mesh::None => &[],
        Mesh::IstioBothSides => &[SERVER, CLIENT],
        Mesh::Istio | Mesh::Linkerd => &[SERVER],
    };
    for kind in kinds {
        let span = sidecar(record, (trace, last), to, *kind, "inbound");
        record.spans[span].error = error;
        outer = outer.or(Some(span));
        last = Some(span);
    }
    let inbound = last.filter(|_| outer.is_some());
    if let (true, Some(outer), Some(span)) = (service.is_silent, outer, last) {
        record.spans[outer].is_request = true;
        return (Work { trace, service: to, span, inbound, depth }, outer);
    }
    let span = record.span(trace, last, to, SERVER);
    record.spans[span].error = error;
    record.spans[span].is_request = service.has_kinds;
    (Work { trace, service: to, span, inbound, depth }, span)
}

fn proxy(record: &mut Record<'_>, trace: usize, below: Option<usize>, service: usize, kind: i8) -> usize {
    let span = record.span(trace, below, service, kind);
    record.spans[span].kind = kind;
    record.rest(span, "component", "proxy");
    span
}

fn sidecar(
    record: &mut Record<'_>,
    (trace, below): (usize, Option<usize>),
    service: usize,
    kind: i8,
    direction: &str,
) -> usize {
    let made = &record.system.services[service];
    let span = proxy(record, trace, below, service, kind);
    record.spans[span].shown = made.is_silent.then(|| format!("service:{}", made.name));
    if made.mesh == Mesh::Linkerd {
        record.spans[span].rest.clear();
        record.spans[span].service = "linkerd-proxy".to_owned();
        record.rest(span, "direction", direction);
        return span;
    }
    record.spans[span].service = format!("{}.shop", made.name);
    record.rest(span, "node_id", &format!("sidecar~10.0.0.9~{}-7d.shop~shop.svc.cluster.local", made.name));
    record.rest(span, "istio.canonical_service", &made.name);
    // Envoy with a span for either side names the cluster in both; else the kind tells the direction too.
    if made.mesh == Mesh::IstioBothSides || record.rng.random_bool(0.5) {
        record.rest(span, "upstream_cluster", &format!("{direction}|8080||"));
    }
    span
}

fn database(record: &mut Record<'_>, at: Work, database: &Database) {
    let has_kinds = record.system.services[at.service].has_kinds;
    let outer = query(record, at, at.span, database);
    let place = database.namespace.as_ref().map_or_else(String::new, |name| format!("/{name}"));
    let edge = (record.node(at.service), format!("database:{}{place}", database.system), "Database");
    record.act(edge.clone(), outer, &[]);
    match database.nested {
        Nested::Connection => {
            record.span(at.trace, Some(outer), at.service, INTERNAL);
        }
        // Without kinds nobody can tell that an address is the other side's.
        Nested::Transport if has_kinds => {
            let inner = record.span(at.trace, Some(outer), at.service, CLIENT);
            record.column(inner, "server_address", "transport.example");
            let edge = (record.node(at.service), "external:transport.example".to_owned(), "External");
            record.act(edge, inner, &[]).unless.push(vec![outer]);
        }
        Nested::Driver => {
            let between = record.span(at.trace, Some(outer), at.service, INTERNAL);
            let inner = query(record, at, between, database);
            record.act(edge, inner, &[]).unless.push(vec![outer, between]);
        }
        _ => {}
    }
}

fn query(record: &mut Record<'_>, at: Work, below: usize, database: &Database) -> usize {
    let span = record.span(at.trace, Some(below), at.service, CLIENT);
    record.spans[span].error = record.rng.random_bool(0.1);
    let namespace = database.namespace.as_deref();
    match database.naming {
        0 => {
            record.column(span, "db_system_name", database.system);
            namespace.into_iter().for_each(|name| record.column(span, "db_namespace", name));
        }
        1 => {
            record.column(span, "db_system", database.system);
            namespace.into_iter().for_each(|name| record.column(span, "db_name", name));
        }
        _ => {
            record.rest(span, "db.type", database.system);
            namespace.into_iter().for_each(|name| record.rest(span, "db.instance", name));
        }
    }
    span
}

fn outside(record: &mut Record<'_>, at: Work, place: usize) {
    let outside = &record.system.outsides[place];
    let from = &record.system.services[at.service];
    let edge = (record.node(at.service), format!("external:{}", outside.name), "External");
    let is_told = from.has_kinds || outside.naming == 0;
    if from.mesh != Mesh::None && !from.has_client_spans {
        // Only the sidecar saw it; its maker names no peer but by the URL.
        let (span, _) = leave(record, at, None);
        record.column(span, "http_url", &format!("http://{}/pay?x=1", outside.name));
        record.act(edge, span, &[]);
        return;
    }
    let outer = outside_span(record, at, at.span, place);
    let mut attempts = Vec::new();
    for _ in 0..outside.attempts {
        let span = outside_span(record, at, outer, place);
        attempts.push(vec![span]);
        if is_told {
            record.act(edge.clone(), span, &[]);
        }
    }
    if is_told {
        record.act(edge, outer, &[]).unless = attempts;
    } else {
        return;
    }
    if outside.attempts == 0 && from.mesh != Mesh::None {
        let (span, _) = leave(record, at, Some(outer));
        record.column(span, "http_url", "http://sidecar-says.example/");
    }
}

fn outside_span(record: &mut Record<'_>, at: Work, below: usize, place: usize) -> usize {
    let outside = &record.system.outsides[place];
    let span = record.span(at.trace, Some(below), at.service, CLIENT);
    record.spans[span].error = record.rng.random_bool(0.1);
    match outside.naming {
        0 => record.column(span, "peer_service", &outside.name),
        1 => record.column(span, "server_address", &outside.name),
        2 => record.column(span, "url_full", &format!("https://{}:8443/v1", outside.name)),
        _ => record.rest(span, "http.host", &format!("{}:8443", outside.name)),
    }
    span
}
