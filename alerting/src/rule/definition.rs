//! A rule as the configuration and the API write it, and everything that can be wrong with one.
//!
//! Deliberately does not match anything: `keyword.rs` compiles rules into automata.

use std::collections::BTreeMap;

use regex::RegexBuilder;
use serde::{Deserialize, Serialize};

use crate::rule::period::Period;

const TERMS_MAX: usize = 1_000;
const TERM_BYTES_MAX: usize = 1_024;
const FREQUENCY_COUNT_MAX: u32 = 1_000;
const GROUP_KEYS_MAX: usize = 8;

/// When a rule fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// The first match opens an episode, further ones extend it.
    #[default]
    Any,
    /// At least `count` matches within `window`.
    Frequency,
    /// More matches than usual. Known, refused for now.
    Spike,
    /// No match for a while. Known, refused for now.
    Absence,
    /// A figure beyond a bound. Known, refused for now.
    Threshold,
}

impl RuleKind {
    /// The name in bodies and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Frequency => "frequency",
            Self::Spike => "spike",
            Self::Absence => "absence",
            Self::Threshold => "threshold",
        }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSignal {
    /// Log records.
    #[default]
    Logs,
    /// Exceptions, from span events and log records alike.
    Exceptions,
    /// Known, refused for now.
    Spans,
    /// Known, refused for now.
    Metrics,
    /// Known, refused for now.
    Audit,
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    #[default]
    Warning,
    /// Something is broken.
    Error,
    /// Somebody has to act now.
    Critical,
}

impl AlertSeverity {
    /// The name in bodies and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// One rule. A record matches when any keyword or pattern is found in any field, no `not` is, and all conditions hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `[A-Za-z0-9._-]{1,128}`, not beginning with a dot.
    pub id: String,
    /// When it fires.
    #[serde(default)]
    pub kind: RuleKind,
    /// What it looks at.
    #[serde(default)]
    pub signal: RuleSignal,
    /// Switched off rules are kept and match nothing.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Literal texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Regular expressions (Rust `regex` syntax), not anchored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// Literal texts that forbid a match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<String>,
    /// Where to look: `body` or attribute keys; by default the body, or an exception's type and message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Whether upper and lower case differ.
    #[serde(default)]
    pub case_sensitive: bool,
    /// Only records of these services; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Only records at least this severe: `TRACE DEBUG INFO WARN ERROR FATAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<String>,
    /// Attributes or resource attributes that must equal these values.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, serde_json::Value>,
    /// Attributes whose values make separate alerts; by default `service.name`.
    #[serde(default = "group_by")]
    pub group_by: Vec<String>,
    /// `frequency`: how many matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// `frequency`: within how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Period>,
    /// How long the condition must hold before it fires; only `0s` today.
    #[serde(default, rename = "for")]
    pub hold: Period,
    /// Quiet time after which an alert is resolved.
    #[serde(default = "resolve_after")]
    pub resolve_after: Period,
    /// How urgent.
    #[serde(default)]
    pub severity: AlertSeverity,
    /// Ids of receivers; without any the alert is shown and nothing is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<String>,
    /// Texts that travel with notices; `summary` replaces the id in titles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn enabled() -> bool {
    true
}

fn group_by() -> Vec<String> {
    vec!["service.name".to_owned()]
}

fn resolve_after() -> Period {
    Period::seconds(300)
}

impl Rule {
    /// A rule of kind `any` over log bodies with everything else as by default.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            kind: RuleKind::Any,
            signal: RuleSignal::Logs,
            enabled: true,
            keywords: Vec::new(),
            patterns: Vec::new(),
            not: Vec::new(),
            fields: Vec::new(),
            case_sensitive: false,
            services: Vec::new(),
            min_severity: None,
            conditions: BTreeMap::new(),
            group_by: group_by(),
            count: None,
            window: None,
            hold: Period::default(),
            resolve_after: resolve_after(),
            severity: AlertSeverity::Warning,
            receivers: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// The fields that are searched, defaults filled in.
    pub(crate) fn searched_fields(&self) -> Vec<&str> {
        match (self.fields.is_empty(), self.signal) {
            (false, _) => self.fields.iter().map(String::as_str).collect(),
            (true, RuleSignal::Exceptions) => vec!["exception.type", "exception.message"],
            (true, _) => vec!["body"],
        }
    }

    /// The smallest severity number, 0 when any will do.
    pub(crate) fn min_severity_number(&self) -> u8 {
        self.min_severity.as_deref().and_then(severity_number).unwrap_or(0)
    }

    /// Everything that is wrong with this rule, each with its path under `at`.
    pub(crate) fn problems(&self, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut tell = |path: &str, what: String| problems.push(format!("{at}.{path}: {what}"));
        if !is_id(&self.id) {
            tell(
                "id",
                format!("{:?} is not valid; use 1 to 128 of A-Z a-z 0-9 . _ -, not beginning with a dot", self.id),
            );
        }
        if !matches!(self.kind, RuleKind::Any | RuleKind::Frequency) {
            tell("kind", format!("{} is not built yet: use any or frequency", self.kind.as_str()));
        }
        if !matches!(self.signal, RuleSignal::Logs | RuleSignal::Exceptions) {
            tell("signal", "this signal is not built yet: use logs or exceptions".to_owned());
        }
        if self.hold != Period::default() {
            tell("for", "holding is not built yet: use 0s".to_owned());
        }
        if let Some(name) = &self.min_severity
            && severity_number(name).is_none()
        {
            tell("min_severity", format!("{name:?} is none of TRACE DEBUG INFO WARN ERROR FATAL"));
        }
        for (key, value) in &self.conditions {
            if value.is_array() || value.is_object() || value.is_null() {
                tell(&format!("where.{key}"), "give a text, a number or a boolean".to_owned());
            }
        }
        if self.group_by.len() > GROUP_KEYS_MAX {
            tell("group_by", format!("at most {GROUP_KEYS_MAX} keys"));
        }
        if self.resolve_after.0.is_zero() {
            tell("resolve_after", "give more than 0s".to_owned());
        }
        problems.extend(self.term_problems(at));
        problems.extend(self.frequency_problems(at));
        problems
    }

    fn term_problems(&self, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, terms) in [("keywords", &self.keywords), ("not", &self.not), ("fields", &self.fields)] {
            for (i, term) in terms.iter().enumerate() {
                if term.trim().is_empty() {
                    problems.push(format!("{at}.{name}[{i}]: is empty and would match everything"));
                } else if term.len() > TERM_BYTES_MAX {
                    problems.push(format!("{at}.{name}[{i}]: longer than {TERM_BYTES_MAX} bytes"));
                }
            }
        }
        if self.keywords.len() + self.patterns.len() + self.not.len() > TERMS_MAX {
            problems.push(format!("{at}: more than {TERMS_MAX} keywords and patterns; make several rules"));
        }
        for (i, pattern) in self.patterns.iter().enumerate() {
            if pattern.is_empty() {
                problems.push(format!("{at}.patterns[{i}]: is empty and would match everything"));
            } else if let Err(error) = RegexBuilder::new(pattern).size_limit(1 << 20).build() {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default().trim();
                problems.push(format!("{at}.patterns[{i}]: not a usable regular expression: {last}"));
            }
        }
        let selective = !self.keywords.is_empty()
            || !self.patterns.is_empty()
            || self.min_severity.is_some()
            || !self.conditions.is_empty();
        if !selective && self.signal == RuleSignal::Logs {
            problems
                .push(format!("{at}: would match every log record; give keywords, patterns, min_severity or where"));
        }
        problems
    }

    fn frequency_problems(&self, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.kind == RuleKind::Frequency {
            if !self.count.is_some_and(|count| (1..=FREQUENCY_COUNT_MAX).contains(&count)) {
                problems.push(format!("{at}.count: a frequency rule needs 1 to {FREQUENCY_COUNT_MAX}"));
            }
            if self.window.is_none_or(|window| window.0.is_zero()) {
                problems.push(format!("{at}.window: a frequency rule needs a length of time like 5m"));
            }
        } else if self.count.is_some() || self.window.is_some() {
            problems.push(format!("{at}: count and window belong to kind frequency"));
        }
        problems
    }
}

/// Whether a text can name a rule, a receiver, or their document.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The smallest OTLP severity number of a name (OpenTelemetry logs data model, SeverityNumber).
pub(crate) fn severity_number(name: &str) -> Option<u8> {
    let base = |stem: &str| match stem {
        "TRACE" => Some(1),
        "DEBUG" => Some(5),
        "INFO" => Some(9),
        "WARN" | "WARNING" => Some(13),
        "ERROR" => Some(17),
        "FATAL" => Some(21),
        _ => None,
    };
    let upper = name.to_ascii_uppercase();
    let stem = upper.trim_end_matches(['2', '3', '4']);
    let step = upper[stem.len()..].parse::<u8>().map_or(Some(0), |digit| digit.checked_sub(1));
    (upper.len() - stem.len() <= 1).then(|| Some(base(stem)? + step?))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(body: &str) -> Vec<String> {
        match serde_json::from_str::<Rule>(body) {
            Ok(rule) => rule.problems("rule"),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn a_rule_that_cannot_work_is_refused_with_its_path() {
        let check = |body: &str, expected: &str| {
            let problems = problems(body);
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{body}: {problems:?}");
        };
        check(r#"{"id":"a","keyword":["x"]}"#, "unknown field `keyword`");
        check(r#"{"id":"a b","keywords":["x"]}"#, "rule.id");
        check(r#"{"id":"a","keywords":[" "]}"#, "rule.keywords[0]");
        check(r#"{"id":"a","patterns":["(x"]}"#, "rule.patterns[0]");
        check(r#"{"id":"a"}"#, "every log record");
        check(r#"{"id":"a","kind":"spike","keywords":["x"]}"#, "not built yet: use any");
        check(r#"{"id":"a","kind":"often","keywords":["x"]}"#, "unknown variant");
        check(r#"{"id":"a","signal":"spans","keywords":["x"]}"#, "rule.signal");
        check(r#"{"id":"a","kind":"frequency","keywords":["x"]}"#, "rule.count");
        check(r#"{"id":"a","keywords":["x"],"for":"1m"}"#, "rule.for");
        check(r#"{"id":"a","keywords":["x"],"min_severity":"loud"}"#, "rule.min_severity");
        check(r#"{"id":"a","keywords":["x"],"where":{"k":[1]}}"#, "rule.where.k");
        check(r#"{"id":"a","keywords":["x"],"resolve_after":"soon"}"#, "not a length of time");
    }

    #[test]
    fn a_rule_reads_back_from_its_own_text() {
        let body = r#"{"id":"a","kind":"frequency","signal":"logs","keywords":["메모리 부족"],"count":3,"window":"5m",
            "where":{"k8s.namespace.name":"shop","http.response.status_code":500},"severity":"critical","receivers":["ops"]}"#;
        let rule: Rule = serde_json::from_str(body).expect("a rule");
        assert_eq!(rule.problems("rule"), Vec::<String>::new());
        let text = serde_json::to_string(&rule).expect("text");
        assert_eq!(serde_json::from_str::<Rule>(&text).expect("reads back"), rule);
    }

    #[test]
    fn severity_names_have_the_numbers_of_the_data_model() {
        let check = |name: &str, expected: Option<u8>| assert_eq!(severity_number(name), expected, "{name}");
        check("TRACE", Some(1));
        check("warn", Some(13));
        check("ERROR3", Some(19));
        check("FATAL4", Some(24));
        check("INFO22", None);
        check("", None);
    }
}
