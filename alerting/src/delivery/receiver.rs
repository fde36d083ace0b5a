//! A receiver as the configuration and the API write it, and everything that can be wrong with one.
//!
//! Deliberately sends nothing. Secrets never appear in logs or answers.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::delivery::guard::host_refused;
use crate::rule::definition::is_id;

/// What stands in an answer where a header's value is kept secret.
pub(crate) const HIDDEN: &str = "***";

const HEADERS_MAX: usize = 20;
const RESERVED: [&str; 8] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "content-type",
    "content-length",
    "host",
    "transfer-encoding",
    "connection",
];

/// How a receiver is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// One JSON POST as Standard Webhooks describes it.
    #[default]
    Webhook,
    /// Known, refused for now.
    Alertmanager,
    /// Known, refused for now.
    Slack,
    /// Known, refused for now.
    Discord,
    /// Known, refused for now.
    Teams,
    /// Known, refused for now.
    Pagerduty,
    /// Known, refused for now.
    Email,
}

/// A signing secret: `whsec_` and base64. Prints as `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text of a secret; [`Receiver`] checks it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The key's bytes; `None` when the text is not `whsec_` and base64 of 16 to 128 bytes.
    pub(crate) fn key(&self) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(self.0.strip_prefix("whsec_")?).ok()?;
        (16..=128).contains(&bytes.len()).then_some(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Where notices go. Serialised with its secret: only for the document store, never for an answer.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// `[A-Za-z0-9._-]{1,128}`, not beginning with a dot.
    pub id: String,
    /// How it is spoken to.
    #[serde(default)]
    pub kind: ReceiverKind,
    /// `http://` or `https://`.
    pub url: String,
    /// Signs every delivery; without it there is no `webhook-signature` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Further headers of every delivery, an `authorization` for example.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Receiver {
    /// A webhook without secret or headers.
    pub fn webhook(id: &str, url: &str) -> Self {
        Self {
            id: id.to_owned(),
            kind: ReceiverKind::Webhook,
            url: url.to_owned(),
            secret: None,
            headers: BTreeMap::new(),
        }
    }

    /// Everything that is wrong with this receiver, each with its path under `at`.
    pub(crate) fn problems(&self, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut tell = |path: &str, what: &str| problems.push(format!("{at}.{path}: {what}"));
        if !is_id(&self.id) {
            tell("id", "use 1 to 128 of A-Z a-z 0-9 . _ -, not beginning with a dot");
        }
        if self.kind != ReceiverKind::Webhook {
            tell("kind", "this kind is not built yet: use webhook");
        }
        match Url::parse(&self.url) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => tell("url", "only http and https are spoken"),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                tell("url", "put credentials into headers.authorization, not into the URL");
            }
            Ok(url) => {
                // Private addresses are refused when sending, where the setting is known; these never work.
                if let Some(reason) = host_refused(&url, true) {
                    tell("url", &reason);
                }
            }
            Err(_) => tell("url", "not a URL; write https://host/path"),
        }
        if self.secret.as_ref().is_some_and(|secret| secret.key().is_none()) {
            tell("secret", "write whsec_ followed by base64 of 16 to 128 bytes (Standard Webhooks)");
        }
        if self.headers.len() > HEADERS_MAX {
            tell("headers", "at most 20");
        }
        for (name, value) in &self.headers {
            let fits = reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
                && reqwest::header::HeaderValue::from_str(value).is_ok();
            if !fits || RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                tell(&format!("headers.{name}"), "not a header that can be set here");
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_cannot_work_is_refused_with_its_path() {
        let check = |body: &str, expected: &str| {
            let problems = match serde_json::from_str::<Receiver>(body) {
                Ok(receiver) => receiver.problems("receiver"),
                Err(error) => vec![error.to_string()],
            };
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{body}: {problems:?}");
        };
        check(r#"{"id":"a","url":"https://x.example","token":"t"}"#, "unknown field `token`");
        check(r#"{"id":".a","url":"https://x.example"}"#, "receiver.id");
        check(r#"{"id":"a","url":"x.example"}"#, "receiver.url");
        check(r#"{"id":"a","url":"ftp://x.example"}"#, "only http and https");
        check(r#"{"id":"a","url":"https://u:p@x.example"}"#, "headers.authorization");
        check(r#"{"id":"a","url":"http://169.254.169.254/latest"}"#, "receiver.url");
        check(r#"{"id":"a","kind":"slack","url":"https://x.example"}"#, "not built yet");
        check(r#"{"id":"a","url":"https://x.example","secret":"hush"}"#, "whsec_");
        check(r#"{"id":"a","url":"https://x.example","headers":{"Webhook-Id":"1"}}"#, "receiver.headers.Webhook-Id");
    }

    #[test]
    fn a_secret_is_never_printed() {
        let mut receiver = Receiver::webhook("a", "https://x.example/hook/token");
        receiver.secret = Some(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert!(receiver.problems("receiver").is_empty());
        let printed = format!("{receiver:?} {:?}", receiver.secret);
        assert!(!printed.contains("MfKQ") && !printed.contains("token"), "{printed}");
    }
}
