//! A trace in outline: of each span, once, the little that views of a whole trace need; about 80 bytes a span.
//!
//! Deliberately holds no attributes, events or links: whoever needs those goes to the rows (`trace.rs`).

use std::ops::Range;
use std::sync::Arc;

use crate::map::parent::Link;
use crate::map::span::{ERROR, Interner};
use crate::scan::pick::Stored;

/// The spans of one trace in the order of their ids, each once.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) spans: Vec<OutlineSpan>,
    /// Names of the services, by [`Link::service`].
    pub(crate) services: Interner<Arc<str>>,
    /// Names of the spans, by [`OutlineSpan::name`].
    pub(crate) names: Interner<Arc<str>>,
    /// Further rows that are equal to the one that counts.
    pub(crate) repeated: usize,
    /// Spans of which rows differ; the last stored one counts.
    pub(crate) conflicts: Vec<Conflict>,
}

/// One span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutlineSpan {
    /// Ids, kind and service.
    pub(crate) link: Link,
    /// Start, Unix nanoseconds.
    pub(crate) start: i64,
    /// End, never before the start.
    pub(crate) end: i64,
    /// OTLP number of the status code.
    pub(crate) status: i8,
    /// Place in [`Outline::names`].
    pub(crate) name: u32,
    /// The process that sent it: spans of one process share a clock. Equal for equal resources.
    pub(crate) process: u32,
    /// As it was sent, it ended before it started.
    pub(crate) ends_before_start: bool,
    /// When it was stored, as far as that is known.
    pub(crate) stored: Stored,
    /// Where its row stands: which batch, which row.
    pub(crate) row: (u32, u32),
}

/// A span that was stored with different contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) link: Link,
    /// Rows with contents of their own, the one that counts included.
    pub(crate) versions: usize,
}

impl OutlineSpan {
    /// Whether its status is ERROR.
    pub(crate) fn is_error(&self) -> bool {
        self.status == ERROR
    }

    /// From start to end.
    pub(crate) fn time(&self) -> Range<i64> {
        self.start..self.end
    }
}

impl Outline {
    /// From the earliest start to the latest end; empty at 0 without spans.
    pub(crate) fn time(&self) -> Range<i64> {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or(0);
        start..self.spans.iter().map(|span| span.end).max().unwrap_or(start)
    }
}

#[cfg(test)]
pub(crate) mod made {
    //! Outlines by hand.

    use super::{Outline, OutlineSpan};
    use crate::map::parent::Link;
    use crate::scan::pick::Stored;

    /// A span: id, parent (0 for none), service, kind, start, end.
    pub(crate) type Made<'a> = (u64, u64, &'a str, i8, i64, i64);

    /// A sealed outline; each service is a process of its own.
    pub(crate) fn outline(spans: &[Made<'_>]) -> Outline {
        let mut outline = Outline::default();
        for &(id, parent, service, kind, start, end) in spans {
            let service = outline.services.intern_text(service);
            let name = outline.names.intern_text(&format!("s{id}"));
            outline.spans.push(OutlineSpan {
                link: Link { span: id, parent, kind, service },
                start,
                end,
                status: 0,
                name,
                process: service,
                ends_before_start: false,
                stored: Stored::default(),
                row: (0, 0),
            });
        }
        outline.spans.sort_by_key(|span| (span.link.span, span.link.kind, span.link.service));
        outline
    }
}
