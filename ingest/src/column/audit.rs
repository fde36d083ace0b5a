//! Which attribute means what in an audit record: the one place that knows other formats' names.
//!
//! A record is read through its attributes first, then through its body where that is a map (a CloudTrail or Kubernetes
//! event sent whole). A name with dots is looked up as it stands, then level by level through nested maps; of a list the
//! first element counts. Names stand in the order in which they win:
//! OpenTelemetry's draft and semantic conventions, ECS, OCSF 1.x, AWS CloudTrail, Kubernetes `audit.k8s.io/v1`.
//! Deliberately changes nothing: all attributes stay in the record as sent.

use crate::column::attribute::push_text;
use crate::wire::log::LogRecord;
use crate::wire::value::{Any, Attributes};

/// Prefix of attributes and event names that mark a log record as an audit record.
const PREFIX: &str = "audit.";

const RECORD_ID: &[&str] =
    &["audit.record.id", "audit.record_id", "log.record.uid", "event.id", "metadata.uid", "eventID", "auditID"];
const EVENT_NAME: &[&str] = &["audit.event.name", "event.name"];
const ACTOR_ID: &[&str] = &[
    "audit.actor.id",
    "audit.actor_id",
    "audit.actor",
    "enduser.id",
    "user.id",
    "user.name",
    "user.email",
    "actor.user.uid",
    "actor.user.name",
    "userIdentity.arn",
    "userIdentity.principalId",
    "userIdentity.userName",
    "user.username",
];
const ACTOR_TYPE: &[&str] =
    &["audit.actor.type", "audit.actor_type", "actor.type", "actor.user.type", "userIdentity.type"];
const ACTION: &[&str] = &["audit.action", "event.action", "activity_name", "api.operation", "eventName", "verb"];
const OUTCOME: &[&str] = &["audit.outcome", "audit.result", "event.outcome", "status"];
const TARGET_ID: &[&str] = &[
    "audit.target.id",
    "audit.target_id",
    "audit.target",
    "target.id",
    "resource.uid",
    "resources.uid",
    "resources.ARN",
    "objectRef.name",
];
const TARGET_TYPE: &[&str] =
    &["audit.target.type", "audit.target_type", "target.type", "resource.type", "resources.type", "objectRef.resource"];
const SOURCE_ID: &[&str] = &[
    "audit.source.id",
    "audit.source_id",
    "audit.source",
    "source.address",
    "client.address",
    "source.ip",
    "src_endpoint.ip",
    "sourceIPAddress",
    "sourceIPs",
];

/// HTTP status of what was asked for; below 400 is success (OCSF, Kubernetes).
const STATUS_CODE: &[&str] = &["responseStatus.code", "http_response.code"];
/// OCSF `status_id`: 1 success, 2 failure.
const STATUS_ID: &str = "status_id";
/// CloudTrail sets it on failure only, beside its `eventName`.
const ERROR_CODE: &str = "errorCode";
const EVENT_VERSION: &str = "eventVersion";
const EVENT_SOURCE: &str = "eventSource";

/// What an audit record says, as far as it says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) record_id: Option<String>,
    pub(crate) event_name: Option<String>,
    pub(crate) actor_id: Option<String>,
    pub(crate) actor_type: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) target_id: Option<String>,
    pub(crate) target_type: Option<String>,
    pub(crate) source_id: Option<String>,
}

/// Whether a log record is an audit record although it came as an ordinary one.
pub(crate) fn is_audit(record: &LogRecord<'_>) -> bool {
    record.event_name.starts_with(PREFIX) || record.attributes.iter().any(|(key, _)| key.starts_with(PREFIX))
}

/// Whether an attribute's key is, or begins, a name that audit records are read by.
pub(crate) fn has_meaning(key: &str) -> bool {
    let lists =
        [RECORD_ID, EVENT_NAME, ACTOR_ID, ACTOR_TYPE, ACTION, OUTCOME, TARGET_ID, TARGET_TYPE, SOURCE_ID, STATUS_CODE];
    let mut names = lists.into_iter().flatten().copied().chain([STATUS_ID, ERROR_CODE, EVENT_VERSION, EVENT_SOURCE]);
    key.starts_with(PREFIX)
        || names.any(|name| name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Reads what a record says.
pub(crate) fn read(record: &LogRecord<'_>) -> Said {
    let text = |names: &[&str]| names.iter().find_map(|name| text_of(look(record, name)?));
    let event_name = (!record.event_name.is_empty()).then(|| record.event_name.to_owned());
    Said {
        record_id: text(RECORD_ID),
        event_name: event_name.or_else(|| text(EVENT_NAME)),
        actor_id: text(ACTOR_ID),
        actor_type: text(ACTOR_TYPE),
        action: text(ACTION),
        outcome: text(OUTCOME).or_else(|| outcome(record)),
        target_id: text(TARGET_ID),
        target_type: text(TARGET_TYPE),
        source_id: text(SOURCE_ID),
    }
}

/// The outcome where a format tells it by a number or by what is missing.
fn outcome(record: &LogRecord<'_>) -> Option<String> {
    let succeeded = |success: bool| Some(if success { "success" } else { "failure" }.to_owned());
    if let Some(Any::Int(code)) = STATUS_CODE.iter().find_map(|name| look(record, name)) {
        return succeeded(*code < 400);
    }
    match look(record, STATUS_ID) {
        Some(Any::Int(1)) => return succeeded(true),
        Some(Any::Int(2)) => return succeeded(false),
        _ => {}
    }
    let is_cloud_trail = look(record, EVENT_VERSION).is_some() && look(record, EVENT_SOURCE).is_some();
    if is_cloud_trail { succeeded(look(record, ERROR_CODE).is_none()) } else { None }
}

fn look<'r, 'a>(record: &'r LogRecord<'a>, name: &str) -> Option<&'r Any<'a>> {
    find(&record.attributes, name).or_else(|| match &record.body {
        Any::Map(entries) => find(entries, name),
        _ => None,
    })
}

fn find<'r, 'a>(entries: &'r Attributes<'a>, name: &str) -> Option<&'r Any<'a>> {
    if let Some((_, value)) = entries.iter().find(|(key, _)| *key == name) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(dot, _)| {
        let (_, value) = entries.iter().find(|(key, _)| *key == name[..dot])?;
        let first = if let Any::Array(values) = value { values.first()? } else { value };
        if let Any::Map(entries) = first { find(entries, &name[dot + 1..]) } else { None }
    })
}

fn text_of(value: &Any<'_>) -> Option<String> {
    let value = match value {
        Any::Array(values) => values.first()?,
        value => value,
    };
    let mut text = String::new();
    push_text(&mut text, value);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::key::Key;

    fn text(text: &'static str) -> Any<'static> {
        Any::Text(text)
    }

    #[test]
    fn every_format_says_who_did_what_to_what() {
        let check = |name: &str, attributes: Attributes<'static>, body: Any<'static>, expected: [&str; 5]| {
            let said = read(&LogRecord { body, attributes, ..LogRecord::default() });
            let found = [&said.actor_id, &said.action, &said.outcome, &said.target_id, &said.source_id];
            assert_eq!(found.map(|text| text.as_deref().unwrap_or("-")), expected, "{name}");
        };
        let otel = vec![
            (Key::from("audit.actor.id"), text("ann")),
            (Key::from("user.id"), text("not ann")),
            (Key::from("audit.action"), text("delete")),
            (Key::from("audit.outcome"), text("denied")),
            (Key::from("audit.target.id"), Any::Int(7)),
        ];
        check("otel", otel, Any::Empty, ["ann", "delete", "denied", "7", "-"]);
        let ecs = vec![
            (Key::from("user.name"), text("bo")),
            (Key::from("event.action"), text("login")),
            (Key::from("event.outcome"), text("success")),
            (Key::from("source.ip"), text("10.0.0.1")),
        ];
        check("ecs", ecs, Any::Empty, ["bo", "login", "success", "-", "10.0.0.1"]);
        let ocsf = vec![
            (Key::from("actor"), Any::Map(vec![(Key::from("user"), Any::Map(vec![(Key::from("uid"), text("u1"))]))])),
            (Key::from("activity_name"), text("Update")),
            (Key::from("status_id"), Any::Int(2)),
            (Key::from("resources"), Any::Array(vec![Any::Map(vec![(Key::from("uid"), text("r1"))])])),
        ];
        check("ocsf", ocsf, Any::Empty, ["u1", "Update", "failure", "r1", "-"]);
        let cloud_trail = Any::Map(vec![
            (Key::from("eventVersion"), text("1.09")),
            (Key::from("eventSource"), text("s3.amazonaws.com")),
            (Key::from("eventName"), text("DeleteBucket")),
            (
                Key::from("userIdentity"),
                Any::Map(vec![(Key::from("type"), text("IAMUser")), (Key::from("arn"), text("arn:x"))]),
            ),
            (Key::from("sourceIPAddress"), text("1.2.3.4")),
        ]);
        check("cloudtrail", vec![], cloud_trail, ["arn:x", "DeleteBucket", "success", "-", "1.2.3.4"]);
        let kubernetes = Any::Map(vec![
            (Key::from("auditID"), text("a1")),
            (Key::from("verb"), text("create")),
            (Key::from("user"), Any::Map(vec![(Key::from("username"), text("system:admin"))])),
            (
                Key::from("objectRef"),
                Any::Map(vec![(Key::from("resource"), text("pods")), (Key::from("name"), text("web-1"))]),
            ),
            (Key::from("responseStatus"), Any::Map(vec![(Key::from("code"), Any::Int(403))])),
            (Key::from("sourceIPs"), Any::Array(vec![text("10.1.1.1")])),
        ]);
        check("kubernetes", vec![], kubernetes, ["system:admin", "create", "failure", "web-1", "10.1.1.1"]);
    }

    #[test]
    fn a_record_is_an_audit_record_by_its_event_name_or_any_key() {
        let check = |event_name, key, expected| {
            let record =
                LogRecord { event_name, attributes: vec![(Key::from(key), Any::Empty)], ..LogRecord::default() };
            assert_eq!(is_audit(&record), expected, "{event_name} {key}");
        };
        check("audit.login", "x", true);
        check("", "audit.actor.id", true);
        check("login", "auditor", false);
    }
}
