//! The embedded files, and which of them a path means.
//!
//! Deliberately knows nothing of HTTP headers. Without the feature `pages` the table is empty.

/// One embedded file.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Path below the root, without a leading slash (`assets/index-1a2b.js`).
    pub(crate) path: &'static str,
    /// Weak entity tag, quotes included: the compressed and the plain form share it.
    pub(crate) etag: &'static str,
    /// The bytes as they are.
    pub(crate) raw: &'static [u8],
    /// The same compressed by brotli, where that was worth it.
    pub(crate) brotli: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// First segments of the addresses that the pages themselves understand; the pages' router is `web/src/url.ts`.
const PAGES: [&str; 6] = ["", "map", "traces", "logs", "alerts", "start"];

/// What a path means.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A file by its own name.
    File(&'a Asset),
    /// An address inside the pages: their one HTML document.
    Document(&'a Asset),
    /// Pages are embedded, but none is here.
    Nothing,
    /// This build has no pages.
    NotBuilt,
}

impl Asset {
    /// Files whose name holds a hash of their content never change under that name.
    pub(crate) fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }

    /// The media type by the file's extension.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("woff2") => "font/woff2",
            Some("png") => "image/png",
            Some("json") => "application/json",
            Some("txt") => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }
}

/// Finds the file that answers `path` (with its leading slash) in `table`.
pub(crate) fn find<'a>(table: &'a [Asset], path: &str) -> Found<'a> {
    let name = path.trim_start_matches('/');
    let Some(document) = table.iter().find(|asset| asset.path == "index.html") else {
        return Found::NotBuilt;
    };
    if let Some(asset) = table.iter().find(|asset| asset.path == name && asset.path != "index.html") {
        return Found::File(asset);
    }
    let first = name.split('/').next().unwrap_or_default();
    if PAGES.contains(&first) || name == "index.html" { Found::Document(document) } else { Found::Nothing }
}

#[cfg(test)]
mod tests {
    use super::{Asset, Found, find};

    const fn asset(path: &'static str) -> Asset {
        Asset { path, etag: "W/\"1\"", raw: b"", brotli: None }
    }

    static TABLE: [Asset; 3] = [asset("assets/app-1.js"), asset("icon.svg"), asset("index.html")];

    fn check(path: &str, expected: &str) {
        let found = match find(&TABLE, path) {
            Found::File(asset) => asset.path,
            Found::Document(_) => "document",
            Found::Nothing => "nothing",
            Found::NotBuilt => "not built",
        };
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn deep_links_reach_the_document_and_everything_else_only_itself() {
        check("/", "document");
        check("/index.html", "document");
        check("/traces", "document");
        check("/traces/4bf92f3577b34da6a3ce929d0e0e4736", "document");
        check("/logs/", "document");
        check("/assets/app-1.js", "assets/app-1.js");
        check("/icon.svg", "icon.svg");
        // A stale asset or an unknown route must not be answered with a page that looks like success.
        check("/assets/app-0.js", "nothing");
        check("/api/v1/nonsense", "nothing");
        check("/metrics", "nothing");
        check("/../Cargo.toml", "nothing");
    }

    #[test]
    fn an_empty_table_says_that_nothing_was_built() {
        assert!(matches!(find(&[], "/"), Found::NotBuilt));
    }

    #[test]
    fn media_types_follow_the_extension() {
        assert_eq!(asset("assets/a.b.css").media_type(), "text/css; charset=utf-8");
        assert_eq!(asset("x.unknown").media_type(), "application/octet-stream");
    }
}
