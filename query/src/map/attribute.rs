//! The attributes that the map's rules read from a row: promoted columns, else the rest by its keys.
//!
//! Most rows have nothing in the rest that matters here, so its text is searched first, by what its kind of span may
//! hold, and parsed only on a hit.

use arrow::array::{RecordBatch, StringArray};
use tracelake_model::Value;
use tracelake_model::column::ATTRIBUTES_REST;

use crate::map::node::PeerAttributes;
use crate::map::parent::{CLIENT, INTERNAL, SERVER, UNSPECIFIED};
use crate::map::role::{Clues, LINKERD};
use crate::view::attribute::parse;
use crate::view::column::{text, text_at};

/// Promoted columns, of each kind in the order in which they are believed; rows read ranges of it.
pub(crate) const PROMOTED: [&str; 12] = [
    "db_system_name",
    "db_system",
    "db_namespace",
    "db_name",
    "messaging_destination_name",
    "messaging_operation_type",
    "peer_service",
    "server_address",
    "net_peer_name",
    "network_peer_address",
    "url_full",
    "http_url",
];

/// The columns of a batch.
pub(crate) struct AttributeColumns<'a> {
    promoted: [&'a StringArray; 12],
    rest: &'a StringArray,
}

impl<'a> AttributeColumns<'a> {
    /// The columns of a batch that has [`PROMOTED`] and the rest.
    pub(crate) fn new(batch: &'a RecordBatch) -> Self {
        Self { promoted: PROMOTED.map(|name| text(batch, name)), rest: text(batch, ATTRIBUTES_REST) }
    }

    /// One row.
    pub(crate) fn row(&self, row: usize, of: About<'_>) -> Row<'_> {
        let found = Row { columns: self, row, rest: Vec::new() };
        let rest = text_at(self.rest, row).filter(|json| of.service == LINKERD || found.matters(json, of));
        Row { rest: parse(rest), ..found }
    }
}

/// What decides which attributes may matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// OTLP number of the span's kind.
    pub(crate) kind: i8,
    /// It names no parent.
    pub(crate) is_root: bool,
    /// Its `service.name`.
    pub(crate) service: &'a str,
}

/// The attributes of one row.
pub(crate) struct Row<'a> {
    columns: &'a AttributeColumns<'a>,
    row: usize,
    rest: Vec<(String, Value)>,
}

impl Row<'_> {
    /// What tells the part that the span plays.
    pub(crate) fn clues(&self) -> Clues<'_> {
        let has = |key: &str| self.rest.iter().any(|(known, _)| known == key);
        let timed_by = |keys: &[&str]| keys.iter().any(|key| has(key));
        Clues {
            operation: self.column(5..6).or_else(|| self.text("messaging.operation")),
            has_destination: self.destination().is_some(),
            is_timed: self.text("faas.trigger") == Some("timer") || timed_by(&["faas.cron", "faas.time", "job.system"]),
            component: self.text("component"),
            node_id: self.text("node_id"),
            upstream_cluster: self.text("upstream_cluster"),
            direction: self.text("direction"),
        }
    }

    /// The name that Istio gives to the service a sidecar stands beside.
    pub(crate) fn canonical_service(&self) -> Option<&str> {
        self.text("istio.canonical_service").filter(|name| *name != "unknown")
    }

    /// What names the peer.
    pub(crate) fn peer(&self) -> PeerAttributes<'_> {
        PeerAttributes {
            db_system: self.column(0..2).or_else(|| self.text("db.type")),
            db_namespace: self.column(2..4).or_else(|| self.first(&["db.cassandra.keyspace", "db.instance"])),
            destination: self.destination(),
            peer_service: self.column(6..7),
            address: self
                .column(7..10)
                .or_else(|| self.first(&["net.sock.peer.name", "net.peer.ip", "net.sock.peer.addr", "peer.hostname"])),
            url: self.column(10..12),
            host: self.text("http.host"),
        }
    }

    /// A template stands for the many names it covers, and a destination that lives for one caller has none.
    fn destination(&self) -> Option<&str> {
        let is = |key: &str| self.rest.iter().any(|(known, value)| known == key && *value == Value::Bool(true));
        if let Some(template) = self.text("messaging.destination.template") {
            return Some(template);
        }
        if is("messaging.destination.temporary") || is("messaging.temp_destination") {
            return Some("(temporary)");
        }
        if is("messaging.destination.anonymous") {
            return Some("(anonymous)");
        }
        self.column(4..5).or_else(|| self.first(&["messaging.destination", "message_bus.destination"]))
    }

    fn column(&self, places: std::ops::Range<usize>) -> Option<&str> {
        let mut columns = self.columns.promoted[places].iter();
        columns.find_map(|column| text_at(column, self.row).filter(|text| !text.is_empty()))
    }

    fn first(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.text(key))
    }

    /// Whether the rest's text holds what the rules ask of such a span.
    fn matters(&self, json: &str, of: About<'_>) -> bool {
        let has = |key: &str| json.contains(key);
        let may_exit = matches!(of.kind, CLIENT | UNSPECIFIED);
        has(r#""component":"proxy""#)
            || (of.is_root && (has("\"faas.") || has("\"job.system\"")))
            || (!matches!(of.kind, SERVER | INTERNAL) && has("\"messag"))
            || (may_exit && has("\"db."))
            || (may_exit
                && self.column(6..12).is_none()
                && (has("\"net.") || has("\"peer.hostname\"") || has("\"http.host\"")))
    }

    /// A text among the attributes that are not promoted.
    fn text(&self, key: &str) -> Option<&str> {
        match self.rest.iter().find(|(known, _)| known == key) {
            Some((_, Value::String(text))) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use tracelake_model::Table;

    use super::*;
    use crate::fixture::batch;

    /// A row with these columns and these attributes that are not promoted.
    fn check(columns: Json, rest: &Json, look: impl Fn(&Row<'_>) -> String, expected: &str) {
        let mut line = columns;
        line["attributes_rest"] = json!(rest.to_string());
        let batch = batch(Table::Spans, &[line]).into_rows();
        let root = About { kind: CLIENT, is_root: true, service: "a" };
        assert_eq!(look(&AttributeColumns::new(&batch).row(0, root)), expected, "{batch:?}");
    }

    #[test]
    fn promoted_names_are_believed_before_older_ones_in_the_rest() {
        let peer = |row: &Row<'_>| {
            let a = row.peer();
            let of = |text: Option<&str>| text.unwrap_or("-").to_owned();
            [a.db_system, a.db_namespace, a.destination, a.peer_service, a.address, a.url, a.host].map(of).join(" ")
        };
        let old = json!({"db.type": "sql", "db.instance": "shop", "messaging.destination": "old",
            "peer.hostname": "h", "http.host": "h:80", "rpc.service": "never"});
        check(json!({}), &old, peer, "sql shop old - h - h:80");
        let new = json!({"db_system_name": "mysql", "db_system": "x", "db_namespace": "", "db_name": "n",
            "messaging_destination_name": "orders", "peer_service": "p", "net_peer_name": "a", "url_full": "u"});
        check(new, &old, peer, "mysql n orders p a u h:80");
        let is_temporary = json!({"messaging.destination.temporary": true});
        check(json!({"messaging_destination_name": "amq.gen-7"}), &is_temporary, peer, "- - (temporary) - - - -");
        let is_anonymous = json!({"messaging.destination.anonymous": true});
        check(json!({"messaging_destination_name": "q-7"}), &is_anonymous, peer, "- - (anonymous) - - - -");
        let template = json!({"messaging.destination.template": "customers/{id}"});
        check(json!({"messaging_destination_name": "customers/7"}), &template, peer, "- - customers/{id} - - - -");
    }

    #[test]
    fn what_stands_in_the_rest_is_found_there() {
        let clues = |row: &Row<'_>| {
            let clues = row.clues();
            format!("{:?} {} {:?} {:?}", clues.operation, clues.is_timed, clues.node_id, clues.direction)
        };
        check(json!({}), &json!({"messaging.operation": "process"}), clues, "Some(\"process\") false None None");
        check(json!({}), &json!({"faas.trigger": "timer"}), clues, "None true None None");
        check(json!({}), &json!({"faas.trigger": "http"}), clues, "None false None None");
        check(json!({}), &json!({"job.system": "quartz"}), clues, "None true None None");
        let proxy = json!({"node_id": "sidecar~1", "component": "proxy", "upstream_cluster": "x"});
        check(json!({}), &proxy, clues, "None false Some(\"sidecar~1\") None");
        check(json!({}), &json!({"direction": "inbound"}), clues, "None false None None");
        let line = json!({"attributes_rest": "{\"direction\":\"inbound\"}"});
        let batch = batch(Table::Spans, &[line]).into_rows();
        let linkerd = About { kind: SERVER, is_root: false, service: LINKERD };
        assert_eq!(AttributeColumns::new(&batch).row(0, linkerd).clues().direction, Some("inbound"));
        check(json!({}), &json!({"http.flavor": "1.1", "node_id": "x"}), clues, "None false None None");
    }
}
