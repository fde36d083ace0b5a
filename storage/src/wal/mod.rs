//! The write-ahead log: what is acknowledged stands here first.
//!
//! | file | holds |
//! |---|---|
//! | `header.rs` | the versioned encoding of a frame's header |
//! | `frame.rs` | a frame as bytes; finding frames in a segment |
//! | `id.rs` | the id of a log, and what becomes of it in a copy |
//! | `segment.rs` | segment files: names, reuse, when one may go |
//! | `writer.rs` | one group of frames, one sync |
//! | `reader.rs` | recovery at start; reading a range again for taps |
//!
//! # Layout
//! ```text
//! FORMAT                                    "tracelake 1"
//! wal/lock                                  held by the process that uses the directory
//! wal/id                                    the log's id: 16 hex digits, random, made with the log (`id.rs`)
//! wal/hashes                                payload hashes whose segments are gone
//! wal/<generation>-<base>.wal               a segment; frames from position <base> on
//! wal/<number>-<bytes>.spare                a file that waits to become a segment
//! ```
//! Numbers in names are 16 hex digits. A segment is written with zeros and synced once, then overwritten (where there is
//! no space for a whole one, it is an eighth or a sixty-fourth of it); a file whose
//! frames nobody needs becomes a spare and later a segment of a higher generation. A frame:
//! ```text
//!  0 magic "TLWF"   4 header bytes   8 payload bytes   12 checksum of id, generation, position, header, payload
//! 16 generation    24 position      32 newest position durable before this frame's group
//! 40 checksum of id and bytes 0..40 44 zero            48 header, payload, zeros up to a multiple of 8
//! ```
//! Integers are little-endian, checksums CRC-32. Both are salted with the log's id and the generation, so a frame of an
//! earlier use of the file, or of another log, never passes.
//!
//! # What holds
//! - Positions grow by one from frame to frame. A frame's third number is the newest position that a sync covered before
//!   its group was written, so it proves that everything up to it was durable. Damage at or below the greatest such
//!   number (or below the base of the newest segment) is corruption: reported, stepped over. Damage above is a torn tail:
//!   no sync came after it, and the log ends there.
//! - The base in a segment's name is durable before its first frame: frames at or above it in earlier segments are void.
//!   Everything below it was synced before.
//! - A failed sync poisons the log until the next start: nobody knows what is on disk.
//!
//! # Who waits for the sync
//! A group with a request of a `fsync` tenant (the default), with audit records or with derived rows is synced before
//! anything of it is acknowledged. A group of `interval` tenants alone is acknowledged once it is written; a sync follows
//! within the interval, with the next group that asks for one, with a flush, with the next segment, or when too much is
//! behind. So:
//! - the end of the process (a kill, a crash of ours) loses nothing;
//! - the end of the machine (power, kernel) loses at most what `interval` tenants were told since the last sync: the last
//!   frames of the log, never one before a frame that stays;
//! - tables and taps never hold what a sync has not covered, so both stay behind the log's end and no position is given
//!   out twice to anything that outlives the process.
//! - Segments go from the oldest on, when all tables have flushed their frames and every tap is past them.

pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod id;
pub(crate) mod reader;
pub(crate) mod segment;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
