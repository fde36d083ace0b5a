//! Many servers on the tables of one place, interleaved at every operation on its disk, in an order that a seed makes.
//!
//! | file | holds |
//! |---|---|
//! | `gate.rs` | who goes on: one actor at a time, chosen from the seed; long pauses |
//! | `disk.rs` | a disk that asks the gate before each operation |
//! | `actor.rs` | the servers: they append, merge, remove, clean up, sleep |
//! | `truth.rs` | what was acknowledged and what was removed, and the table checked against it |
//! | `interleaving.rs` | the runs |

mod actor;
mod disk;
mod gate;
mod interleaving;
mod truth;
