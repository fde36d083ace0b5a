//! The map's minutes: computed once from stored spans, kept in `service_edges` and `service_minutes`, summed for answers.
//!
//! | file | holds |
//! |---|---|
//! | `histogram.rs` | durations as counts by exponential buckets |
//! | `tally.rs` | what the calls of a range add up to |
//! | `example.rs` | the traces of an edge that are worth a look |
//! | `row.rs` `column.rs` | a minute's tally as rows of the two tables, and back; their nested columns |
//! | `touch.rs` | which minutes new spans change |
//! | `book.rs` | what is known of a tenant's minutes: which are kept, which wait |
//! | `margin.rs` | what near a minute is worth reading |
//! | `pass.rs` `spill.rs` | counts the spans of minutes in bounded memory; spans put aside on disk meanwhile |
//! | `keeper.rs` `pace.rs` `thread.rs` | computes minutes that wait and writes them; the thread that does so |
//! | `read.rs` | a range's tally: kept minutes, and spans for what is cut or changed |
//! | `sums.rs` | sums of half hours of kept minutes that answers remember |
//!
//! A minute stands in generations. The number of one begins with the number of the last commit of `spans` that it takes
//! into account: a minute that no later commit touches is as good as its spans.

pub(crate) mod book;
pub(crate) mod column;
pub(crate) mod example;
pub(crate) mod histogram;
pub(crate) mod keeper;
pub(crate) mod margin;
pub(crate) mod pace;
pub(crate) mod pass;
#[cfg(test)]
pub(crate) mod pass_tests;
pub(crate) mod read;
pub(crate) mod row;
pub(crate) mod spill;
pub(crate) mod sums;
pub(crate) mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
pub(crate) mod touch;
