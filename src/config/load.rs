//! Lays flags over environment over file over defaults, and tells every problem of all of them at once.
//!
//! Deliberately takes the environment as a list: nothing below `main` reads the process's own.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tracelake_model::TenantId;

use crate::config::check::check;
use crate::config::schema::{Config, TenantSetting};
use crate::config::section::{SECTIONS, environment_name, find_setting};
use crate::config::tenant::tenant_settings;

/// Variables of this prefix that are not keys: the file's own twin, what clients use, what builds and tests use.
const NOT_KEYS: &[&str] =
    &["TRACELAKE_CONFIG", "TRACELAKE_SERVER", "TRACELAKE_TOKEN", "TRACELAKE_UI_DIST", "TRACELAKE_TEST_DATA"];

/// Where values come from, the weakest first.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    /// The TOML file, if one is named.
    pub(crate) file: Option<PathBuf>,
    /// The process's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Section, key and text of each flag given.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "configuration: {one}"),
            many => {
                write!(f, "configuration has {} problems:", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// Reads all layers and checks the whole.
pub(crate) fn load(layers: &Layers) -> Result<Config, Problems> {
    let mut loading = Loading { config: Config::default(), problems: Vec::new() };
    if let Some(file) = &layers.file {
        loading.read_file(file);
    }
    loading.read_environment(&layers.environment);
    for (section, key, text) in &layers.flags {
        let flag = if *section == "listen" && *key != "insecure" { format!("listen-{key}") } else { (*key).to_owned() };
        loading.set(section, key, text, &format!("--{}", flag.replace('_', "-")));
    }
    loading.finish()
}

struct Loading {
    config: Config,
    problems: Vec<String>,
}

impl Loading {
    fn read_file(&mut self, file: &Path) {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => return self.problems.push(format!("file {} cannot be read: {error}", file.display())),
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.read_table(table),
            Err(error) => self.problems.push(format!("file {} is not TOML: {error}", file.display())),
        }
    }

    fn read_table(&mut self, table: toml::Table) {
        for (name, value) in table {
            let is_section = SECTIONS.iter().any(|section| !section.name.is_empty() && section.name == name);
            match value {
                toml::Value::Table(keys) if is_section => {
                    for (key, value) in keys {
                        self.read_value(&name, &key, value);
                    }
                }
                _ if is_section => self.problems.push(format!("{name} is a section; write [{name}] before its keys")),
                value => self.read_value("", &name, value),
            }
        }
    }

    fn read_value(&mut self, section: &str, key: &str, value: toml::Value) {
        let path = dotted(section, key);
        match (section, key, value) {
            ("alerting", "rule", toml::Value::Array(items)) => {
                let rules = self.read_array("alerting.rule", items);
                self.config.alerting.rules.extend(rules);
            }
            ("alerting", "receiver", toml::Value::Array(items)) => {
                let receivers = self.read_array("alerting.receiver", items);
                self.config.alerting.receivers.extend(receivers);
            }
            ("alerting", "rule" | "receiver", _) => {
                self.problems.push(format!("{path} is a list; begin each entry with [[{path}]]"));
            }
            (_, "tenant", value) if let Some(settings) = tenant_settings(section) => {
                self.read_tenants(section, settings, value);
            }
            (_, _, toml::Value::Table(inner)) if has_inner(section, key) => {
                for (name, value) in inner {
                    self.read_value(section, &format!("{key}.{name}"), value);
                }
            }
            (_, _, toml::Value::String(text)) => self.set(section, key, &text, &path),
            (_, _, toml::Value::Integer(number)) => self.set(section, key, &number.to_string(), &path),
            (_, _, toml::Value::Float(number)) => self.set(section, key, &number.to_string(), &path),
            (_, _, toml::Value::Boolean(flag)) => self.set(section, key, &flag.to_string(), &path),
            _ if find_setting(section, key).is_some() => {
                self.problems.push(format!("{path} takes one value, not a list, table or date"));
            }
            _ => self.problems.push(unknown(section, &path)),
        }
    }

    /// The keys of `[SECTION.tenant.NAME]`.
    fn read_tenants(&mut self, section: &str, settings: &'static [TenantSetting], value: toml::Value) {
        let toml::Value::Table(tenants) = value else {
            return self.problems.push(format!("{section}.tenant is no key; write [{section}.tenant.NAME]"));
        };
        for (name, value) in tenants {
            self.read_tenant(&format!("{section}.tenant.{name}"), settings, &name, value);
        }
    }

    fn read_tenant(&mut self, path: &str, settings: &'static [TenantSetting], name: &str, value: toml::Value) {
        let tenant = match TenantId::new(name) {
            Ok(tenant) => tenant,
            Err(error) => return self.problems.push(format!("{path}: {error}")),
        };
        let toml::Value::Table(keys) = value else {
            return self.problems.push(format!("{path} is a section; write [{path}] before its keys"));
        };
        for (key, value) in keys {
            let Some(setting) = settings.iter().find(|setting| setting.key == key) else {
                let known: Vec<_> = settings.iter().map(|setting| setting.key).collect();
                self.problems.push(format!("{path}.{key} is not known; known here: {}", known.join(", ")));
                continue;
            };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if let Err(problem) = (setting.set)(&mut self.config, tenant.clone(), &text) {
                self.problems.push(format!("{path}.{key}: {problem}"));
            }
        }
    }

    fn read_array<T: for<'de> Deserialize<'de>>(&mut self, path: &str, items: Vec<toml::Value>) -> Vec<T> {
        let mut entries = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let id = item.get("id").and_then(toml::Value::as_str).map(|id| format!(" ({id})")).unwrap_or_default();
            match T::deserialize(item) {
                Ok(entry) => entries.push(entry),
                Err(error) => self.problems.push(format!("{path}[{index}]{id}: {}", error.message())),
            }
        }
        entries
    }

    fn read_environment(&mut self, environment: &[(String, String)]) {
        for (name, text) in environment {
            if name.starts_with("AWS_") {
                // Credentials and what an operator set for all clients of AWS: read by the client alone, never shown.
                self.config.storage.s3.environment.push((name.clone(), text.clone()));
            }
            let Some(rest) = name.strip_prefix("TRACELAKE_") else { continue };
            if NOT_KEYS.contains(&name.as_str()) {
                continue;
            }
            let keys =
                SECTIONS.iter().flat_map(|section| section.settings.iter().map(move |key| (section.name, key.key)));
            let key = keys.into_iter().find(|(section, key)| environment_name(section, key) == *name);
            let in_section = |section: &str| rest.starts_with(&format!("{}_", section.to_ascii_uppercase()));
            let ours = SECTIONS.iter().any(|section| !section.name.is_empty() && in_section(section.name));
            match key {
                Some((section, key)) => self.set(section, key, text, name),
                None if is_service_link(rest, text) => {}
                None if ours || nearest(name).is_some() => {
                    let hint = nearest(name).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
                    self.problems.push(format!("environment variable {name} is not known{hint}"));
                }
                None => {}
            }
        }
    }

    fn set(&mut self, section: &str, key: &str, text: &str, origin: &str) {
        let Some(setting) = find_setting(section, key) else {
            return self.problems.push(unknown(section, origin));
        };
        if let Err(problem) = (setting.set)(&mut self.config, text) {
            self.problems.push(format!("{origin}: {problem}"));
        }
    }

    fn finish(mut self) -> Result<Config, Problems> {
        self.problems.extend(check(&mut self.config));
        if self.problems.is_empty() { Ok(self.config) } else { Err(Problems(self.problems)) }
    }
}

/// Whether a section has keys below this one, such as `retention.spans` below `retention`.
fn has_inner(section: &str, key: &str) -> bool {
    let settings = SECTIONS.iter().filter(|candidate| candidate.name == section).flat_map(|section| section.settings);
    settings.into_iter().any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn unknown(section: &str, origin: &str) -> String {
    let mut known: Vec<_> =
        SECTIONS.iter().filter(|s| s.name == section).flat_map(|s| s.settings).map(|s| s.key).collect();
    if section == "alerting" {
        known.extend(["rule", "receiver"]);
    }
    if tenant_settings(section).is_some() {
        known.push("tenant.NAME");
    }
    format!("{origin} is not known; known here: {}", known.join(", "))
}

/// Variables that Kubernetes gives every pod beside a service named `tracelake...`, which nobody set on purpose.
fn is_service_link(rest: &str, text: &str) -> bool {
    let is_address = text.starts_with("tcp://") || text.starts_with("udp://");
    let of_port = ["_TCP", "_UDP"].iter().any(|protocol| rest.contains(protocol)) && rest.contains("PORT_");
    rest.ends_with("SERVICE_HOST") || rest.contains("SERVICE_PORT") || of_port || (is_address && rest.ends_with("PORT"))
}

/// The known variable that differs in at most two letters.
fn nearest(name: &str) -> Option<String> {
    let names = SECTIONS.iter().flat_map(|s| s.settings.iter().map(|key| environment_name(s.name, key.key)));
    names.map(|known| (distance(&known, name), known)).filter(|(d, _)| *d <= 2).min().map(|(_, known)| known)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let best = (row[j] + 1).min(row[j + 1] + 1).min(diagonal + usize::from(x != y));
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracelake_ingest::Rate;
    use tracelake_model::Table;
    use tracelake_storage::Durability;

    use super::*;

    fn load_parts(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[(&'static str, &'static str, &str)],
    ) -> Result<Config, Problems> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tracelake.toml");
        std::fs::write(&path, file).expect("written");
        load(&Layers {
            file: Some(path),
            environment: environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            flags: flags.iter().map(|(section, key, text)| (*section, *key, (*text).to_owned())).collect(),
        })
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file =
            "data_dir = \"file\"\n[listen]\nhttp = \"127.0.0.1:1\"\notlp_grpc = \"off\"\n[limits]\nsql_rows = 1_0";
        let environment =
            [("TRACELAKE_DATA_DIR", "environment"), ("TRACELAKE_LISTEN_HTTP", "127.0.0.1:2"), ("HOME", "/")];
        let config = load_parts(file, &environment, &[("", "data_dir", "flag")]).expect("loads");
        assert_eq!(config.data_dir, PathBuf::from("flag"));
        assert_eq!(config.storage.data_dir, PathBuf::from("flag"));
        assert_eq!(config.listen.http.to_string(), "127.0.0.1:2");
        assert_eq!(config.listen.otlp_grpc.to_string(), "off");
        assert_eq!(config.listen.otlp_http.to_string(), "127.0.0.1:4318");
        assert_eq!(config.query.sql_rows, 10);
    }

    #[test]
    fn whatever_is_wrong_is_named_and_all_of_it_at_once() {
        let file = "colour = 1\n[listen]\nhtp = \"off\"\n[limits]\nsql_memory = \"5 potatoes\"\n[storage]\ndisk_share = 8\nretention.spams = \"1d\"\n[tls]\ncert = \"a\"";
        let environment = [("TRACELAKE_LIMITS_SQLROWS", "1"), ("TRACELAKE_STORAGE_FLUSH_INTERVAL", "10")];
        let flags = [("listen", "otlp_http", "nowhere")];
        let problems = load_parts(file, &environment, &flags).expect_err("refused").0;
        let expected = [
            "colour is not known",
            "listen.htp is not known; known here: otlp_grpc",
            "limits.sql_memory: \"5 potatoes\" is not a size",
            "disk_share must be between 0.01 and 1",
            "storage.retention.spams is not known; known here: url",
            "TRACELAKE_LIMITS_SQLROWS is not known; did you mean TRACELAKE_LIMITS_SQL_ROWS?",
            "TRACELAKE_STORAGE_FLUSH_INTERVAL: \"10\" is not a duration",
            "--listen-otlp-http: \"nowhere\" is not an address",
            "tls.cert is given without tls.key",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for expected in expected {
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected} in {problems:#?}");
        }
    }

    #[test]
    fn retention_is_said_by_table_in_the_file_or_the_environment() {
        let check = |file: &str, environment: &[(&str, &str)]| {
            let config = load_parts(file, environment, &[]).expect("loads");
            let days = |days: u64| Duration::from_secs(days * 86_400);
            let expected = [(Table::Spans, days(30)), (Table::Logs, days(7))];
            assert_eq!(config.storage.retention.into_iter().collect::<Vec<_>>(), expected, "{file}");
        };
        check("[storage]\nretention.spans = \"30d\"\nretention.logs = \"7d\"", &[]);
        check("[storage.retention]\nspans = \"30d\"\nlogs = \"7d\"", &[]);
        check("[storage.retention]\nspans = \"30d\"", &[("TRACELAKE_STORAGE_RETENTION_LOGS", "7d")]);
        assert!(load_parts("", &[], &[]).expect("loads").storage.retention.is_empty());
    }

    #[test]
    fn durability_is_said_for_all_and_for_single_tenants() {
        let file = "[storage]\ndurability_interval = \"50ms\"\n[storage.tenant.bulk]\ndurability = \"interval\"";
        let storage = load_parts(file, &[], &[]).expect("loads").storage;
        let of = |name: &str| storage.durability_of(&TenantId::new(name).expect("a name"));
        assert_eq!((of("bulk"), of("default")), (Durability::Interval, Durability::Fsync));
        assert_eq!(storage.durability_interval, Duration::from_millis(50));
        let file = "[storage.tenant]\nmain.durability = \"fsync\"";
        let storage = load_parts(file, &[("TRACELAKE_STORAGE_DURABILITY", "interval")], &[]).expect("loads").storage;
        let of = |name: &str| storage.durability_of(&TenantId::new(name).expect("a name"));
        assert_eq!((of("main"), of("default")), (Durability::Fsync, Durability::Interval));
        let file = "[storage]\ndurability = \"never\"\ndurability_interval = \"1m\"\n\
            [storage.tenant.a]\ndurability = 3\ncolour = 1\n[storage.tenant.B]\ndurability = \"fsync\"";
        let problems = load_parts(file, &[], &[]).expect_err("refused").0;
        let expected = [
            "storage.durability: \"never\" is not offered",
            "durability_interval must be between 1ms and 10s",
            "storage.tenant.a.durability: \"3\" is not offered; use fsync or interval",
            "storage.tenant.a.colour is not known; known here: durability",
            "storage.tenant.B: ",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for expected in expected {
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected} in {problems:#?}");
        }
    }

    #[test]
    fn rates_are_said_for_all_and_for_single_tenants() {
        let file = "[limits]\ntenant_bytes_per_second = \"1 MiB\"\ntenant_burst_bytes = \"3 MiB\"\n\
            [limits.tenant.bulk]\nbytes_per_second = \"8 MiB\"\n[limits.tenant.free]\nbytes_per_second = \"off\"";
        let ingest = load_parts(file, &[], &[]).expect("loads").ingest;
        assert_eq!((ingest.tenant_rate, ingest.tenant_burst_bytes), (Rate::BytesPerSecond(1 << 20), Some(3 << 20)));
        let of = |name: &str| ingest.tenants[&TenantId::new(name).expect("a name")].rate;
        assert_eq!((of("bulk"), of("free")), (Some(Rate::BytesPerSecond(8 << 20)), Some(Rate::Unlimited)));
        let variable = [("TRACELAKE_LIMITS_TENANT_BYTES_PER_SECOND", "2 KiB")];
        let ingest = load_parts("", &variable, &[]).expect("loads").ingest;
        assert_eq!(ingest.tenant_rate, Rate::BytesPerSecond(2048));
        let file = "[limits]\ntenant = 3\ntenant_bytes_per_second = 0\n[storage.tenant.a]\nbytes_per_second = 1";
        let problems = load_parts(file, &[], &[]).expect_err("refused").0;
        for expected in [
            "write [limits.tenant.NAME]",
            "limits.tenant_bytes_per_second is 0",
            "storage.tenant.a.bytes_per_second is not known; known here: durability",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected} in {problems:#?}");
        }
    }

    #[test]
    fn a_door_beyond_loopback_needs_tokens_or_the_word_insecure() {
        let check = |extra: &str, allowed: bool| {
            let file = format!("{extra}\n[listen]\nhttp = \"0.0.0.0:4319\"");
            assert_eq!(load_parts(&file, &[], &[]).is_ok(), allowed, "{extra}");
        };
        check("", false);
        check("auth = { tokens_file = \"tokens.toml\" }", true);
        for (door, port) in [("zipkin", 9411), ("jaeger_http", 14268)] {
            let told = load_parts("", &[], &[("listen", door, "0.0.0.0")]).expect_err("refused").to_string();
            assert!(told.contains(&format!("listen.{door} = 0.0.0.0:{port}")), "{told}");
        }
        assert!(load_parts("", &[], &[("listen", "http", ":4319"), ("listen", "insecure", "true")]).is_ok());
    }

    #[test]
    fn a_bucket_is_named_by_its_url_and_no_credential_is_ever_shown() {
        let file = "[storage]\nurl = \"s3://telemetry/prod\"\ns3.region = \"eu-north-1\"\nbytes_max = \"1 TiB\"";
        let environment =
            [("AWS_SECRET_ACCESS_KEY", "hunter2"), ("TRACELAKE_STORAGE_S3_ENDPOINT", "https://s3.example")];
        let config = load_parts(file, &environment, &[]).expect("loads");
        assert_eq!(config.storage.s3.endpoint.as_deref(), Some("https://s3.example"));
        assert_eq!(config.storage.s3.environment, [("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter2".to_owned())]);
        let shown = format!("{config:?}");
        assert!(shown.contains("eu-north-1") && !shown.contains("hunter2"), "{shown}");
        let broken = "[storage]\nurl = \"gs://telemetry\"\ns3.endpoint = \"http://10.0.0.1:9000\"";
        let told = load_parts(broken, &[], &[]).expect_err("refused").to_string();
        assert!(told.contains("s3://bucket/prefix") && told.contains("allow_http"), "{told}");
    }

    #[test]
    fn private_receivers_follow_the_doors_unless_said() {
        let check = |file: &str, expected: bool| {
            let config = load_parts(file, &[], &[]).expect("loads");
            assert_eq!(config.alerting.private_receivers, expected, "{file}");
        };
        check("", true);
        check("alerting.private_receivers = \"refuse\"", false);
        check("auth.tokens_file = \"tokens.toml\"", false);
        check("auth.tokens_file = \"tokens.toml\"\nalerting.private_receivers = \"allow\"", true);
    }

    #[test]
    fn variables_that_a_cluster_or_the_build_sets_are_no_mistake() {
        let environment = [
            ("TRACELAKE_SERVICE_HOST", "10.0.0.1"),
            ("TRACELAKE_STORAGE_SERVICE_PORT_HTTP", "4319"),
            ("TRACELAKE_PORT", "tcp://10.0.0.1:4317"),
            ("TRACELAKE_PORT_4317_TCP_ADDR", "10.0.0.1"),
            ("TRACELAKE_UI_DIST", "/tmp/dist"),
            ("TRACELAKE_TEST_DATA", "/tmp/data"),
        ];
        assert!(load_parts("", &environment, &[]).is_ok());
        assert!(load_parts("", &[("TRACELAKE_DATADIR", "/d")], &[]).is_err());
        assert!(load_parts("", &[("TRACELAKE_LISTEN_HTTP_PORT", "4319")], &[]).is_err());
    }

    #[test]
    fn a_missing_file_and_text_that_is_no_toml_are_one_clear_problem() {
        let missing = load(&Layers { file: Some(PathBuf::from("/nowhere/x.toml")), ..Layers::default() });
        assert!(missing.expect_err("refused").to_string().contains("/nowhere/x.toml cannot be read"));
        let text = load_parts("data_dir = ", &[], &[]).expect_err("refused").to_string();
        assert!(text.contains("is not TOML"), "{text}");
    }
}
