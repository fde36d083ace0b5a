//! Which spans are near each other in time: the bound that makes what a span draws the same whatever range is asked for.

use std::time::Duration;

use tracelake_model::UnixNano;

/// A child that starts so long before its parent began or after it ended is no answer to it: clocks differ by less.
pub(crate) const NEAR: Duration = Duration::from_secs(30);

/// Whether an instant lies between two others, or within [`NEAR`] of one.
pub(crate) fn is_near(at: i64, start: i64, end: i64) -> bool {
    let at = UnixNano(at);
    UnixNano(start).minus(NEAR) <= at && at <= UnixNano(end).plus(NEAR)
}
