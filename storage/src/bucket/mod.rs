//! An object store as the place of tables and documents.
//!
//! | file | holds |
//! |---|---|
//! | `open.rs` | from a URL and settings to a store; the marker in it |
//! | `settings.rs` | how an S3-compatible store is reached |
//! | `probe.rs` | whether it keeps the promise that commits stand on: a conditional put has one winner |
//! | `client.rs` `patience.rs` | requests whose outcome is known when they return; how often they are tried |
//! | `counted.rs` | how many requests there were, and how many at once |
//! | `threads.rs` | where requests run while storage's threads wait |
//! | `document.rs` | the documents that people edit, as objects |
//!
//! The tables' files themselves are `files/remote.rs`. Below the URL's prefix lie:
//!
//! | name | holds |
//! |---|---|
//! | `FORMAT` | version of what lies here; a newer one is refused |
//! | `data/<tenant>/<table>/` | a Delta Lake table, as in a data directory |
//! | `documents/<tenant>/<kind>/<id>.json` | documents |
//! | `probe/` | objects of a moment, while a server starts |

pub(crate) mod client;
pub(crate) mod counted;
pub(crate) mod document;
pub(crate) mod open;
pub(crate) mod patience;
pub(crate) mod probe;
pub(crate) mod settings;
pub(crate) mod threads;
