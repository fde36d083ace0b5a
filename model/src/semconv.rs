//! Which attributes of the OpenTelemetry semantic conventions get a typed column of their own ("promoted").
//!
//! A value whose type is not the promoted one stays in `attributes_rest`; a promoted value is not stored there too.
//! Resource attributes differ: `resource_attributes` holds all of them (one dictionary entry per distinct resource), and
//! the promoted ones stand in columns besides. Source: OpenTelemetry semantic conventions 1.37.

use arrow::datatypes::DataType;

/// One promoted attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// The attribute's key.
    pub key: &'static str,
    /// The column's name: the key with dots as underscores.
    pub column: &'static str,
    /// The value's type.
    pub kind: PromotedKind,
}

/// The type of a promoted attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromotedKind {
    /// Text.
    String,
    /// 64-bit integer.
    Int,
    /// Boolean.
    Bool,
}

impl PromotedKind {
    /// The column's Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Bool => DataType::Boolean,
        }
    }
}

const fn text(key: &'static str, column: &'static str) -> Promoted {
    Promoted { key, column, kind: PromotedKind::String }
}

const fn int(key: &'static str, column: &'static str) -> Promoted {
    Promoted { key, column, kind: PromotedKind::Int }
}

/// Attributes promoted on spans, in column order.
pub const SPAN: &[Promoted] = &[
    text("http.request.method", "http_request_method"),
    int("http.response.status_code", "http_response_status_code"),
    text("http.route", "http_route"),
    text("http.method", "http_method"),
    int("http.status_code", "http_status_code"),
    text("http.url", "http_url"),
    text("http.target", "http_target"),
    text("url.full", "url_full"),
    text("url.path", "url_path"),
    text("url.query", "url_query"),
    text("url.scheme", "url_scheme"),
    text("user_agent.original", "user_agent_original"),
    text("server.address", "server_address"),
    int("server.port", "server_port"),
    text("client.address", "client_address"),
    text("network.peer.address", "network_peer_address"),
    int("network.peer.port", "network_peer_port"),
    text("network.protocol.name", "network_protocol_name"),
    text("network.protocol.version", "network_protocol_version"),
    text("net.peer.name", "net_peer_name"),
    text("peer.service", "peer_service"),
    text("rpc.system", "rpc_system"),
    text("rpc.service", "rpc_service"),
    text("rpc.method", "rpc_method"),
    int("rpc.grpc.status_code", "rpc_grpc_status_code"),
    text("db.system.name", "db_system_name"),
    text("db.system", "db_system"),
    text("db.namespace", "db_namespace"),
    text("db.name", "db_name"),
    text("db.collection.name", "db_collection_name"),
    text("db.operation.name", "db_operation_name"),
    text("db.query.text", "db_query_text"),
    text("db.statement", "db_statement"),
    text("messaging.system", "messaging_system"),
    text("messaging.destination.name", "messaging_destination_name"),
    text("messaging.operation.type", "messaging_operation_type"),
    text("messaging.message.id", "messaging_message_id"),
    text("error.type", "error_type"),
    text("code.function.name", "code_function_name"),
    int("thread.id", "thread_id"),
    text("thread.name", "thread_name"),
    text("enduser.id", "enduser_id"),
];

/// Attributes promoted on log records, in column order.
pub const LOG: &[Promoted] = &[
    text("exception.type", "exception_type"),
    text("exception.message", "exception_message"),
    text("http.request.method", "http_request_method"),
    int("http.response.status_code", "http_response_status_code"),
    text("http.route", "http_route"),
    text("url.path", "url_path"),
    text("error.type", "error_type"),
    text("code.function.name", "code_function_name"),
    text("log.file.name", "log_file_name"),
    text("enduser.id", "enduser_id"),
];

/// Resource attributes promoted on every signal, in column order. `service.name` is the column `service_name` besides.
pub const RESOURCE: &[Promoted] = &[
    text("service.namespace", "service_namespace"),
    text("service.version", "service_version"),
    text("service.instance.id", "service_instance_id"),
    text("deployment.environment.name", "deployment_environment_name"),
    text("k8s.cluster.name", "k8s_cluster_name"),
    text("k8s.namespace.name", "k8s_namespace_name"),
    text("k8s.deployment.name", "k8s_deployment_name"),
    text("k8s.pod.name", "k8s_pod_name"),
    text("k8s.node.name", "k8s_node_name"),
    text("host.name", "host_name"),
];

/// The service of a resource that names none.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// The attribute that tells what was odd about a record's times: [`END_BEFORE_START`] or [`NO_TIME`].
pub const CLOCK: &str = "tracelake.clock";
/// The span ended before it started; its duration is shown as 0.
pub const END_BEFORE_START: &str = "end before start";
/// The log record carried no time of its own; `time` shows the observed or the receive time.
pub const NO_TIME: &str = "no time";
/// The attribute that lists (comma-separated) the keys whose text was cut to `limits.value_bytes`.
pub const CUT: &str = "tracelake.cut";
/// The attribute that counts what is missing beside it, dropped by the sender or beyond `limits.attributes_per_record`,
/// where the table has no column for that count: resources, scopes, points, exemplars, audit records.
pub const DROPPED: &str = "tracelake.dropped";
/// On points, the attribute that keeps series apart which differ in dropped attributes alone: XXH3-64 of those in hex.
pub const DROPPED_HASH: &str = "tracelake.dropped_hash";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promoted_column_is_named_after_its_key() {
        for promoted in SPAN.iter().chain(LOG).chain(RESOURCE) {
            assert_eq!(promoted.column, promoted.key.replace('.', "_"));
        }
    }
}
