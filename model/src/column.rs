//! Every column name, once. Names are those of the Parquet files; SQL views rename times (see `table.rs`).

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
    };
}

columns! {
    /// Partition of every table: UTC day, only in directory names.
    DATE = "date";
    /// 16 bytes, null when absent.
    TRACE_ID = "trace_id";
    /// 8 bytes, null when absent.
    SPAN_ID = "span_id";
    /// 8 bytes, null for a root.
    PARENT_SPAN_ID = "parent_span_id";
    /// W3C tracestate as sent.
    TRACE_STATE = "trace_state";
    /// OTLP flags of the record.
    FLAGS = "flags";
    /// `service.name` of the resource, or `unknown_service`.
    SERVICE_NAME = "service_name";
    /// Span or metric name.
    NAME = "name";
    /// Span kind: 0 UNSPECIFIED, 1 INTERNAL, 2 SERVER, 3 CLIENT, 4 PRODUCER, 5 CONSUMER (OTLP numbers).
    KIND = "kind";
    /// Span start, Unix nanoseconds.
    START_UNIX_NANO = "start_unix_nano";
    /// Span end, Unix nanoseconds.
    END_UNIX_NANO = "end_unix_nano";
    /// `end - start`, 0 when the end lies before the start.
    DURATION_NS = "duration_ns";
    /// Span status: 0 UNSET, 1 OK, 2 ERROR (OTLP numbers).
    STATUS_CODE = "status_code";
    /// Text of the status.
    STATUS_MESSAGE = "status_message";
    /// JSON text of the attributes that are not promoted; null when there are none.
    ATTRIBUTES_REST = "attributes_rest";
    /// JSON text of all attributes (tables without promoted attributes).
    ATTRIBUTES = "attributes";
    /// JSON text of all resource attributes.
    RESOURCE_ATTRIBUTES = "resource_attributes";
    /// Schema URL of the resource.
    RESOURCE_SCHEMA_URL = "resource_schema_url";
    /// Instrumentation scope's name.
    SCOPE_NAME = "scope_name";
    /// Instrumentation scope's version.
    SCOPE_VERSION = "scope_version";
    /// JSON text of the scope's attributes.
    SCOPE_ATTRIBUTES = "scope_attributes";
    /// Schema URL of the scope.
    SCHEMA_URL = "schema_url";
    /// Span events.
    EVENTS = "events";
    /// Span links.
    LINKS = "links";
    /// Attributes that the sender or our limit dropped.
    DROPPED_ATTRIBUTES_COUNT = "dropped_attributes_count";
    /// Events that the sender dropped.
    DROPPED_EVENTS_COUNT = "dropped_events_count";
    /// Links that the sender dropped.
    DROPPED_LINKS_COUNT = "dropped_links_count";
    /// Time of a record or point, Unix nanoseconds.
    TIME_UNIX_NANO = "time_unix_nano";
    /// When the record was observed, Unix nanoseconds, 0 when not sent.
    OBSERVED_UNIX_NANO = "observed_unix_nano";
    /// OTLP severity 0 to 24.
    SEVERITY_NUMBER = "severity_number";
    /// Severity as the source spells it.
    SEVERITY_TEXT = "severity_text";
    /// Log body: text, or JSON text when structured.
    BODY = "body";
    /// `string int double bool bytes array kvlist`; null without a body.
    BODY_TYPE = "body_type";
    /// Event name of a log record.
    EVENT_NAME = "event_name";
    /// Metric description.
    DESCRIPTION = "description";
    /// Metric unit (UCUM).
    UNIT = "unit";
    /// Metric type, or exception type.
    TYPE = "type";
    /// `unspecified delta cumulative`; null where the type has none.
    TEMPORALITY = "temporality";
    /// Whether a sum only grows.
    MONOTONIC = "monotonic";
    /// Value of a number point as double.
    VALUE = "value";
    /// Value of a number point that was sent as integer.
    VALUE_INT = "value_int";
    /// Observations of a histogram or summary point.
    COUNT = "count";
    /// Sum of the observations.
    SUM = "sum";
    /// Smallest observation.
    MIN = "min";
    /// Greatest observation.
    MAX = "max";
    /// Counts of an explicit histogram's buckets.
    BUCKET_COUNTS = "bucket_counts";
    /// Bounds of an explicit histogram's buckets.
    EXPLICIT_BOUNDS = "explicit_bounds";
    /// Scale of an exponential histogram.
    SCALE = "scale";
    /// Count of the zero bucket.
    ZERO_COUNT = "zero_count";
    /// Width of the zero bucket.
    ZERO_THRESHOLD = "zero_threshold";
    /// Offset of the positive buckets.
    POSITIVE_OFFSET = "positive_offset";
    /// Counts of the positive buckets.
    POSITIVE_COUNTS = "positive_counts";
    /// Offset of the negative buckets.
    NEGATIVE_OFFSET = "negative_offset";
    /// Counts of the negative buckets.
    NEGATIVE_COUNTS = "negative_counts";
    /// Quantiles of a summary.
    QUANTILES = "quantiles";
    /// Exemplars of a point.
    EXEMPLARS = "exemplars";
    /// JSON text of a metric's metadata.
    METADATA = "metadata";
    /// Order of an audit record within its tenant, from 1, without gaps.
    SEQ = "seq";
    /// Identity of an audit record.
    RECORD_ID = "record_id";
    /// Who did it.
    ACTOR_ID = "actor_id";
    /// What kind of actor.
    ACTOR_TYPE = "actor_type";
    /// What was done.
    ACTION = "action";
    /// How it ended.
    OUTCOME = "outcome";
    /// What it was done to.
    TARGET_ID = "target_id";
    /// What kind of target.
    TARGET_TYPE = "target_type";
    /// Where it came from.
    SOURCE_ID = "source_id";
    /// SHA-256 of the record's canonical form, lower-case hex.
    RECORD_HASH = "record_hash";
    /// Exception message.
    MESSAGE = "message";
    /// Exception stack trace.
    STACKTRACE = "stacktrace";
    /// Which group of exceptions an occurrence belongs to.
    FINGERPRINT = "fingerprint";
    /// Where an exception was found: `span` or `log`.
    SOURCE = "source";
    /// `service.version` of the resource.
    SERVICE_VERSION = "service_version";
    /// The rule of an alert or notice.
    RULE_ID = "rule_id";
    /// Kind of rule.
    RULE_KIND = "rule_kind";
    /// Severity of a rule.
    SEVERITY = "severity";
    /// JSON object of an alert's group.
    GROUP = "group";
    /// State of an alert after a transition: `firing resolved`.
    STATE = "state";
    /// Name of an alert's episode.
    EPISODE = "episode";
    /// A line for people.
    TITLE = "title";
    /// First match of an episode, Unix nanoseconds.
    FIRST_SEEN_UNIX_NANO = "first_seen_unix_nano";
    /// Last match of an episode, Unix nanoseconds.
    LAST_SEEN_UNIX_NANO = "last_seen_unix_nano";
    /// Identity of a notice, the same at every attempt.
    NOTICE_ID = "notice_id";
    /// Where a notice goes.
    RECEIVER_ID = "receiver_id";
    /// Number of a delivery attempt, from 1.
    ATTEMPT = "attempt";
    /// How an attempt ended: `delivered retrying dead`.
    STATUS = "status";
    /// When the next attempt is due, Unix nanoseconds; null when there is none.
    NEXT_ATTEMPT_UNIX_NANO = "next_attempt_unix_nano";
    /// What the receiver answered, or why it could not be reached.
    ANSWER = "answer";
    /// Start of a minute, Unix nanoseconds.
    MINUTE_UNIX_NANO = "minute_unix_nano";
    /// Which computation of its minute a row belongs to; only rows of the greatest one count.
    GENERATION = "generation";
    /// Who is called.
    TARGET = "target";
    /// What stands at an edge's source: `service database queue external client`.
    SOURCE_KIND = "source_kind";
    /// What stands at an edge's target.
    TARGET_KIND = "target_kind";
    /// How many calls.
    CALLS = "calls";
    /// How many of them failed.
    ERRORS = "errors";
    /// How many calls there were before sampling, as far as the spans tell.
    CALLS_ESTIMATED = "calls_estimated";
    /// How many failed calls there were before sampling.
    ERRORS_ESTIMATED = "errors_estimated";
    /// Histogram of durations (`table::latency_fields`).
    LATENCY = "latency";
    /// Whether one end sent no span of its own.
    INFERRED = "inferred";
    /// Traces worth a look (`table::example_fields`).
    EXAMPLES = "examples";
    /// How many spans.
    SPANS = "spans";
    /// Whether all operations of a service have rows of their own.
    WHOLE = "whole";
    /// Pairs of numbers of commits of `spans`, first and last: parts that a minute was computed from.
    COMMITS = "commits";
}
