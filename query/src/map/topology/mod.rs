//! Proof of the map's rules: random systems whose every call is known, run through the rules as stored rows.
//!
//! | file | holds |
//! |---|---|
//! | `system.rs` | a random system: services, databases, queues, peers outside, sidecars, and how it is observed |
//! | `record.rs` | what running it leaves: spans as rows, and beside them what really happened |
//! | `run.rs` | runs requests: calls, retries, circles, sidecars, databases, peers outside |
//! | `deliver.rs` | runs messages: queues, links, batches |
//! | `expect.rs` | what the map must show, from what really happened and which spans were kept |
//! | `suite.rs` | the tests |
//!
//! Nothing here asks the code under test what is right: an act says what happened and which spans must be there for it
//! to be seen.

mod deliver;
mod expect;
mod record;
mod run;
mod suite;
mod system;
