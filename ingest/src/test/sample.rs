//! Requests with every field set, as the generated types of `opentelemetry-proto` and as OTLP/JSON by hand.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

pub(crate) const START: u64 = 1_699_999_999_000_000_000;
pub(crate) const TRACE: [u8; 16] = [0x5b; 16];
pub(crate) const SPAN: [u8; 8] = [0xee; 8];

pub(crate) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(crate) fn key(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

pub(crate) fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

pub(crate) fn resource() -> Option<Resource> {
    let attributes = vec![
        key("service.name", text("cart")),
        key("service.version", text("1.2.3")),
        key("host.cpus", Value::IntValue(4)),
    ];
    Some(Resource { attributes, ..Resource::default() })
}

pub(crate) fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "lib".to_owned(),
        version: "0.1".to_owned(),
        attributes: vec![key("scoped", Value::BoolValue(true))],
        dropped_attributes_count: 0,
    })
}

/// A span with an id and times, nothing else.
pub(crate) fn plain_span(number: u8) -> Span {
    Span {
        trace_id: TRACE.to_vec(),
        span_id: vec![number.max(1); 8],
        name: format!("span {number}"),
        start_time_unix_nano: START,
        end_time_unix_nano: START + 5,
        ..Span::default()
    }
}

pub(crate) fn full_span() -> Span {
    Span {
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        trace_state: "a=b".to_owned(),
        parent_span_id: vec![0xdd; 8],
        flags: 257,
        name: "GET /cart".to_owned(),
        kind: 2,
        start_time_unix_nano: START,
        end_time_unix_nano: START + 1_500,
        attributes: vec![
            key("http.request.method", text("GET")),
            key("http.response.status_code", Value::IntValue(200)),
            key("http.route", Value::IntValue(7)),
            key("ratio", Value::DoubleValue(1.0)),
            key("raw", Value::BytesValue(vec![255, 0, 62])),
            key("list", Value::ArrayValue(ArrayValue { values: vec![any(text("a")), any(Value::IntValue(1))] })),
            key("map", Value::KvlistValue(KeyValueList { values: vec![key("k", Value::BoolValue(false))] })),
            KeyValue { key: "none".to_owned(), ..KeyValue::default() },
        ],
        dropped_attributes_count: 1,
        events: vec![Event {
            time_unix_nano: START + 7,
            name: "exception".to_owned(),
            attributes: vec![key("exception.type", text("E"))],
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![Link {
            trace_id: vec![0x11; 16],
            span_id: vec![0x22; 8],
            trace_state: "l=1".to_owned(),
            attributes: vec![key("why", text("retry"))],
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Some(Status { message: "it broke".to_owned(), code: 2 }),
    }
}

pub(crate) fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(),
            scope_spans: vec![ScopeSpans { scope: scope(), spans, schema_url: "scope-url".to_owned() }],
            schema_url: "resource-url".to_owned(),
        }],
    }
}

/// [`full_span`] in OTLP/JSON, with the freedoms that the encoding allows.
pub(crate) const TRACES_JSON: &str = r#"{"resourceSpans":[{"futureField":{"a":[1,{"b":null}]},
"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}},
{"key":"service.version","value":{"stringValue":"1.2.3"}},{"key":"host.cpus","value":{"intValue":"4"}}]},
"schemaUrl":"resource-url","scopeSpans":[{"schemaUrl":"scope-url",
"scope":{"name":"lib","version":"0.1","attributes":[{"key":"scoped","value":{"boolValue":true}}]},
"spans":[{"traceId":"5B5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b","spanId":"EEEEeeeeeeeeeeee","parentSpanId":"dddddddddddddddd",
"traceState":"a=b","flags":257,"name":"GET \u002fcart","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1699999999000000000",
"endTimeUnixNano":1699999999000001500,"attributes":[
{"key":"http.request.method","value":{"stringValue":"GET"}},
{"key":"http.response.status_code","value":{"intValue":200}},
{"key":"http.route","value":{"intValue":"7"}},
{"key":"ratio","value":{"doubleValue":1}},
{"key":"raw","value":{"bytesValue":"/wA+"}},
{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":1e0}]}}},
{"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":false}}]}}},
{"key":"none","value":null}],"droppedAttributesCount":1,
"events":[{"timeUnixNano":"1699999999000000007","name":"exception","droppedAttributesCount":2,
"attributes":[{"key":"exception.type","value":{"stringValue":"E"}}]}],"droppedEventsCount":3,
"links":[{"traceId":"11111111111111111111111111111111","spanId":"2222222222222222","traceState":"l=1","flags":1,
"attributes":[{"key":"why","value":{"stringValue":"retry"}}],"droppedAttributesCount":4}],"droppedLinksCount":5,
"status":{"message":"it broke","code":2}}]}]}]}"#;

pub(crate) fn full_log() -> LogRecord {
    LogRecord {
        time_unix_nano: START,
        observed_time_unix_nano: START + 9,
        severity_number: 17,
        severity_text: "Error".to_owned(),
        body: Some(any(text("payment failed"))),
        attributes: vec![key("exception.type", text("E")), key("user", text("ann"))],
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        event_name: "pay".to_owned(),
    }
}

pub(crate) fn logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(),
            scope_logs: vec![ScopeLogs { scope: scope(), log_records, schema_url: "scope-url".to_owned() }],
            schema_url: "resource-url".to_owned(),
        }],
    }
}

pub(crate) fn number(value: Option<number_data_point::Value>) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![key("b", Value::IntValue(2)), key("a", text("x"))],
        start_time_unix_nano: START - 1000,
        time_unix_nano: START,
        exemplars: Vec::new(),
        flags: 0,
        value,
    }
}

fn exemplars() -> Vec<Exemplar> {
    vec![Exemplar {
        filtered_attributes: vec![key("f", text("g"))],
        time_unix_nano: START + 3,
        span_id: SPAN.to_vec(),
        trace_id: TRACE.to_vec(),
        value: Some(exemplar::Value::AsInt(5)),
    }]
}

pub(crate) fn full_metrics() -> Vec<Metric> {
    let sum = Sum {
        data_points: vec![NumberDataPoint {
            exemplars: exemplars(),
            ..number(Some(number_data_point::Value::AsInt(-7)))
        }],
        aggregation_temporality: 2,
        is_monotonic: true,
    };
    let gauge = Gauge {
        data_points: vec![
            number(Some(number_data_point::Value::AsDouble(f64::NAN))),
            NumberDataPoint { flags: 1, ..number(None) },
        ],
    };
    let histogram = HistogramDataPoint {
        time_unix_nano: START,
        count: 3,
        sum: Some(6.5),
        bucket_counts: vec![1, 2, 0],
        explicit_bounds: vec![0.5, f64::INFINITY],
        min: Some(0.1),
        ..HistogramDataPoint::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: START,
        count: 9,
        scale: -2,
        zero_count: 1,
        zero_threshold: 0.25,
        positive: Some(Buckets { offset: -3, bucket_counts: vec![4, 0, 4] }),
        ..ExponentialHistogramDataPoint::default()
    };
    let summary = SummaryDataPoint {
        time_unix_nano: START,
        count: 2,
        sum: 3.0,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 1.5 }],
        ..SummaryDataPoint::default()
    };
    let histogram = Histogram { data_points: vec![histogram], aggregation_temporality: 1 };
    let exponential = ExponentialHistogram { data_points: vec![exponential], aggregation_temporality: 0 };
    [
        ("requests", metric::Data::Sum(sum)),
        ("load", metric::Data::Gauge(gauge)),
        ("latency", metric::Data::Histogram(histogram)),
        ("sizes", metric::Data::ExponentialHistogram(exponential)),
        ("waits", metric::Data::Summary(Summary { data_points: vec![summary] })),
    ]
    .map(|(name, data)| Metric {
        name: name.to_owned(),
        description: format!("all {name}"),
        unit: "1".to_owned(),
        metadata: vec![key("m", text("n"))],
        data: Some(data),
    })
    .to_vec()
}

pub(crate) fn metrics(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![ScopeMetrics { scope: scope(), metrics, schema_url: "scope-url".to_owned() }],
            schema_url: "resource-url".to_owned(),
        }],
    }
}

/// [`full_metrics`] in OTLP/JSON.
pub(crate) const METRICS_JSON: &str = r#"{"resourceMetrics":[{"schemaUrl":"resource-url",
"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}},
{"key":"service.version","value":{"stringValue":"1.2.3"}},{"key":"host.cpus","value":{"intValue":"4"}}]},
"scopeMetrics":[{"schemaUrl":"scope-url",
"scope":{"name":"lib","version":"0.1","attributes":[{"key":"scoped","value":{"boolValue":true}}]},"metrics":[
{"name":"requests","description":"all requests","unit":"1","metadata":[{"key":"m","value":{"stringValue":"n"}}],
"sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","isMonotonic":true,"dataPoints":[{"attributes":[
{"key":"b","value":{"intValue":2}},{"key":"a","value":{"stringValue":"x"}}],"startTimeUnixNano":"1699999998999999000",
"timeUnixNano":"1699999999000000000","asInt":"-7","exemplars":[{"filteredAttributes":[{"key":"f","value":{"stringValue":"g"}}],
"timeUnixNano":"1699999999000000003","spanId":"eeeeeeeeeeeeeeee","traceId":"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b","asInt":5}]}]}},
{"name":"load","description":"all load","unit":"1","metadata":[{"key":"m","value":{"stringValue":"n"}}],"gauge":{"dataPoints":[
{"attributes":[{"key":"b","value":{"intValue":2}},{"key":"a","value":{"stringValue":"x"}}],
"startTimeUnixNano":"1699999998999999000","timeUnixNano":"1699999999000000000","asDouble":"NaN"},
{"attributes":[{"key":"b","value":{"intValue":2}},{"key":"a","value":{"stringValue":"x"}}],
"startTimeUnixNano":"1699999998999999000","timeUnixNano":"1699999999000000000","flags":1}]}},
{"name":"latency","description":"all latency","unit":"1","metadata":[{"key":"m","value":{"stringValue":"n"}}],
"histogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"1699999999000000000","count":"3","sum":6.5,
"bucketCounts":["1",2,"0"],"explicitBounds":[0.5,"Infinity"],"min":0.1}]}},
{"name":"sizes","description":"all sizes","unit":"1","metadata":[{"key":"m","value":{"stringValue":"n"}}],
"exponentialHistogram":{"dataPoints":[{"timeUnixNano":"1699999999000000000","count":9,"scale":-2,"zeroCount":"1",
"zeroThreshold":0.25,"positive":{"offset":-3,"bucketCounts":["4","0",4]}}]}},
{"name":"waits","description":"all waits","unit":"1","metadata":[{"key":"m","value":{"stringValue":"n"}}],
"summary":{"dataPoints":[{"timeUnixNano":"1699999999000000000","count":"2","sum":3,
"quantileValues":[{"quantile":0.5,"value":1.5}]}]}}]}]}]}"#;
