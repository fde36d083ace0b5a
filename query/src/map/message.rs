//! Messages: which consumers took up what which producers sent, by parent or by link, within a trace and across.
//!
//! One message may have left several spans with its consumer: where one span fetched it and another worked on it, the
//! latter counts; inside a span that worked on it, none counts it again.
//! Source: OpenTelemetry semantic conventions for messaging spans (a consumer links to the spans that sent its messages).

use std::collections::HashSet;

use crate::map::near::is_near;
use crate::map::parent::{CLIENT, SERVER};
use crate::map::role::Role;
use crate::map::span::{NONE, Span, SpanSet, Target};
use crate::map::tree::Tree;

/// Messages of a whole set.
#[derive(Debug)]
pub(crate) struct Messages<'a> {
    set: &'a SpanSet,
    /// What spans of a service worked on, by their links and parents.
    processed: HashSet<(u32, Target)>,
}

/// What a consumer took up.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The spans that its links name and that no other span of its service tells of.
    pub(crate) linked: Vec<Target>,
    /// Messages out of its queue.
    pub(crate) count: usize,
}

impl<'a> Messages<'a> {
    /// Looks through a sealed set.
    pub(crate) fn new(set: &'a SpanSet) -> Self {
        let mut processed = HashSet::new();
        if set.spans.iter().any(|span| span.role == Role::Receive) {
            for span in set.spans.iter().filter(|span| span.role == Role::Process) {
                let parent = Target { trace: span.trace, span: span.link.parent };
                let sources = set.links_of(span).iter().copied().chain([parent]);
                processed.extend(sources.map(|source| (span.link.service, source)));
            }
            processed.extend(set.processed_elsewhere.iter().copied());
        }
        Self { set, processed }
    }

    /// The span that a link names; of two that share the id, the one that sent the message.
    pub(crate) fn find(&self, target: Target) -> Option<&'a Span> {
        let spans = &self.set.spans;
        let first = spans.partition_point(|span| (span.trace, span.link.span) < (target.trace, target.span));
        let same = spans[first..].iter().take_while(|span| (span.trace, span.link.span) == (target.trace, target.span));
        same.filter(|span| !span.is_folded).max_by_key(|span| span.role == Role::Send)
    }

    /// Whether a span only hands on what spans of its own service created for the same queue.
    pub(crate) fn hands_on(&self, span: &Span) -> bool {
        let created = |target: &Target| {
            let found = self.find(*target);
            found
                .is_some_and(|one| (one.role, one.peer, one.link.service) == (Role::Send, span.peer, span.link.service))
        };
        span.role == Role::Send && self.set.links_of(span).iter().any(created)
    }

    /// What the consumer at a place of a trace took up. `around` is its [`around`].
    pub(crate) fn taken(&self, group: &[Span], tree: &Tree, around: &Around, at: usize) -> Taken {
        let span = &group[at];
        let mut linked = self.set.links_of(span).to_vec();
        let sender = sender(group, tree, at);
        linked.retain(|target| Some(*target) != sender);
        let told = linked.len() + usize::from(sender.is_some());
        if span.role == Role::Receive {
            let is_new = |target: &Target| !self.processed.contains(&(span.link.service, *target));
            linked.retain(is_new);
            let workers = around.workers[at];
            let count = if told > 0 {
                let new = linked.len() + usize::from(sender.as_ref().is_some_and(is_new));
                new.saturating_sub(workers.unlinked)
            } else {
                // Old consumers leave no link; a client that links to nothing fetched nothing.
                usize::from(span.link.kind != CLIENT && workers.all == 0)
            };
            return Taken { linked, count };
        }
        let Some(outer) = around.worker[at] else { return Taken { linked, count: told.max(1) } };
        let known = self.set.links_of(&group[outer]);
        linked.retain(|target| !known.contains(target) && Some(*target) != self::sender(group, tree, outer));
        let count = if group[outer].peer == span.peer { linked.len() } else { told.max(1) };
        Taken { linked, count }
    }
}

/// The parent of a consumer, where it sent the message.
fn sender(group: &[Span], tree: &Tree, at: usize) -> Option<Target> {
    let up = &group[tree.parent(at)?];
    let sent = up.link.service != group[at].link.service || up.role == Role::Send;
    sent.then_some(Target { trace: up.trace, span: up.link.span })
}

/// How the consumers of one trace stand inside each other.
#[derive(Debug)]
pub(crate) struct Around {
    /// The span of the same service around each that works on messages.
    worker: Vec<Option<usize>>,
    /// Those below each, within its service, that work on messages of the same queue.
    workers: Vec<Workers>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Workers {
    all: usize,
    /// Without links of their own.
    unlinked: usize,
}

/// How the consumers of a group stand inside each other; `None` when it has none.
pub(crate) fn around(group: &[Span], tree: &Tree) -> Option<Around> {
    if !group.iter().any(|span| span.role.consumes()) {
        return None;
    }
    let mut worker = vec![None; group.len()];
    let mut receiver = vec![None; group.len()];
    let mut workers = vec![Workers::default(); group.len()];
    for &at in &tree.order {
        // Past a call or another message it is another story.
        let is_same = |up: &usize| group[*up].link.kind != SERVER && group[*up].role != Role::Send;
        let Some(up) = tree.parent_within(at).filter(is_same) else { continue };
        worker[at] = if group[up].role == Role::Process { Some(up) } else { worker[up] };
        receiver[at] = if group[up].role == Role::Receive { Some(up) } else { receiver[up] };
        let is_its = |place: &usize| {
            let (span, outer) = (&group[at], &group[*place]);
            outer.peer == span.peer && is_near(span.start, outer.start, outer.end())
        };
        let works_for = receiver[at].filter(is_its);
        if let (Role::Process, Some(place)) = (group[at].role, works_for) {
            workers[place].all += 1;
            workers[place].unlinked += usize::from(group[at].links == NONE);
        }
    }
    Some(Around { worker, workers })
}
