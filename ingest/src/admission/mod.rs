//! Admission: how much may be under way at one time, how fast a tenant may send, and the refusal with a time to come back.
//!
//! | file | holds |
//! |---|---|
//! | `gate.rs` | bytes in flight of all and of each tenant; permits |
//! | `bucket.rs` | a tenant's rate and burst |
//! | `drain.rs` | how fast bytes in flight become durable |
//!
//! Nothing queues here: what does not fit is refused, early where its size is announced. Bytes count as they arrive and
//! again as they decompress; a permit gives them back when its request ends. Deliberately holds bytes that came, not bytes
//! announced: a slow sender holds no more than it sent.
//!
//! **Fairness.** While a tenant waits, that is, was refused for want of room and told when to come back, no other takes
//! more than its share: the limit divided by the tenants that hold or wait for bytes. One request of a tenant at a time
//! is free of the share, and a request that is alone is free of the limit: else some could never be taken.
//!
//! **Times to come back.** Of a rate: when the tenant's debt is paid. Of room: when what is too much will have drained
//! at the speed measured, behind what the same tenant was refused just before, so that retries come one after another.

mod bucket;
mod drain;
mod gate;

pub(crate) use gate::{Admission, Figures, Permit};
