//! Which addresses a delivery may connect to (server-side request forgery).
//!
//! Names are resolved here and only checked addresses are handed to the connector, so that a name cannot change its
//! answer between check and use. Deliberately has no allow-list by name: that comes with the operator's network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How far away an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anybody's.
    Public,
    /// Loopback, private networks, carrier NAT: allowed where the operator says so.
    Private,
    /// Link-local, cloud metadata, unspecified, multicast, reserved: never a receiver.
    Never,
}

/// Metadata services outside of the link-local ranges: Alibaba, Azure's wire server, AWS over IPv6.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// How far away `address` is (IANA special-purpose registries, RFC 6890). IPv4 inside IPv6 counts as that IPv4.
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| reach_v6(v6), reach_v4),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    if METADATA_V4.contains(&address) || address.is_link_local() {
        return Reach::Never;
    }
    match (a, b, c) {
        (0 | 224..=255, _, _) => Reach::Never,
        (10 | 127, _, _)
        | (100, 64..=127, _)
        | (172, 16..=31, _)
        | (192, 168, _)
        | (192, 0, 0 | 2)
        | (198, 18..=19, _)
        | (198, 51, 100)
        | (203, 0, 113) => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let first = address.segments()[0];
    if address == METADATA_V6 || address.is_unspecified() || address.is_multicast() {
        return Reach::Never;
    }
    match first {
        0xfe80..=0xfebf => Reach::Never,
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Reach::Private,
        0x2000..=0x3fff => Reach::Public,
        _ if address.is_loopback() => Reach::Private,
        _ => Reach::Never,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(v4(high, low))
        }
        _ => None,
    }
}

/// Whether an address may be connected to.
pub(crate) fn allowed(address: IpAddr, private_receivers: bool) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Private => private_receivers,
        Reach::Never => false,
    }
}

fn refusal(what: &str) -> String {
    format!(
        "{what} is not an address notices may be sent to; link-local and metadata addresses never are, private and \
         loopback ones only with alerting.private_receivers = \"allow\""
    )
}

/// Why a URL's host is refused when it is written as an address; names are checked when they are resolved.
pub(crate) fn host_refused(url: &Url, private_receivers: bool) -> Option<String> {
    let address = match url.host()? {
        Host::Ipv4(v4) => IpAddr::V4(v4),
        Host::Ipv6(v6) => IpAddr::V6(v6),
        Host::Domain(_) => return None,
    };
    (!allowed(address, private_receivers)).then(|| refusal(&address.to_string()))
}

/// Resolves names to addresses that may be connected to, and to no others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    /// Whether private and loopback addresses are allowed.
    pub private_receivers: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let private_receivers = self.private_receivers;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| allowed(address.ip(), private_receivers)).collect();
            if allowed.is_empty() {
                return Err(refusal(name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_form_reaches_inside_unless_allowed() {
        let check = |text: &str, expected: Reach| {
            assert_eq!(reach(text.parse().expect(text)), expected, "{text}");
        };
        for public in ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "2002:0808:0808::1"] {
            check(public, Reach::Public);
        }
        for private in [
            "127.0.0.1",
            "127.8.9.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            check(private, Reach::Private);
        }
        for never in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "100::1",
        ] {
            check(never, Reach::Never);
        }
        check("172.32.0.1", Reach::Public);
    }

    #[test]
    fn odd_spellings_of_an_address_in_a_url_are_the_address() {
        let check = |text: &str, private_receivers: bool, refused: bool| {
            let url = Url::parse(text).expect(text);
            assert_eq!(host_refused(&url, private_receivers).is_some(), refused, "{text}");
        };
        for inside in ["http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://[::1]/", "http://0177.0.0.1/"] {
            check(inside, false, true);
            check(inside, true, false);
        }
        for never in ["http://169.254.169.254/", "http://0xa9fea9fe/", "http://[::ffff:169.254.169.254]/", "http://0/"]
        {
            check(never, true, true);
        }
        check("https://hooks.example/", false, false);
    }

    #[tokio::test]
    async fn a_name_that_resolves_inside_is_refused_unless_allowed() {
        let resolve = |private_receivers| Guard { private_receivers }.resolve("localhost".parse().expect("a name"));
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.expect("localhost").all(|address| address.ip().is_loopback()));
    }
}
