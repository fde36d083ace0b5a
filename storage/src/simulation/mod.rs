//! A disk in memory that loses power, fails where it is told to, and can be copied whole at any moment. Tests only.
//!
//! | file | holds |
//! |---|---|
//! | `world.rs` | files and names: what is seen of them, what of it is durable |
//! | `crash.rs` | what a power cut leaves: any part of what was not synced |
//! | `fault.rs` | which operation fails, and how |
//! | `disk.rs` | [`SimDisk`]: all of it behind the seam; images of every moment |

mod crash;
pub(crate) mod disk;
pub(crate) mod fault;
mod world;

pub(crate) use disk::SimDisk;

#[cfg(test)]
mod tests;
