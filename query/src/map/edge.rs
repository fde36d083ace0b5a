//! Spans to edges: the rules of the service map, as a pure function.
//!
//! Calls are child spans whose parent in the same trace belongs to another service, whatever the kinds; an edge's time,
//! latency and errors are the child's. Consumers that link to what they took up stand to it as children do. A client or
//! producer span leads to the database, queue or outside peer that its attributes name (`exit.rs`), a queue to its
//! consumers (`message.rs`), and a client to what starts traces. Sidecars are gone before (`fold.rs`). The same in words
//! for users: `docs/guide/service-map-rules.md`.
//!
//! What a span draws depends on all spans of its trace and on those it links to, wherever in time they lie.

use serde::Serialize;
use tracelake_model::{TimeRange, UnixNano};

use crate::map::exit::exits;
use crate::map::message::{Messages, around};
use crate::map::node::NodeKind;
use crate::map::parent::{Parent, SERVER, in_order, parent_of};
use crate::map::role::Role;
use crate::map::span::{NONE, Span, SpanSet};
use crate::map::tree::Tree;

/// What an edge stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EdgeKind {
    /// A service is called, by a service or a client.
    Call,
    /// By way of a message.
    Messaging,
    /// A service asks a database.
    Database,
    /// A service calls a peer that sent no span.
    External,
}

/// One end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum End {
    /// Place in [`SpanSet::services`].
    Service(u32),
    /// Place in [`SpanSet::peers`].
    Peer(u32),
}

/// One call along an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Call {
    /// Start, Unix nanoseconds.
    pub(crate) start: i64,
    /// Duration in nanoseconds.
    pub(crate) duration_ns: i64,
    /// Place in [`SpanSet::traces`].
    pub(crate) trace: u32,
    /// How many calls it stands for, by how its spans were sampled.
    pub(crate) adjusted: f32,
    /// Whether it failed.
    pub(crate) error: bool,
}

/// The source, target and kind of an edge.
pub(crate) type Ends = (End, End, EdgeKind);

/// Gives each call that starts in `range` with the edge that it goes along, in no order. `set` is sealed.
///
/// The calls of adjoining ranges are those of their union, from one set.
pub(crate) fn calls(set: &SpanSet, range: TimeRange, give: &mut dyn FnMut(Ends, Call)) {
    let mut found = Found { messages: Messages::new(set), set, range, give };
    for group in set.by_trace().filter(|group| !set.is_guest(group[0].trace)) {
        if group.iter().any(|span| range.contains(UnixNano(span.start))) {
            found.trace(group);
        }
    }
}

/// The traces about which a set, which holds all spans that start near `range` (`near.rs`), does not tell enough for the
/// spans that start in it: an ancestor or a linked span is not in it, or more might stand below a span that leads out of
/// its service. In no order, each once.
pub(crate) fn incomplete(set: &SpanSet, range: TimeRange) -> Vec<[u8; 16]> {
    let messages = Messages::new(set);
    let mut traces: Vec<u32> = Vec::new();
    for group in set.by_trace() {
        let inside = |span: &Span| range.contains(UnixNano(span.start));
        if set.is_guest(group[0].trace) || !group.iter().any(inside) {
            continue;
        }
        let is_cut = group.iter().any(|span| span.end() >= range.end.0);
        let rootless = rootless(group);
        for (span, rootless) in group.iter().zip(rootless).filter(|(span, _)| inside(span)) {
            let leads_out = span.peer != NONE || span.role.is_sidecar() || span.role.consumes();
            if rootless || is_cut && leads_out {
                traces.push(span.trace);
            }
            let links = set.links_of(span).iter();
            traces.extend(links.filter(|target| messages.find(**target).is_none()).map(|target| target.trace));
        }
    }
    traces.sort_unstable();
    traces.dedup();
    traces.into_iter().map(|trace| *set.traces.get(trace)).collect()
}

/// The traces that spans which start in `range` link to although the linked span is not in the set, with their starts.
pub(crate) fn unfound(set: &SpanSet, range: TimeRange) -> Vec<([u8; 16], i64)> {
    let messages = Messages::new(set);
    let links = |span: &Span| span.links != NONE && range.contains(UnixNano(span.start)) && !set.is_guest(span.trace);
    let mut unfound = Vec::new();
    for span in set.spans.iter().filter(|span| links(span)) {
        let missing = set.links_of(span).iter().filter(|target| messages.find(**target).is_none());
        unfound.extend(missing.map(|target| (*set.traces.get(target.trace), span.start)));
    }
    unfound
}

/// Whether an ancestor of each span of a trace is missing.
fn rootless(group: &[Span]) -> Vec<bool> {
    let parents: Vec<Parent> = (0..group.len()).map(|at| parent_of(group, at, |span| span.link)).collect();
    let mut rootless: Vec<bool> = parents.iter().map(|parent| *parent == Parent::Missing).collect();
    for at in in_order(&parents) {
        if let Parent::At(up) = parents[at] {
            rootless[at] |= rootless[up];
        }
    }
    rootless
}

struct Found<'a> {
    set: &'a SpanSet,
    range: TimeRange,
    messages: Messages<'a>,
    give: &'a mut dyn FnMut(Ends, Call),
}

impl Found<'_> {
    fn trace(&mut self, group: &[Span]) {
        let tree = Tree::new(group);
        let (exits, around) = (exits(self.set, group, &tree), around(group, &tree));
        for (at, span) in group.iter().enumerate() {
            if !self.range.contains(UnixNano(span.start)) {
                continue;
            }
            if exits[at] && !self.messages.hands_on(span) {
                self.exit(span, tree.services[at]);
            }
            if span.is_folded {
                continue;
            }
            match tree.parents[at] {
                Parent::At(up) => self.child(&group[up], span),
                Parent::Root => self.start(span),
                Parent::Missing => {}
            }
            if let Some(around) = around.as_ref().filter(|_| span.role.consumes()) {
                let taken = self.messages.taken(group, &tree, around, at);
                let senders: Vec<&Span> =
                    taken.linked.iter().filter_map(|target| self.messages.find(*target)).collect();
                senders.into_iter().for_each(|sender| self.message(sender, span));
                self.queue(span, taken.count);
            }
        }
    }

    fn child(&mut self, parent: &Span, span: &Span) {
        if parent.link.service == span.link.service {
            return;
        }
        let by_message = span.role.consumes() || parent.role == Role::Send;
        let kind = if by_message { EdgeKind::Messaging } else { EdgeKind::Call };
        let (source, target) = (End::Service(parent.link.service), End::Service(span.link.service));
        // Samplers that share a trace's randomness keep both spans as often as the rarer one.
        self.add((source, target, kind), span, parent.adjusted.max(span.adjusted));
    }

    fn start(&mut self, span: &Span) {
        let client = match span.role {
            Role::Timer => SpanSet::TIMER,
            _ if span.link.kind == SERVER && span.is_request() => SpanSet::USER,
            _ => return,
        };
        self.add((End::Peer(client), End::Service(span.link.service), EdgeKind::Call), span, span.adjusted);
    }

    fn message(&mut self, sender: &Span, span: &Span) {
        if sender.link.service == span.link.service {
            return;
        }
        let (source, target) = (End::Service(sender.link.service), End::Service(span.link.service));
        // The randomness of two traces is independent.
        let adjusted = match sender.trace == span.trace {
            true => sender.adjusted.max(span.adjusted),
            false => sender.adjusted * span.adjusted,
        };
        self.add((source, target, EdgeKind::Messaging), span, adjusted);
    }

    fn queue(&mut self, span: &Span, count: usize) {
        if span.peer != NONE {
            let ends = (End::Peer(span.peer), End::Service(span.link.service), EdgeKind::Messaging);
            (0..count).for_each(|_| self.add(ends, span, span.adjusted));
        }
    }

    fn exit(&mut self, span: &Span, service: u32) {
        let kind = match self.set.peers.get(span.peer).0 {
            NodeKind::Database => EdgeKind::Database,
            NodeKind::Queue => EdgeKind::Messaging,
            NodeKind::External | NodeKind::Service | NodeKind::Client => EdgeKind::External,
        };
        self.add((End::Service(service), End::Peer(span.peer), kind), span, span.adjusted);
    }

    fn add(&mut self, ends: Ends, span: &Span, adjusted: f32) {
        let (start, duration_ns, trace, error) = (span.start, span.duration_ns, span.trace, span.is_error());
        (self.give)(ends, Call { start, duration_ns, trace, adjusted, error });
    }
}
