//! Fields of a span as queries name them: attributes by scope, and intrinsics in both spellings.

use std::fmt;
use std::sync::Arc;

use crate::traceql::literal::Type;

/// Where an attribute is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// `.key`: the span, then its resource.
    Any,
    /// `span.key`.
    Span,
    /// `resource.key`.
    Resource,
    /// `event.key`: one value of each event that has it.
    Event,
    /// `link.key`: one value of each link that has it.
    Link,
    /// `instrumentation.key`: the scope's attributes.
    Instrumentation,
    /// `parent.key`: the parent span, then its resource.
    Parent,
    /// `parent.span.key`.
    ParentSpan,
    /// `parent.resource.key`.
    ParentResource,
}

/// All scopes with the prefixes that name them; longer prefixes first.
pub(crate) const SCOPES: [(&str, Scope); 8] = [
    ("parent.span", Scope::ParentSpan),
    ("parent.resource", Scope::ParentResource),
    ("parent", Scope::Parent),
    ("span", Scope::Span),
    ("resource", Scope::Resource),
    ("event", Scope::Event),
    ("link", Scope::Link),
    ("instrumentation", Scope::Instrumentation),
];

/// A field that every span, trace, event, link or scope has by nature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Intrinsic {
    Name,
    Status,
    StatusMessage,
    Kind,
    Duration,
    SpanId,
    ParentId,
    ChildCount,
    NestedSetLeft,
    NestedSetRight,
    NestedSetParent,
    TraceId,
    TraceDuration,
    RootName,
    RootService,
    EventName,
    EventTimeSinceStart,
    LinkTraceId,
    LinkSpanId,
    InstrumentationName,
    InstrumentationVersion,
}

/// Spellings of the intrinsics; where there are two the older comes first.
pub(crate) const INTRINSICS: [(&str, Intrinsic); 34] = [
    ("name", Intrinsic::Name),
    ("span:name", Intrinsic::Name),
    ("status", Intrinsic::Status),
    ("span:status", Intrinsic::Status),
    ("statusMessage", Intrinsic::StatusMessage),
    ("span:statusMessage", Intrinsic::StatusMessage),
    ("kind", Intrinsic::Kind),
    ("span:kind", Intrinsic::Kind),
    ("duration", Intrinsic::Duration),
    ("span:duration", Intrinsic::Duration),
    ("span:id", Intrinsic::SpanId),
    ("parent", Intrinsic::ParentId),
    ("span:parentID", Intrinsic::ParentId),
    ("childCount", Intrinsic::ChildCount),
    ("span:childCount", Intrinsic::ChildCount),
    ("nestedSetLeft", Intrinsic::NestedSetLeft),
    ("nestedSetRight", Intrinsic::NestedSetRight),
    ("nestedSetParent", Intrinsic::NestedSetParent),
    ("trace:id", Intrinsic::TraceId),
    ("traceDuration", Intrinsic::TraceDuration),
    ("trace:duration", Intrinsic::TraceDuration),
    ("rootName", Intrinsic::RootName),
    ("trace:rootName", Intrinsic::RootName),
    ("rootServiceName", Intrinsic::RootService),
    ("trace:rootService", Intrinsic::RootService),
    ("trace:rootServiceName", Intrinsic::RootService),
    ("event:name", Intrinsic::EventName),
    ("event:timeSinceStart", Intrinsic::EventTimeSinceStart),
    ("link:traceID", Intrinsic::LinkTraceId),
    ("link:spanID", Intrinsic::LinkSpanId),
    ("instrumentation:name", Intrinsic::InstrumentationName),
    ("scope:name", Intrinsic::InstrumentationName),
    ("instrumentation:version", Intrinsic::InstrumentationVersion),
    ("scope:version", Intrinsic::InstrumentationVersion),
];

impl Intrinsic {
    /// What it holds.
    pub(crate) fn of_type(self) -> Type {
        match self {
            Self::Status => Type::Status,
            Self::Kind => Type::Kind,
            Self::Duration
            | Self::ChildCount
            | Self::NestedSetLeft
            | Self::NestedSetRight
            | Self::NestedSetParent
            | Self::TraceDuration
            | Self::EventTimeSinceStart => Type::Number,
            _ => Type::Text,
        }
    }

    /// Whether only the whole trace tells its value.
    pub(crate) fn is_of_trace(self) -> bool {
        matches!(
            self,
            Self::ChildCount
                | Self::NestedSetLeft
                | Self::NestedSetRight
                | Self::NestedSetParent
                | Self::TraceDuration
                | Self::RootName
                | Self::RootService
        )
    }
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// What somebody recorded.
    Attribute { scope: Scope, name: Arc<str> },
    /// What is there by nature, as it was spelled.
    Intrinsic { what: Intrinsic, spelled: &'static str },
}

impl Field {
    /// An attribute.
    pub(crate) fn attribute(scope: Scope, name: &str) -> Self {
        Self::Attribute { scope, name: Arc::from(name) }
    }

    /// The intrinsic of a spelling.
    pub(crate) fn intrinsic(spelling: &str) -> Option<Self> {
        let found = INTRINSICS.iter().find(|(known, _)| *known == spelling);
        found.map(|(spelled, what)| Self::Intrinsic { what: *what, spelled })
    }

    /// What is known of its values.
    pub(crate) fn of_type(&self) -> Type {
        match self {
            Self::Attribute { .. } => Type::Unknown,
            Self::Intrinsic { what, .. } => what.of_type(),
        }
    }

    /// Whether one row of the table does not tell its value: it needs the other spans of the trace.
    pub(crate) fn is_of_trace(&self) -> bool {
        match self {
            Self::Attribute { scope, .. } => {
                matches!(scope, Scope::Parent | Scope::ParentSpan | Scope::ParentResource)
            }
            Self::Intrinsic { what, .. } => what.is_of_trace(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intrinsic { spelled, .. } => f.write_str(spelled),
            Self::Attribute { scope, name } => {
                let prefix = SCOPES.iter().find(|(_, known)| known == scope).map_or("", |(prefix, _)| prefix);
                // Behind a point without scope digits would be a number.
                let is_number = *scope == Scope::Any && name.starts_with(|c: char| c.is_ascii_digit());
                if name.chars().all(is_name_char) && !is_number {
                    write!(f, "{prefix}.{name}")
                } else {
                    write!(f, "{prefix}.\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
                }
            }
        }
    }
}

/// Whether a character may stand in an attribute's name without quotes.
pub(crate) fn is_name_char(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(c, '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ',' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_shown_as_they_are_written() {
        let check = |field: &Field, shown: &str| assert_eq!(field.to_string(), shown);
        check(&Field::attribute(Scope::Any, "a.b"), ".a.b");
        check(&Field::attribute(Scope::ParentResource, "a"), "parent.resource.a");
        check(&Field::attribute(Scope::Span, "two \"words\""), "span.\"two \\\"words\\\"\"");
        for (spelled, what) in INTRINSICS {
            let field = Field::intrinsic(spelled).expect(spelled);
            assert_eq!(field, Field::Intrinsic { what, spelled });
            check(&field, spelled);
        }
        assert_eq!(Field::intrinsic("span:nam"), None);
    }
}
