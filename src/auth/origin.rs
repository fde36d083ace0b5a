//! Keeps foreign web pages away from a server without authentication, which trusts whoever reaches it.
//!
//! A browser on this machine reaches loopback too. A page that resolves its own name to 127.0.0.1 (DNS rebinding) is
//! told apart by its `Host`, a page that posts across origins by its `Origin`. Deliberately not applied to the OTLP
//! doors, where browser SDKs post across origins by design.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header};

/// Why a request looks like a foreign page's, if it does.
pub(crate) fn find_foreign(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let host = uri.authority().cloned().or_else(|| text(headers, header::HOST)?.parse::<Authority>().ok());
    let Some(host) = host else { return Some("the request names no host") };
    if !is_own_name(host.host()) {
        return Some(
            "without authentication this server answers only to its address and to localhost, not to other names; \
             set auth.tokens_file to use a name",
        );
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let origin = text(headers, header::ORIGIN).filter(|_| !reads)?;
    let same = origin.parse::<Uri>().is_ok_and(|origin| origin.authority() == Some(&host));
    (!same).then_some("a page of another origin may not change anything here; set auth.tokens_file")
}

fn is_own_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.ends_with(".localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_pages_are_told_from_our_own_and_from_tools() {
        let check = |method: Method, host: &str, origin: &str, passes: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a header"));
            if !origin.is_empty() {
                headers.insert(header::ORIGIN, origin.parse().expect("a header"));
            }
            let found = find_foreign(&method, &Uri::from_static("/api/v1/sql"), &headers);
            assert_eq!(found.is_none(), passes, "{method} {host} {origin}");
        };
        check(Method::GET, "127.0.0.1:4319", "", true);
        check(Method::GET, "localhost:4319", "https://grafana.example", true);
        check(Method::GET, "[::1]:4319", "", true);
        check(Method::GET, "evil.example:4319", "", false);
        check(Method::POST, "127.0.0.1:4319", "", true);
        check(Method::POST, "127.0.0.1:4319", "http://127.0.0.1:4319", true);
        check(Method::POST, "127.0.0.1:4319", "http://127.0.0.1:8080", false);
        check(Method::POST, "127.0.0.1:4319", "null", false);
        check(Method::DELETE, "localhost:4319", "https://evil.example", false);
    }
}
