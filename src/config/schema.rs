//! [`Config`] and the keys that fill it: from them come reading, refusing, the defaults and the documentation.
//!
//! A key is added here (those of storage: `storage.rs`) and nowhere else. Deliberately reads nothing itself: `load.rs` brings the texts.

use std::path::PathBuf;

use tracelake_model::TenantId;

use crate::config::value::{
    Address, parse_bool, parse_count, parse_rate, parse_size, parse_small_count, show_count, show_rate, show_size,
};

/// Everything the process is told at start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where the data lives.
    pub(crate) data_dir: PathBuf,
    /// The tenant of callers without authentication.
    pub(crate) tenant_default: TenantId,
    /// The doors.
    pub(crate) listen: Listen,
    /// The ingest wing's own.
    pub(crate) ingest: tracelake_ingest::Config,
    /// The storage wing's own.
    pub(crate) storage: tracelake_storage::Config,
    /// The query wing's own.
    pub(crate) query: tracelake_query::Config,
    /// The alerting wing's own.
    pub(crate) alerting: tracelake_alerting::Config,
    /// Whether notices may go to private addresses; `None`: where nobody else reaches the server.
    pub(crate) private_receivers: Option<bool>,
    /// File of static bearer tokens; `None`: no authentication.
    pub(crate) tokens_file: Option<PathBuf>,
    /// TLS on every door.
    pub(crate) tls: Tls,
    /// Our own log.
    pub(crate) log: Log,
    /// The demo shop.
    pub(crate) demo: Demo,
}

/// The doors' addresses.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) otlp_grpc: Address,
    pub(crate) otlp_http: Address,
    pub(crate) http: Address,
    pub(crate) zipkin: Address,
    pub(crate) jaeger_http: Address,
    /// Listen beyond loopback without authentication.
    pub(crate) insecure: bool,
}

impl Listen {
    /// Every door's key and address.
    pub(crate) fn doors(&self) -> [(&'static str, &Address); 5] {
        [
            ("otlp_grpc", &self.otlp_grpc),
            ("otlp_http", &self.otlp_http),
            ("http", &self.http),
            ("zipkin", &self.zipkin),
            ("jaeger_http", &self.jaeger_http),
        ]
    }
}

/// PEM files; both or none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// Our own log on standard error.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// `info`, or a filter such as `info,tracelake_storage=debug`.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What `tracelake demo` does unless flags say otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    /// OTLP/gRPC address to send to.
    pub(crate) endpoint: String,
    /// Requests per second of the shop.
    pub(crate) rate: u32,
    /// Seed of everything that is chance.
    pub(crate) seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| Address::At { host: "127.0.0.1".to_owned(), port };
        Self {
            data_dir: PathBuf::from("./tracelake-data"),
            tenant_default: TenantId::default(),
            listen: Listen {
                otlp_grpc: local(4317),
                otlp_http: local(4318),
                http: local(4319),
                zipkin: Address::Off,
                jaeger_http: Address::Off,
                insecure: false,
            },
            ingest: tracelake_ingest::Config::default(),
            storage: tracelake_storage::Config::default(),
            query: tracelake_query::Config::default(),
            alerting: tracelake_alerting::Config::default(),
            private_receivers: None,
            tokens_file: None,
            tls: Tls::default(),
            log: Log { level: "info".to_owned(), format: LogFormat::Text },
            demo: Demo { endpoint: "http://127.0.0.1:4317".to_owned(), rate: 50, seed: 1 },
        }
    }
}

/// A section of the file with its keys.
pub(crate) struct Section {
    /// Empty for keys that stand at the top.
    pub(crate) name: &'static str,
    /// A sentence.
    pub(crate) doc: &'static str,
    pub(crate) settings: &'static [Setting],
}

/// One key.
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// A sentence.
    pub(crate) doc: &'static str,
    /// The value as TOML text; empty when it has none.
    pub(crate) show: fn(&Config) -> String,
    /// Takes the value from its text.
    pub(crate) set: fn(&mut Config, &str) -> Result<(), String>,
}

/// One key of a tenant, below `[SECTION.tenant.NAME]`. The file alone has them.
pub(crate) struct TenantSetting {
    pub(crate) key: &'static str,
    /// A sentence.
    pub(crate) doc: &'static str,
    /// What the reference shows, as TOML text.
    pub(crate) example: &'static str,
    /// Takes the value from its text.
    pub(crate) set: fn(&mut Config, TenantId, &str) -> Result<(), String>,
}

pub(crate) const TOP: &[Setting] = &[
    Setting {
        key: "data_dir",
        doc: "Directory of the write-ahead log, the tables and the documents. Made when absent; one process at a time.",
        show: |config| quote(config.data_dir.display()),
        set: |config, text| path(text).map(|path| config.data_dir = path),
    },
    Setting {
        key: "tenant_default",
        doc: "Tenant of callers without authentication: 1 to 63 characters of a-z, 0-9 and '-'.",
        show: |config| quote(&config.tenant_default),
        set: |config, text| {
            TenantId::new(text).map(|tenant| config.tenant_default = tenant).map_err(|error| error.to_string())
        },
    },
];

pub(crate) const LISTEN: &[Setting] = &[
    Setting {
        key: "otlp_grpc",
        doc: "OTLP over gRPC, and Jaeger's PostSpans.",
        show: |config| quote(&config.listen.otlp_grpc),
        set: |config, text| Address::parse(text).map(|address| config.listen.otlp_grpc = address),
    },
    Setting {
        key: "otlp_http",
        doc: "OTLP over HTTP, and the routes of Zipkin and Jaeger.",
        show: |config| quote(&config.listen.otlp_http),
        set: |config, text| Address::parse(text).map(|address| config.listen.otlp_http = address),
    },
    Setting {
        key: "http",
        doc: "Web pages, API, health and self-metrics.",
        show: |config| quote(&config.listen.http),
        set: |config, text| Address::parse(text).map(|address| config.listen.http = address),
    },
    Setting {
        key: "zipkin",
        doc: "Zipkin v2 alone, where clients cannot be sent to otlp_http: host or host:port, usually port 9411.",
        show: |config| quote(&config.listen.zipkin),
        set: |config, text| Address::parse_usual(text, 9411).map(|address| config.listen.zipkin = address),
    },
    Setting {
        key: "jaeger_http",
        doc: "Jaeger Thrift over HTTP alone, where clients cannot be sent to otlp_http: host or host:port, usually port 14268.",
        show: |config| quote(&config.listen.jaeger_http),
        set: |config, text| Address::parse_usual(text, 14268).map(|address| config.listen.jaeger_http = address),
    },
    Setting {
        key: "insecure",
        doc: "Allows doors beyond loopback without authentication: everybody who reaches them reads and writes everything.",
        show: |config| config.listen.insecure.to_string(),
        set: |config, text| parse_bool(text).map(|flag| config.listen.insecure = flag),
    },
];

pub(crate) const LIMITS: &[Setting] = &[
    Setting {
        key: "request_bytes",
        doc: "Decompressed bytes of one OTLP request.",
        show: |config| quote(show_size(config.ingest.limits.request_bytes)),
        set: |config, text| parse_size(text).map(|bytes| config.ingest.limits.request_bytes = bytes),
    },
    Setting {
        key: "in_flight_bytes",
        doc: "Bytes of all OTLP requests being taken at one moment; more are told when to come back. While a tenant waits for room, others get no more than their share.",
        show: |config| quote(show_size(config.ingest.in_flight_bytes)),
        set: |config, text| parse_size(text).map(|bytes| config.ingest.in_flight_bytes = bytes),
    },
    Setting {
        key: "tenant_bytes_per_second",
        doc: "Decompressed bytes a second that one tenant may send over time; beyond, it is told when to come back. off: no limit.",
        show: |config| quote(show_rate(config.ingest.tenant_rate)),
        set: |config, text| parse_rate(text).map(|rate| config.ingest.tenant_rate = rate),
    },
    Setting {
        key: "tenant_burst_bytes",
        doc: "Bytes that one tenant may send at once above its rate; without it, what the rate lets pass in ten seconds.",
        show: |config| config.ingest.tenant_burst_bytes.map_or_else(String::new, |bytes| quote(show_size(bytes))),
        set: |config, text| parse_size(text).map(|bytes| config.ingest.tenant_burst_bytes = Some(bytes)),
    },
    Setting {
        key: "records_per_request",
        doc: "Spans, log records or points of one request.",
        show: |config| show_count(config.ingest.limits.records.into()),
        set: |config, text| parse_small_count(text).map(|count| config.ingest.limits.records = count),
    },
    Setting {
        key: "attributes_per_record",
        doc: "Attributes of one record, event, link, point, exemplar, resource or scope; further ones are dropped and counted, in `tracelake.dropped` where no column counts them.",
        show: |config| show_count(config.ingest.limits.attributes.into()),
        set: |config, text| parse_small_count(text).map(|count| config.ingest.limits.attributes = count),
    },
    Setting {
        key: "value_bytes",
        doc: "Bytes of one text value; longer text is cut and its key listed in `tracelake.cut`.",
        show: |config| quote(show_size(config.ingest.limits.value_bytes.into())),
        set: |config, text| {
            let bytes =
                u32::try_from(parse_size(text)?).map_err(|_| format!("{text:?} is too large; at most 3 GiB"))?;
            config.ingest.limits.value_bytes = bytes;
            Ok(())
        },
    },
    Setting {
        key: "nesting",
        doc: "Depth of nested attribute values; a deeper record is refused.",
        show: |config| show_count(config.ingest.limits.nesting.into()),
        set: |config, text| parse_small_count(text).map(|count| config.ingest.limits.nesting = count),
    },
    Setting {
        key: "tail_bytes",
        doc: "Memory for rows that are not yet in Parquet; reaching it flushes early.",
        show: |config| quote(show_size(config.storage.tail_bytes)),
        set: |config, text| parse_size(text).map(|bytes| config.storage.tail_bytes = bytes),
    },
    Setting {
        key: "trace_index_bytes",
        doc: "Memory of the index that says which parts hold a trace, about 6 bytes a trace; beyond, the parts stored first are looked into for every trace.",
        show: |config| quote(show_size(config.storage.trace_index_bytes)),
        set: |config, text| parse_size(text).map(|bytes| config.storage.trace_index_bytes = bytes),
    },
    Setting {
        key: "sql_seconds",
        doc: "Seconds that one SQL question may take.",
        show: |config| show_count(config.query.sql_seconds),
        set: |config, text| parse_count(text).map(|count| config.query.sql_seconds = count),
    },
    Setting {
        key: "sql_memory",
        doc: "Memory that one SQL question may take.",
        show: |config| quote(show_size(config.query.sql_memory)),
        set: |config, text| parse_size(text).map(|bytes| config.query.sql_memory = bytes),
    },
    Setting {
        key: "sql_rows",
        doc: "Rows of one SQL answer; a longer one is cut and says so.",
        show: |config| show_count(config.query.sql_rows),
        set: |config, text| parse_count(text).map(|count| config.query.sql_rows = count),
    },
];

pub(crate) const ALERTING: &[Setting] = &[
    Setting {
        key: "default_pack",
        doc: "The rules that come with the server: common English and Korean failure words, and exceptions.",
        show: |config| config.alerting.default_pack.to_string(),
        set: |config, text| parse_bool(text).map(|flag| config.alerting.default_pack = flag),
    },
    Setting {
        key: "external_url",
        doc: "Address under which people reach the pages; notices link to it.",
        show: |config| config.alerting.external_url.as_ref().map_or_else(String::new, quote),
        set: |config, text| {
            config.alerting.external_url = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "private_receivers",
        doc: "`allow` or `refuse`: whether notices may go to private and loopback addresses. Without it: only while every door is on loopback without authentication.",
        show: |config| match config.private_receivers {
            Some(true) => quote("allow"),
            Some(false) => quote("refuse"),
            None => String::new(),
        },
        set: |config, text| {
            config.private_receivers = match text {
                "allow" => Some(true),
                "refuse" => Some(false),
                _ => return Err(format!("{text:?} is neither allow nor refuse")),
            };
            Ok(())
        },
    },
];

pub(crate) const AUTH: &[Setting] = &[Setting {
    key: "tokens_file",
    doc: "TOML file of bearer tokens (`tracelake token` makes entries). Without it nobody is asked for a credential.",
    show: |config| config.tokens_file.as_ref().map_or_else(String::new, |path| quote(path.display())),
    set: |config, text| path(text).map(|path| config.tokens_file = Some(path)),
}];

pub(crate) const TLS: &[Setting] = &[
    Setting {
        key: "cert",
        doc: "PEM file of the certificate chain.",
        show: |config| config.tls.cert.as_ref().map_or_else(String::new, |path| quote(path.display())),
        set: |config, text| path(text).map(|path| config.tls.cert = Some(path)),
    },
    Setting {
        key: "key",
        doc: "PEM file of the private key.",
        show: |config| config.tls.key.as_ref().map_or_else(String::new, |path| quote(path.display())),
        set: |config, text| path(text).map(|path| config.tls.key = Some(path)),
    },
];

pub(crate) const LOG: &[Setting] = &[
    Setting {
        key: "level",
        doc: "error, warn, info, debug or trace, or a filter such as info,tracelake_storage=debug.",
        show: |config| quote(&config.log.level),
        set: |config, text| {
            let valid = text.parse::<tracing_subscriber::filter::Targets>();
            valid.map_err(|error| format!("{text:?} is not a log filter: {error}"))?;
            text.clone_into(&mut config.log.level);
            Ok(())
        },
    },
    Setting {
        key: "format",
        doc: "text or json.",
        show: |config| quote(if config.log.format == LogFormat::Json { "json" } else { "text" }),
        set: |config, text| {
            config.log.format = match text {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err(format!("{text:?} is neither text nor json")),
            };
            Ok(())
        },
    },
];

pub(crate) const DEMO: &[Setting] = &[
    Setting {
        key: "endpoint",
        doc: "OTLP/gRPC address that the demo sends to.",
        show: |config| quote(&config.demo.endpoint),
        set: |config, text| {
            text.clone_into(&mut config.demo.endpoint);
            Ok(())
        },
    },
    Setting {
        key: "rate",
        doc: "Requests per second of the shop, 1 to 10_000.",
        show: |config| show_count(config.demo.rate.into()),
        set: |config, text| match parse_small_count(text)? {
            rate @ 1..=10_000 => {
                config.demo.rate = rate;
                Ok(())
            }
            rate => Err(format!("{rate} requests per second are not offered; use 1 to 10000")),
        },
    },
    Setting {
        key: "seed",
        doc: "Seed of everything that is chance: the same seed and start time make the same records.",
        show: |config| show_count(config.demo.seed),
        set: |config, text| parse_count(text).map(|seed| config.demo.seed = seed),
    },
];

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

#[expect(clippy::needless_pass_by_value, reason = "takes what show() made, owned or not")]
pub(crate) fn quote(text: impl ToString) -> String {
    toml::Value::String(text.to_string()).to_string()
}
