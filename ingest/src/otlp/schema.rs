//! The fields of OTLP messages as OTLP/JSON names them, with their protobuf numbers and types.
//!
//! Source: `opentelemetry-proto` 1.9 `.proto` files, and the OTLP specification's "JSON Protobuf Encoding" (lower camel
//! case keys, hex ids). Deliberately holds data only; `json.rs` reads by it.

use tracelake_model::Signal;

/// One field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its JSON key.
    pub(crate) key: &'static str,
    /// Its protobuf number.
    pub(crate) number: u32,
    /// Its type.
    pub(crate) kind: Kind,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// Bytes in base64.
    Base64,
    /// An id in hex.
    Hex,
    /// A bool.
    Bool,
    /// `int64` as varint.
    Int64,
    /// `uint32` or `uint64` as varint.
    Uint,
    /// `sint32` as zigzag varint.
    Sint32,
    /// `fixed32`.
    Fixed32,
    /// `fixed64`.
    Fixed64,
    /// `sfixed64`.
    Sfixed64,
    /// A double.
    Double,
    /// An enum; the names of its numbers from 0.
    Enum(&'static [&'static str]),
    /// A message.
    Message(&'static [Field]),
    /// An `AnyValue`: a message that deepens the nesting.
    Any,
    /// A list of one of the above.
    List(&'static Kind),
}

const fn field(key: &'static str, number: u32, kind: Kind) -> Field {
    Field { key, number, kind }
}

/// The request of a signal.
pub(crate) fn request(signal: Signal) -> &'static [Field] {
    match signal {
        Signal::Traces => TRACES,
        Signal::Logs | Signal::Audit => LOGS,
        Signal::Metrics => METRICS,
    }
}

/// Fields of `AnyValue`.
pub(crate) static ANY: &[Field] = &[
    field("stringValue", 1, Kind::Text),
    field("boolValue", 2, Kind::Bool),
    field("intValue", 3, Kind::Int64),
    field("doubleValue", 4, Kind::Double),
    field("arrayValue", 5, Kind::Message(&[field("values", 1, Kind::List(&Kind::Any))])),
    field("kvlistValue", 6, Kind::Message(&[field("values", 1, ATTRIBUTES)])),
    field("bytesValue", 7, Kind::Base64),
];

const KEY_VALUE: &[Field] = &[field("key", 1, Kind::Text), field("value", 2, Kind::Any)];
const ATTRIBUTES: Kind = Kind::List(&Kind::Message(KEY_VALUE));

const RESOURCE: Kind =
    Kind::Message(&[field("attributes", 1, ATTRIBUTES), field("droppedAttributesCount", 2, Kind::Uint)]);
const SCOPE: Kind = Kind::Message(&[
    field("name", 1, Kind::Text),
    field("version", 2, Kind::Text),
    field("attributes", 3, ATTRIBUTES),
    field("droppedAttributesCount", 4, Kind::Uint),
]);

static TRACES: &[Field] = &[field(
    "resourceSpans",
    1,
    Kind::List(&Kind::Message(&[
        field("resource", 1, RESOURCE),
        field(
            "scopeSpans",
            2,
            Kind::List(&Kind::Message(&[
                field("scope", 1, SCOPE),
                field("spans", 2, Kind::List(&Kind::Message(SPAN))),
                field("schemaUrl", 3, Kind::Text),
            ])),
        ),
        field("schemaUrl", 3, Kind::Text),
    ])),
)];

const SPAN: &[Field] = &[
    field("traceId", 1, Kind::Hex),
    field("spanId", 2, Kind::Hex),
    field("traceState", 3, Kind::Text),
    field("parentSpanId", 4, Kind::Hex),
    field("name", 5, Kind::Text),
    field("kind", 6, Kind::Enum(SPAN_KIND)),
    field("startTimeUnixNano", 7, Kind::Fixed64),
    field("endTimeUnixNano", 8, Kind::Fixed64),
    field("attributes", 9, ATTRIBUTES),
    field("droppedAttributesCount", 10, Kind::Uint),
    field("events", 11, Kind::List(&Kind::Message(EVENT))),
    field("droppedEventsCount", 12, Kind::Uint),
    field("links", 13, Kind::List(&Kind::Message(LINK))),
    field("droppedLinksCount", 14, Kind::Uint),
    field("status", 15, Kind::Message(&[field("message", 2, Kind::Text), field("code", 3, Kind::Enum(STATUS_CODE))])),
    field("flags", 16, Kind::Fixed32),
];

const EVENT: &[Field] = &[
    field("timeUnixNano", 1, Kind::Fixed64),
    field("name", 2, Kind::Text),
    field("attributes", 3, ATTRIBUTES),
    field("droppedAttributesCount", 4, Kind::Uint),
];

const LINK: &[Field] = &[
    field("traceId", 1, Kind::Hex),
    field("spanId", 2, Kind::Hex),
    field("traceState", 3, Kind::Text),
    field("attributes", 4, ATTRIBUTES),
    field("droppedAttributesCount", 5, Kind::Uint),
    field("flags", 6, Kind::Fixed32),
];

static LOGS: &[Field] = &[field(
    "resourceLogs",
    1,
    Kind::List(&Kind::Message(&[
        field("resource", 1, RESOURCE),
        field(
            "scopeLogs",
            2,
            Kind::List(&Kind::Message(&[
                field("scope", 1, SCOPE),
                field("logRecords", 2, Kind::List(&Kind::Message(LOG_RECORD))),
                field("schemaUrl", 3, Kind::Text),
            ])),
        ),
        field("schemaUrl", 3, Kind::Text),
    ])),
)];

const LOG_RECORD: &[Field] = &[
    field("timeUnixNano", 1, Kind::Fixed64),
    field("severityNumber", 2, Kind::Enum(SEVERITY)),
    field("severityText", 3, Kind::Text),
    field("body", 5, Kind::Any),
    field("attributes", 6, ATTRIBUTES),
    field("droppedAttributesCount", 7, Kind::Uint),
    field("flags", 8, Kind::Fixed32),
    field("traceId", 9, Kind::Hex),
    field("spanId", 10, Kind::Hex),
    field("observedTimeUnixNano", 11, Kind::Fixed64),
    field("eventName", 12, Kind::Text),
];

static METRICS: &[Field] = &[field(
    "resourceMetrics",
    1,
    Kind::List(&Kind::Message(&[
        field("resource", 1, RESOURCE),
        field(
            "scopeMetrics",
            2,
            Kind::List(&Kind::Message(&[
                field("scope", 1, SCOPE),
                field("metrics", 2, Kind::List(&Kind::Message(METRIC))),
                field("schemaUrl", 3, Kind::Text),
            ])),
        ),
        field("schemaUrl", 3, Kind::Text),
    ])),
)];

const METRIC: &[Field] = &[
    field("name", 1, Kind::Text),
    field("description", 2, Kind::Text),
    field("unit", 3, Kind::Text),
    field("gauge", 5, Kind::Message(&[field("dataPoints", 1, NUMBER_POINTS)])),
    field(
        "sum",
        7,
        Kind::Message(&[
            field("dataPoints", 1, NUMBER_POINTS),
            field("aggregationTemporality", 2, Kind::Enum(TEMPORALITY)),
            field("isMonotonic", 3, Kind::Bool),
        ]),
    ),
    field(
        "histogram",
        9,
        Kind::Message(&[
            field("dataPoints", 1, Kind::List(&Kind::Message(HISTOGRAM_POINT))),
            field("aggregationTemporality", 2, Kind::Enum(TEMPORALITY)),
        ]),
    ),
    field(
        "exponentialHistogram",
        10,
        Kind::Message(&[
            field("dataPoints", 1, Kind::List(&Kind::Message(EXPONENTIAL_POINT))),
            field("aggregationTemporality", 2, Kind::Enum(TEMPORALITY)),
        ]),
    ),
    field("summary", 11, Kind::Message(&[field("dataPoints", 1, Kind::List(&Kind::Message(SUMMARY_POINT)))])),
    field("metadata", 12, ATTRIBUTES),
];

const NUMBER_POINTS: Kind = Kind::List(&Kind::Message(&[
    field("attributes", 7, ATTRIBUTES),
    field("startTimeUnixNano", 2, Kind::Fixed64),
    field("timeUnixNano", 3, Kind::Fixed64),
    field("asDouble", 4, Kind::Double),
    field("exemplars", 5, EXEMPLARS),
    field("asInt", 6, Kind::Sfixed64),
    field("flags", 8, Kind::Uint),
]));

const HISTOGRAM_POINT: &[Field] = &[
    field("startTimeUnixNano", 2, Kind::Fixed64),
    field("timeUnixNano", 3, Kind::Fixed64),
    field("count", 4, Kind::Fixed64),
    field("sum", 5, Kind::Double),
    field("bucketCounts", 6, Kind::List(&Kind::Fixed64)),
    field("explicitBounds", 7, Kind::List(&Kind::Double)),
    field("exemplars", 8, EXEMPLARS),
    field("attributes", 9, ATTRIBUTES),
    field("flags", 10, Kind::Uint),
    field("min", 11, Kind::Double),
    field("max", 12, Kind::Double),
];

const EXPONENTIAL_POINT: &[Field] = &[
    field("attributes", 1, ATTRIBUTES),
    field("startTimeUnixNano", 2, Kind::Fixed64),
    field("timeUnixNano", 3, Kind::Fixed64),
    field("count", 4, Kind::Fixed64),
    field("sum", 5, Kind::Double),
    field("scale", 6, Kind::Sint32),
    field("zeroCount", 7, Kind::Fixed64),
    field("positive", 8, BUCKETS),
    field("negative", 9, BUCKETS),
    field("flags", 10, Kind::Uint),
    field("exemplars", 11, EXEMPLARS),
    field("min", 12, Kind::Double),
    field("max", 13, Kind::Double),
    field("zeroThreshold", 14, Kind::Double),
];

const BUCKETS: Kind =
    Kind::Message(&[field("offset", 1, Kind::Sint32), field("bucketCounts", 2, Kind::List(&Kind::Uint))]);

const SUMMARY_POINT: &[Field] = &[
    field("startTimeUnixNano", 2, Kind::Fixed64),
    field("timeUnixNano", 3, Kind::Fixed64),
    field("count", 4, Kind::Fixed64),
    field("sum", 5, Kind::Double),
    field(
        "quantileValues",
        6,
        Kind::List(&Kind::Message(&[field("quantile", 1, Kind::Double), field("value", 2, Kind::Double)])),
    ),
    field("attributes", 7, ATTRIBUTES),
    field("flags", 8, Kind::Uint),
];

const EXEMPLARS: Kind = Kind::List(&Kind::Message(&[
    field("timeUnixNano", 2, Kind::Fixed64),
    field("asDouble", 3, Kind::Double),
    field("spanId", 4, Kind::Hex),
    field("traceId", 5, Kind::Hex),
    field("asInt", 6, Kind::Sfixed64),
    field("filteredAttributes", 7, ATTRIBUTES),
]));

const SPAN_KIND: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const STATUS_CODE: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
const TEMPORALITY: &[&str] =
    &["AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE"];
const SEVERITY: &[&str] = &[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];
