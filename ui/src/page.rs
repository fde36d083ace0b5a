//! Answers requests for pages: revalidation, compression, caching, and the headers that fence the pages in.
//!
//! Meant as the last resort under the API's routes. It checks no credential: the pages hold no data, every figure
//! they show is asked of the API, which does.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use crate::asset::{ASSETS, Asset, Found, find};

/// No inline script and no inline style sheet; data only from where the page came from. Workers are our own files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: &str = "Tracelake is running, but this build has no web pages.\n\
     The API answers here; build with the default features (Node.js >= 20.19) to get the pages.\n";

/// Serves `/`, the pages' files and deep links; everything else is 404. Use it as a fallback under the API's routes.
pub fn router() -> Router {
    Router::new().fallback(any_method)
}

/// One GET for a page or one of its files; 404 with a problem body (RFC 9457) for paths that are neither.
pub async fn page(uri: Uri, headers: HeaderMap) -> Response {
    answer(ASSETS, uri.path(), &headers)
}

async fn any_method(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method == Method::GET || method == Method::HEAD {
        return page(uri, headers).await;
    }
    match find(ASSETS, uri.path()) {
        Found::Nothing => not_found(uri.path()),
        Found::NotBuilt if uri.path() != "/" => not_found(uri.path()),
        _ => {
            let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "pages are read with GET");
            set(&mut response, ALLOW, "GET, HEAD");
            response
        }
    }
}

fn answer(table: &[Asset], path: &str, headers: &HeaderMap) -> Response {
    match find(table, path) {
        Found::File(asset) => file(asset, headers),
        Found::Document(asset) => {
            let mut response = file(asset, headers);
            set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
            set(&mut response, REFERRER_POLICY, "same-origin");
            set(&mut response, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
            response
        }
        Found::NotBuilt if path == "/" => plain(StatusCode::OK, "text/plain; charset=utf-8", NOT_BUILT.into()),
        Found::NotBuilt | Found::Nothing => not_found(path),
    }
}

fn file(asset: &Asset, headers: &HeaderMap) -> Response {
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| names_tag(value, asset.etag));
    let brotli = asset.brotli.filter(|_| accepts_brotli(headers));
    let mut response = if known {
        plain(StatusCode::NOT_MODIFIED, asset.media_type(), Body::empty())
    } else {
        plain(StatusCode::OK, asset.media_type(), Body::from(brotli.unwrap_or(asset.raw)))
    };
    set(&mut response, ETAG, asset.etag);
    set(&mut response, VARY, "accept-encoding");
    let caching = if asset.is_immutable() { "public, max-age=31536000, immutable" } else { "no-cache" };
    set(&mut response, CACHE_CONTROL, caching);
    if brotli.is_some() && !known {
        set(&mut response, CONTENT_ENCODING, "br");
    }
    response
}

/// Whether an `If-None-Match` value names this weak tag, by the weak comparison of RFC 9110 section 8.8.3.2.
fn names_tag(value: &HeaderValue, etag: &str) -> bool {
    let opaque = etag.trim_start_matches("W/");
    value.to_str().is_ok_and(|text| {
        text.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == opaque)
    })
}

/// Whether `Accept-Encoding` offers `br` with a weight above zero.
fn accepts_brotli(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|offer| {
            let mut parts = offer.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
            let refused = parts
                .filter_map(|part| part.strip_prefix("q="))
                .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
            named && !refused
        })
}

fn not_found(path: &str) -> Response {
    let known = if path.starts_with("/api/") { "no such API route in this version" } else { "no such page or file" };
    problem(StatusCode::NOT_FOUND, "not found", known)
}

/// A problem body of fixed words; nothing of the request is repeated in it, so nothing needs escaping.
fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    let body =
        format!(r#"{{"type":"about:blank","title":"{title}","status":{},"detail":"{detail}"}}"#, status.as_u16());
    plain(status, "application/problem+json", body.into())
}

fn plain(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, media_type);
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{answer, any_method, page};
    use crate::asset::Asset;
    use axum::body::to_bytes;
    use axum::response::Response;
    use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};
    use http::{HeaderMap, Method, Uri};

    static TABLE: [Asset; 2] = [
        Asset { path: "assets/app-1.js", etag: "W/\"a1\"", raw: b"let a = 1;", brotli: Some(b"compressed") },
        Asset { path: "index.html", etag: "W/\"b2\"", raw: b"<!doctype html>", brotli: None },
    ];

    fn ask(path: &str, headers: &[(http::HeaderName, &str)]) -> Response {
        let headers: HeaderMap = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        answer(&TABLE, path, &headers)
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn body(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), 4096).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn documents_forbid_inline_script_and_are_always_revalidated() {
        let response = ask("/traces/abc", &[]);
        assert_eq!(response.status(), 200);
        let policy = header(&response, "content-security-policy");
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(body(response).await, "<!doctype html>");
    }

    #[tokio::test]
    async fn hashed_files_are_immutable_and_compressed_only_for_those_who_accept_it() {
        async fn check(accepted: &str, expected: &str) {
            let response = ask("/assets/app-1.js", &[(ACCEPT_ENCODING, accepted)]);
            assert!(header(&response, "cache-control").contains("immutable"));
            let compressed = header(&response, "content-encoding") == "br";
            assert_eq!(compressed, expected == "compressed", "{accepted}");
            assert_eq!(body(response).await, expected, "{accepted}");
        }
        check("gzip, deflate, br", "compressed").await;
        check("br;q=0.8", "compressed").await;
        check("gzip", "let a = 1;").await;
        check("br;q=0, gzip", "let a = 1;").await;
        check("brotli", "let a = 1;").await;
    }

    #[test]
    fn a_known_tag_is_answered_304_without_a_body() {
        fn check(known: &str, expected: u16) {
            let response = ask("/assets/app-1.js", &[(IF_NONE_MATCH, known)]);
            assert_eq!(response.status(), expected, "{known}");
            assert_eq!(header(&response, "etag"), "W/\"a1\"");
        }
        check("W/\"a1\"", 304);
        check("\"a1\"", 304);
        check("\"zz\", W/\"a1\"", 304);
        check("*", 304);
        check("W/\"old\"", 200);
    }

    #[tokio::test]
    async fn unknown_routes_are_a_problem_and_never_a_page() {
        let response = ask("/api/v1/nonsense", &[]);
        assert_eq!(response.status(), 404);
        assert_eq!(header(&response, "content-type"), "application/problem+json");
        assert!(body(response).await.contains("no such API route"));
    }

    #[tokio::test]
    async fn a_build_without_pages_says_so_in_words() {
        let response = answer(&[], "/", &HeaderMap::new());
        assert_eq!(response.status(), 200);
        assert!(body(response).await.contains("has no web pages"));
        assert_eq!(answer(&[], "/traces", &HeaderMap::new()).status(), 404);
    }

    #[tokio::test]
    async fn the_embedded_front_page_answers_and_only_to_reading() {
        let front = page(Uri::from_static("/"), HeaderMap::new()).await;
        assert_eq!(front.status(), 200);
        let posted = any_method(Method::POST, Uri::from_static("/"), HeaderMap::new()).await;
        assert_eq!(posted.status(), 405);
        let unknown = any_method(Method::POST, Uri::from_static("/api/v1/nonsense"), HeaderMap::new()).await;
        assert_eq!(unknown.status(), 404);
    }
}
