//! What a span without an instrumented callee talks to: a database, a queue, or a service outside.
//!
//! Only database, messaging and peer attributes decide, never `rpc.service`: frameworks put their own service there.
//! Source: OpenTelemetry semantic conventions for database, messaging and HTTP client spans, and their older names.

use crate::map::parent::{CLIENT, UNSPECIFIED};
use crate::map::role::Role;
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
    /// What starts traces without a span of its own: [`USER`] or [`TIMER`].
    Client,
}

/// The client that calls a SERVER span without parent.
pub(crate) const USER: &str = "user";

/// The client that starts what runs by a schedule.
pub(crate) const TIMER: &str = "timer";

impl NodeKind {
    /// All of them; the place of each is its number.
    pub(crate) const ALL: [Self; 5] = [Self::Service, Self::Database, Self::Queue, Self::External, Self::Client];

    /// The name in ids and answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Queue => "queue",
            Self::External => "external",
            Self::Client => "client",
        }
    }
}

/// The attributes that name a peer, where a span carries them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerAttributes<'a> {
    pub(crate) db_system: Option<&'a str>,
    pub(crate) db_namespace: Option<&'a str>,
    pub(crate) destination: Option<&'a str>,
    pub(crate) peer_service: Option<&'a str>,
    pub(crate) address: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
}

/// The peer that a span of this kind and role names, if any.
pub(crate) fn peer(kind: i8, role: Role, a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    match role {
        Role::Send | Role::Receive | Role::Process => queue(a),
        Role::Outbound => external(a),
        Role::Inbound => None,
        Role::Plain | Role::Timer => match kind {
            // Whoever settles or looks after messages draws no edge.
            _ if filled(a.destination).is_some() => None,
            CLIENT => database(a).or_else(|| external(a)),
            // Without a kind an address may be the span's own; these two are always the other side's.
            UNSPECIFIED => database(a).or_else(|| named(a.peer_service)),
            _ => None,
        },
    }
}

fn database(a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    let system = filled(a.db_system)?;
    let place = filled(a.db_namespace).or_else(|| filled(a.address));
    Some((NodeKind::Database, place.map_or_else(|| system.to_owned(), |place| format!("{system}/{place}"))))
}

fn queue(a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    filled(a.destination).map(|name| (NodeKind::Queue, name.to_owned()))
}

fn external(a: &PeerAttributes<'_>) -> Option<(NodeKind, String)> {
    let host = || filled(a.url).and_then(|text| url::Url::parse(text).ok()?.host_str().map(str::to_owned));
    let by_header = || filled(a.host).map(without_port).map(str::to_owned);
    let address = filled(a.peer_service).or_else(|| filled(a.address)).map(str::to_owned);
    Some((NodeKind::External, address.or_else(host).or_else(by_header)?))
}

fn named(text: Option<&str>) -> Option<(NodeKind, String)> {
    filled(text).map(|name| (NodeKind::External, name.to_owned()))
}

/// The host of an HTTP `Host` header.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::parent::{CONSUMER, PRODUCER, SERVER};
    use crate::map::role::Role::{Inbound, Outbound, Plain, Process, Receive, Send};

    fn check(kind: i8, role: Role, a: PeerAttributes<'_>, expected: Option<(NodeKind, &str)>) {
        let found = peer(kind, role, &a);
        let found = found.as_ref().map(|(kind, name)| (*kind, name.as_str()));
        assert_eq!(found, expected, "{kind} {role:?} {a:?}");
    }

    #[test]
    fn a_peer_is_named_by_database_messaging_or_peer_attributes() {
        let none = PeerAttributes::default();
        let db = PeerAttributes { db_system: Some("mysql"), ..none };
        check(CLIENT, Plain, none, None);
        check(CLIENT, Plain, db, Some((NodeKind::Database, "mysql")));
        let placed = PeerAttributes { address: Some("db-1"), ..db };
        check(CLIENT, Plain, placed, Some((NodeKind::Database, "mysql/db-1")));
        let both = PeerAttributes { db_namespace: Some("shop"), ..placed };
        check(CLIENT, Plain, both, Some((NodeKind::Database, "mysql/shop")));
        check(UNSPECIFIED, Plain, both, Some((NodeKind::Database, "mysql/shop")));
        check(SERVER, Plain, both, None);
        let sent = PeerAttributes { destination: Some("orders"), address: Some("broker"), ..none };
        check(PRODUCER, Send, sent, Some((NodeKind::Queue, "orders")));
        check(CONSUMER, Process, sent, Some((NodeKind::Queue, "orders")));
        check(CLIENT, Receive, sent, Some((NodeKind::Queue, "orders")));
        check(CLIENT, Plain, sent, None);
        check(PRODUCER, Send, PeerAttributes { address: Some("broker"), ..none }, None);
        let url = PeerAttributes { url: Some("https://pay.example:8443/v1?x=1"), ..none };
        check(CLIENT, Plain, url, Some((NodeKind::External, "pay.example")));
        check(UNSPECIFIED, Plain, url, None);
        check(CLIENT, Outbound, url, Some((NodeKind::External, "pay.example")));
        check(SERVER, Inbound, url, None);
        check(CLIENT, Plain, PeerAttributes { url: Some("/relative"), ..none }, None);
        let by_header = |host| PeerAttributes { host: Some(host), url: Some("/relative"), ..none };
        check(CLIENT, Plain, by_header("pay.example:8443"), Some((NodeKind::External, "pay.example")));
        check(CLIENT, Plain, by_header("[::1]:80"), Some((NodeKind::External, "[::1]")));
        let placed = PeerAttributes { address: Some("10.0.0.7"), ..url };
        check(CLIENT, Plain, placed, Some((NodeKind::External, "10.0.0.7")));
        let named = PeerAttributes { peer_service: Some("bank"), ..url };
        check(CLIENT, Plain, named, Some((NodeKind::External, "bank")));
        check(UNSPECIFIED, Plain, named, Some((NodeKind::External, "bank")));
        check(CLIENT, Plain, PeerAttributes { peer_service: Some(""), ..none }, None);
    }
}
