//! Attributes of the shop's resources and spans by OpenTelemetry's semantic conventions (1.37).

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::demo::session::Session;
use crate::demo::shop::{Door, Operation, Service};

/// Text.
pub(crate) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, any_value::Value::StringValue(value.into()))
}

/// A whole number.
pub(crate) fn int(key: &str, value: impl Into<i64>) -> KeyValue {
    pair(key, any_value::Value::IntValue(value.into()))
}

/// True or false.
pub(crate) fn boolean(key: &str, value: bool) -> KeyValue {
    pair(key, any_value::Value::BoolValue(value))
}

/// A text value by itself.
pub(crate) fn text_value(value: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value.into())) }
}

/// A map value by itself.
pub(crate) fn map_value(values: Vec<KeyValue>) -> AnyValue {
    AnyValue { value: Some(any_value::Value::KvlistValue(KeyValueList { values })) }
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The pod's name of one instance.
pub(crate) fn pod(service: &Service, instance: u8) -> String {
    let letters = ["x7k2p", "q9d4m", "t3v8z", "b6n1w"];
    format!("{}-6f9c8d7b5-{}", service.name, letters[usize::from(instance) % letters.len()])
}

/// The resource of one instance of a service in a release.
pub(crate) fn resource(service: &Service, version: &str, instance: u8) -> Resource {
    let (runtime, runtime_version) = runtime(service.language);
    let node = format!("ip-10-0-{}-{}.ap-northeast-2", instance + 1, 10 + service.index % 3);
    let id = format!("{:08x}-0000-4000-8000-{:012x}", 0x51d0_0000_usize + service.index, instance);
    let attributes = vec![
        text("service.name", service.name),
        text("service.namespace", "shop"),
        text("service.version", version),
        text("service.instance.id", id),
        text("deployment.environment.name", "production"),
        text("k8s.cluster.name", "shop-seoul-1"),
        text("k8s.namespace.name", "shop"),
        text("k8s.deployment.name", service.name),
        text("k8s.pod.name", pod(service, instance)),
        text("k8s.node.name", node.clone()),
        text("k8s.container.name", service.name),
        text("container.image.name", format!("registry.example.com/shop/{}", service.name)),
        pair(
            "container.image.tags",
            any_value::Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
                values: vec![text_value(version)],
            }),
        ),
        text("host.name", node),
        text("cloud.provider", "aws"),
        text("cloud.region", "ap-northeast-2"),
        text("process.runtime.name", runtime),
        text("process.runtime.version", runtime_version),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", service.language),
        text("telemetry.sdk.version", "1.37.0"),
    ];
    Resource { attributes, ..Resource::default() }
}

fn runtime(language: &str) -> (&'static str, &'static str) {
    match language {
        "nodejs" => ("nodejs", "22.20.0"),
        "go" => ("go", "go1.25.3"),
        "dotnet" => (".NET", "9.0.10"),
        "java" => ("OpenJDK Runtime Environment", "21.0.9+10"),
        "ruby" => ("ruby", "3.3.9"),
        "python" => ("cpython", "3.13.9"),
        _ => ("native", "1"),
    }
}

/// The instrumentation scope that a language's spans of an operation come from.
pub(crate) fn scope_name(language: &str) -> &'static str {
    match language {
        "nodejs" => "@opentelemetry/instrumentation-http",
        "go" => "go.opentelemetry.io/contrib/instrumentation",
        "dotnet" => "OpenTelemetry.Instrumentation.AspNetCore",
        "java" => "io.opentelemetry.grpc-1.6",
        "ruby" => "OpenTelemetry::Instrumentation::Rack",
        "python" => "opentelemetry.instrumentation.grpc",
        _ => "shop",
    }
}

/// The name of an operation's own span.
pub(crate) fn server_name(operation: &Operation) -> String {
    match &operation.door {
        Door::Http { method, route } => format!("{method} {route}"),
        Door::Grpc { service, method } => format!("{service}/{method}"),
        Door::Topic { .. } => "process orders".to_owned(),
        Door::Cron { .. } => operation.service.name.to_owned(),
    }
}

/// The address of a service inside the cluster.
pub(crate) fn address(service: &Service) -> String {
    format!("{}.shop.svc.cluster.local", service.name)
}

/// Attributes of an operation's own span. `status` is HTTP's; gRPC's code follows from it.
pub(crate) fn server(operation: &Operation, session: &Session, status: u16, outside: bool) -> Vec<KeyValue> {
    match &operation.door {
        Door::Http { method, route } => {
            let mut out = vec![
                text("http.request.method", *method),
                text("http.route", *route),
                text("url.path", session.fill(route)),
                text("url.scheme", if outside { "https" } else { "http" }),
                text("network.protocol.version", "1.1"),
                text(
                    "server.address",
                    if outside { "shop.example.com".to_owned() } else { address(operation.service) },
                ),
                int("http.response.status_code", status),
            ];
            if outside {
                out.push(int("server.port", 443));
                out.push(text("client.address", session.address.clone()));
                out.push(text("user_agent.original", session.agent));
                out.push(text("enduser.id", session.user.clone()));
            } else {
                out.push(int("server.port", operation.service.port));
            }
            out
        }
        Door::Grpc { service, method } => vec![
            text("rpc.system", "grpc"),
            text("rpc.service", *service),
            text("rpc.method", *method),
            int("rpc.grpc.status_code", grpc_code(status)),
            text("server.address", address(operation.service)),
            int("server.port", operation.service.port),
        ],
        Door::Topic { group } => {
            let mut out = messaging("process", session);
            out.push(text("messaging.consumer.group.name", *group));
            out
        }
        Door::Cron { schedule } => vec![
            text("faas.trigger", "timer"),
            text("faas.cron", *schedule),
            text("k8s.cronjob.name", operation.service.name),
        ],
    }
}

/// Attributes of the caller's span of a call to `operation`.
pub(crate) fn client(operation: &Operation, session: &Session, status: u16) -> Vec<KeyValue> {
    let host = address(operation.service);
    let port = i64::from(operation.service.port);
    match &operation.door {
        Door::Http { method, route } => vec![
            text("http.request.method", *method),
            text("url.full", format!("http://{host}:{port}{}", session.fill(route))),
            text("server.address", host),
            int("server.port", port),
            int("http.response.status_code", status),
        ],
        Door::Grpc { service, method } => vec![
            text("rpc.system", "grpc"),
            text("rpc.service", *service),
            text("rpc.method", *method),
            int("rpc.grpc.status_code", grpc_code(status)),
            text("server.address", host),
            int("server.port", port),
        ],
        Door::Topic { .. } | Door::Cron { .. } => Vec::new(),
    }
}

/// Attributes of a message on the topic `orders`.
pub(crate) fn messaging(operation: &str, session: &Session) -> Vec<KeyValue> {
    let partition = session.order.bytes().map(u32::from).sum::<u32>() % 6;
    vec![
        text("messaging.system", "kafka"),
        text("messaging.destination.name", "orders"),
        text("messaging.operation.type", operation),
        text("messaging.operation.name", operation),
        text("messaging.destination.partition.id", partition.to_string()),
        text("messaging.message.id", session.order.clone()),
        text("messaging.kafka.message.key", session.order.clone()),
        text("server.address", "kafka.shop.svc.cluster.local"),
        int("server.port", 9092),
    ]
}

/// Attributes of a question to PostgreSQL.
pub(crate) fn postgresql(database: &str, verb: &str, table: &str, query: &str) -> Vec<KeyValue> {
    vec![
        text("db.system.name", "postgresql"),
        text("db.namespace", database),
        text("db.collection.name", table),
        text("db.operation.name", verb),
        text("db.query.text", query),
        text("server.address", format!("pg-{database}.shop.svc.cluster.local")),
        int("server.port", 5432),
    ]
}

/// Attributes of a question to Redis.
pub(crate) fn redis(command: &str, key: &str) -> Vec<KeyValue> {
    vec![
        text("db.system.name", "redis"),
        text("db.namespace", "0"),
        text("db.operation.name", command),
        text("db.query.text", format!("{command} {key}")),
        text("server.address", "redis.shop.svc.cluster.local"),
        int("server.port", 6379),
    ]
}

/// Attributes of a call to somebody outside. `status` 0: no answer came.
pub(crate) fn external(host: &str, method: &str, path: &str, status: u16) -> Vec<KeyValue> {
    let mut out = vec![
        text("http.request.method", method),
        text("url.full", format!("https://{host}{path}")),
        text("server.address", host),
        int("server.port", 443),
    ];
    if status != 0 {
        out.push(int("http.response.status_code", status));
    }
    out
}

/// The gRPC code that says what an HTTP status says (grpc/grpc `doc/statuscodes.md`).
pub(crate) fn grpc_code(status: u16) -> i64 {
    match status {
        0..400 => 0,
        400 => 3,
        401 => 16,
        402 => 9,
        404 => 5,
        503 => 14,
        504 => 4,
        _ => 13,
    }
}
