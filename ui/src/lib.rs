//! Serves the web pages that are embedded in the binary.
//!
//! The pages under `web/` are built by `build.rs` with the feature `pages`. They speak HTTP with the API like any
//! other client, so this crate imports none of ours and knows no route but the pages' own.
//!
//! | file | holds |
//! |---|---|
//! | `asset.rs` | the table of embedded files and how a path finds its file |
//! | `page.rs` | [`router`], [`page`]: answers with caching, compression and security headers |

mod asset;
mod page;

pub use page::{page, router};
