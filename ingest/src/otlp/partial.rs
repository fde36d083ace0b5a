//! Single records that were refused while the rest of their request was kept, counted by reason.

use std::fmt::Write as _;

use tracelake_model::Signal;

/// Why one record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Some text is not UTF-8.
    Utf8,
    /// A value nests deeper than the limit.
    Nesting,
    /// The record, or the request up to it, holds more nested values than a walk keeps.
    Items,
    /// A time does not fit a signed 64-bit integer.
    Time,
    /// A count does not fit a signed 64-bit integer.
    Count,
    /// A span's trace id.
    TraceId,
    /// A span's own id.
    SpanId,
    /// A field of another protocol than OTLP is not of its type.
    Form,
}

impl Reason {
    /// Every reason.
    pub(crate) const ALL: [Reason; 8] =
        [Self::Utf8, Self::Nesting, Self::Items, Self::Time, Self::Count, Self::TraceId, Self::SpanId, Self::Form];

    fn text(self) -> &'static str {
        match self {
            Self::Utf8 => "with text that is not UTF-8",
            Self::Nesting => "with values nested deeper than the limit",
            Self::Items => "with more values, events, links or exemplars than one request may hold",
            Self::Time => "with a time above 2^63-1",
            Self::Count => "with a count above 2^63-1",
            Self::TraceId => "with a trace id that is not 16 bytes or is zero",
            Self::SpanId => "with a span id that is not 8 bytes or is zero",
            Self::Form => "with a field that is not of its type",
        }
    }
}

/// How many records were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused([u32; Reason::ALL.len()]);

impl Refused {
    /// Counts `records` more for one reason.
    pub(crate) fn add(&mut self, reason: Reason, records: u32) {
        self.0[reason as usize] = self.0[reason as usize].saturating_add(records);
    }

    /// Those of one reason.
    pub(crate) fn of(&self, reason: Reason) -> u32 {
        self.0[reason as usize]
    }

    /// Counts those that were refused elsewhere too.
    pub(crate) fn merge(&mut self, others: Refused) {
        for reason in Reason::ALL {
            self.add(reason, others.of(reason));
        }
    }

    /// All of them.
    pub(crate) fn total(&self) -> u32 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// A line for the sender: how many of which kind, empty when none.
    pub(crate) fn message(&self, signal: Signal) -> String {
        let noun = match signal {
            Signal::Traces => "span",
            Signal::Logs | Signal::Audit => "log record",
            Signal::Metrics => "data point",
        };
        let plural = if self.total() == 1 { "" } else { "s" };
        if self.total() == 0 {
            return String::new();
        }
        let mut text = format!("{} {noun}{plural} refused:", self.total());
        let told = Reason::ALL.into_iter().filter(|&reason| self.of(reason) > 0);
        for (i, reason) in told.enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(text, "{comma} {} {}", self.of(reason), reason.text());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_how_many_of_each_kind() {
        let mut refused = Refused::default();
        assert_eq!(refused.message(Signal::Traces), "");
        refused.add(Reason::SpanId, 1);
        refused.add(Reason::Utf8, 2);
        assert_eq!(
            refused.message(Signal::Traces),
            "3 spans refused: 2 with text that is not UTF-8, 1 with a span id that is not 8 bytes or is zero"
        );
    }
}
