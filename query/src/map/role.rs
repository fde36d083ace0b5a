//! What part a span plays on the map beyond its kind: it sends, receives or processes messages, a timer started it, or a
//! sidecar proxy recorded it.
//!
//! Only documented attributes decide, never the name of a span. Sources: OpenTelemetry semantic conventions for
//! messaging and FaaS spans and their older names; for sidecars Istio's node id (`sidecar~…`, gateways are `router~…`)
//! and cluster names (`inbound|…`, `outbound|…`) on spans of Envoy (`component=proxy`), and the service name and the
//! label `direction` of Linkerd's proxy.

use crate::map::parent::{CLIENT, CONSUMER, PRODUCER, SERVER, UNSPECIFIED};

/// `service.name` of Linkerd's proxies.
pub(crate) const LINKERD: &str = "linkerd-proxy";

/// The part of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Role {
    /// None of the others.
    Plain,
    /// Hands messages to a queue.
    Send,
    /// Fetches messages from a queue.
    Receive,
    /// Works on messages.
    Process,
    /// Started by a timer.
    Timer,
    /// A sidecar in front of its application.
    Inbound,
    /// A sidecar behind its application.
    Outbound,
}

/// What a span's attributes say about its part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clues<'a> {
    /// The messaging operation.
    pub(crate) operation: Option<&'a str>,
    /// A destination of messages is named.
    pub(crate) has_destination: bool,
    /// A trigger by time or a job scheduler is named.
    pub(crate) is_timed: bool,
    /// `component`, which Envoy sets to `proxy`.
    pub(crate) component: Option<&'a str>,
    /// Envoy's `node_id`.
    pub(crate) node_id: Option<&'a str>,
    /// Envoy's `upstream_cluster`.
    pub(crate) upstream_cluster: Option<&'a str>,
    /// Linkerd's `direction`.
    pub(crate) direction: Option<&'a str>,
}

impl Role {
    /// All of them; the place of each is its number.
    pub(crate) const ALL: [Self; 7] =
        [Self::Plain, Self::Send, Self::Receive, Self::Process, Self::Timer, Self::Inbound, Self::Outbound];

    /// What the kind alone says.
    pub(crate) fn of_kind(kind: i8) -> Self {
        match kind {
            PRODUCER => Self::Send,
            CONSUMER => Self::Process,
            _ => Self::Plain,
        }
    }

    /// What kind and attributes say.
    pub(crate) fn of(kind: i8, service: &str, clues: &Clues<'_>) -> Self {
        if let Some(sidecar) = sidecar(kind, service, clues) {
            return sidecar;
        }
        if clues.is_timed {
            return Self::Timer;
        }
        match kind {
            CONSUMER if clues.operation == Some("receive") => Self::Receive,
            CLIENT | UNSPECIFIED => match clues.operation {
                Some("send" | "publish" | "create") => Self::Send,
                Some("receive") => Self::Receive,
                Some("process" | "deliver") if kind == UNSPECIFIED => Self::Process,
                // Older clients name the destination alone.
                None if kind == CLIENT && clues.has_destination => Self::Send,
                _ => Self::Plain,
            },
            _ => Self::of_kind(kind),
        }
    }

    /// Whether messages come in by such a span.
    pub(crate) fn consumes(self) -> bool {
        matches!(self, Self::Receive | Self::Process)
    }

    /// Whether a sidecar recorded it.
    pub(crate) fn is_sidecar(self) -> bool {
        matches!(self, Self::Inbound | Self::Outbound)
    }
}

fn sidecar(kind: i8, service: &str, clues: &Clues<'_>) -> Option<Role> {
    let by_kind = match kind {
        SERVER => Some(Role::Inbound),
        CLIENT => Some(Role::Outbound),
        _ => None,
    };
    if service == LINKERD {
        return match clues.direction {
            Some("inbound") => Some(Role::Inbound),
            Some("outbound") => Some(Role::Outbound),
            _ => by_kind,
        };
    }
    if clues.component != Some("proxy") {
        return None;
    }
    let cluster = clues.upstream_cluster.unwrap_or_default();
    if cluster.starts_with("inbound|") {
        return Some(Role::Inbound);
    }
    let is_sidecar = clues.node_id.is_some_and(|id| id.starts_with("sidecar~"));
    let outbound = cluster.starts_with("outbound|").then_some(Role::Outbound);
    outbound.or(by_kind).filter(|_| is_sidecar)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: i8, service: &str, clues: Clues<'_>, expected: Role) {
        assert_eq!(Role::of(kind, service, &clues), expected, "{kind} {service} {clues:?}");
    }

    #[test]
    fn an_operation_decides_where_the_kind_leaves_it_open() {
        let none = Clues::default();
        let does = |operation| Clues { operation: Some(operation), has_destination: true, ..none };
        check(PRODUCER, "a", none, Role::Send);
        check(CONSUMER, "a", none, Role::Process);
        check(CONSUMER, "a", does("receive"), Role::Receive);
        check(CLIENT, "a", does("receive"), Role::Receive);
        check(CLIENT, "a", does("send"), Role::Send);
        check(CLIENT, "a", does("publish"), Role::Send);
        check(CLIENT, "a", does("settle"), Role::Plain);
        check(CLIENT, "a", Clues { has_destination: true, ..none }, Role::Send);
        check(CLIENT, "a", none, Role::Plain);
        check(UNSPECIFIED, "a", Clues { has_destination: true, ..none }, Role::Plain);
        check(UNSPECIFIED, "a", does("process"), Role::Process);
        check(UNSPECIFIED, "a", does("create"), Role::Send);
        check(SERVER, "a", does("process"), Role::Plain);
        check(1, "a", Clues { is_timed: true, ..none }, Role::Timer);
    }

    #[test]
    fn sidecars_are_told_from_gateways_by_what_their_makers_document() {
        let envoy = Clues { component: Some("proxy"), ..Clues::default() };
        let istio = Clues { node_id: Some("sidecar~10.0.0.1~a-1.shop~shop.svc.cluster.local"), ..envoy };
        check(SERVER, "a.shop", istio, Role::Inbound);
        check(CLIENT, "a.shop", istio, Role::Outbound);
        check(CLIENT, "a.shop", Clues { upstream_cluster: Some("inbound|8080||"), ..istio }, Role::Inbound);
        check(SERVER, "a.shop", Clues { upstream_cluster: Some("outbound|80||b.shop"), ..istio }, Role::Outbound);
        check(1, "a.shop", istio, Role::Plain);
        let gateway = Clues { node_id: Some("router~10.0.0.2~istio-ingressgateway-1~x"), ..envoy };
        check(
            CLIENT,
            "istio-ingressgateway",
            Clues { upstream_cluster: Some("outbound|80||b"), ..gateway },
            Role::Plain,
        );
        check(SERVER, "edge", envoy, Role::Plain);
        check(SERVER, "a", Clues { component: None, ..istio }, Role::Plain);
        check(SERVER, "linkerd-proxy", Clues::default(), Role::Inbound);
        check(SERVER, "linkerd-proxy", Clues { direction: Some("outbound"), ..Clues::default() }, Role::Outbound);
        check(SERVER, "a", Clues { direction: Some("outbound"), ..Clues::default() }, Role::Plain);
    }
}
