//! What a rule is and which rules hold for a tenant.
//!
//! | file | holds |
//! |---|---|
//! | `definition.rs` | [`Rule`] as configuration and API write it, and its check |
//! | `period.rs` | lengths of time as `5m` |
//! | `pack.rs` | the rules we ship |
//! | `registry.rs` | rules and receivers of a tenant: shipped, from the file, and from documents |

pub(crate) mod definition;
pub(crate) mod pack;
pub(crate) mod period;
pub(crate) mod registry;

pub use definition::{AlertSeverity, Rule, RuleKind, RuleSignal};
pub use period::Period;
