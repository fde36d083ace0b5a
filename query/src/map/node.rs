//! What a span without an instrumented callee talks to: a database, a queue, or a service outside.
//!
//! Only database, messaging and peer attributes decide, never `rpc.service`: frameworks put their own service there.
//! Source: OpenTelemetry semantic conventions for database, messaging and HTTP client spans, and their older names.

use crate::map::parent::{CLIENT, CONSUMER, PRODUCER};
use serde::Serialize;

/// What stands at either end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeKind {
    /// A service that sent spans.
    Service,
    /// A database or cache, named by its system and namespace (else address).
    Database,
    /// A queue or topic, named by its destination.
    Queue,
    /// A peer that sent no span of its own, named by `peer.service`, address or URL host.
    External,
}

impl NodeKind {
    /// The name in ids and answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Queue => "queue",
            Self::External => "external",
        }
    }
}

/// The attributes that name a peer, where a span carries them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerAttributes<'a> {
    pub(crate) db_system: Option<&'a str>,
    pub(crate) db_namespace: Option<&'a str>,
    pub(crate) messaging_destination: Option<&'a str>,
    pub(crate) messaging_operation: Option<&'a str>,
    pub(crate) peer_service: Option<&'a str>,
    pub(crate) address: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
}

/// The peer that a span of this kind names, if any.
pub(crate) fn peer(kind: i8, a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    match kind {
        PRODUCER | CONSUMER => queue(a),
        CLIENT => database(a).or_else(|| sent_to(a)).or_else(|| external(a)),
        _ => None,
    }
}

fn database(a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    let system = filled(a.db_system)?;
    let place = filled(a.db_namespace).or_else(|| filled(a.address));
    Some((NodeKind::Database, place.map_or_else(|| system.to_owned(), |place| format!("{system}/{place}"))))
}

fn queue(a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    filled(a.messaging_destination).map(|name| (NodeKind::Queue, name.to_owned()))
}

/// A client span that polls or settles draws no edge towards the queue: the consumer's span tells that story.
fn sent_to(a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    let sends = !matches!(a.messaging_operation, Some("receive" | "process" | "settle"));
    queue(a).filter(|_| sends)
}

fn external(a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    if filled(a.messaging_destination).is_some() {
        return None;
    }
    let host = || filled(a.url).and_then(|text| url::Url::parse(text).ok()?.host_str().map(str::to_owned));
    let name = filled(a.peer_service).or_else(|| filled(a.address)).map(str::to_owned).or_else(host)?;
    Some((NodeKind::External, name))
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: i8, a: PeerAttributes<'_>, expected: Option<(NodeKind, &str)>) {
        let found = peer(kind, &a);
        assert_eq!(found.as_ref().map(|(kind, name)| (*kind, name.as_str())), expected, "{kind} {a:?}");
    }

    #[test]
    fn a_peer_is_named_by_database_messaging_or_peer_attributes() {
        let none = PeerAttributes::default();
        let db = PeerAttributes { db_system: Some("mysql"), ..none };
        check(CLIENT, none, None);
        check(CLIENT, db, Some((NodeKind::Database, "mysql")));
        check(CLIENT, PeerAttributes { address: Some("db-1"), ..db }, Some((NodeKind::Database, "mysql/db-1")));
        let both = PeerAttributes { address: Some("db-1"), db_namespace: Some("shop"), ..db };
        check(CLIENT, both, Some((NodeKind::Database, "mysql/shop")));
        check(2, both, None);
        let sent = PeerAttributes { messaging_destination: Some("orders"), address: Some("broker"), ..none };
        check(PRODUCER, sent, Some((NodeKind::Queue, "orders")));
        check(CONSUMER, sent, Some((NodeKind::Queue, "orders")));
        check(CLIENT, sent, Some((NodeKind::Queue, "orders")));
        check(CLIENT, PeerAttributes { messaging_operation: Some("receive"), ..sent }, None);
        check(PRODUCER, PeerAttributes { address: Some("broker"), ..none }, None);
        let url = PeerAttributes { url: Some("https://pay.example:8443/v1?x=1"), ..none };
        check(CLIENT, url, Some((NodeKind::External, "pay.example")));
        check(CLIENT, PeerAttributes { url: Some("/relative"), ..none }, None);
        check(CLIENT, PeerAttributes { address: Some("10.0.0.7"), ..url }, Some((NodeKind::External, "10.0.0.7")));
        check(CLIENT, PeerAttributes { peer_service: Some("bank"), ..url }, Some((NodeKind::External, "bank")));
        check(CLIENT, PeerAttributes { peer_service: Some(""), ..none }, None);
    }
}
