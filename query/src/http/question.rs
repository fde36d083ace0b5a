//! What every question to our own API begins with: the permission, the parameters, the range of one that names none.

use std::time::Duration;

use tracelake_model::Caller;

use crate::engine::Engine;
use crate::error::Error;
use crate::http::parameter::Parameters;
use crate::http::reply::may_read;

/// The range of a question that names none.
pub(crate) const RANGE_DEFAULT: Duration = Duration::from_secs(3600);

/// Checks the permission and takes the parameters apart: what every handler does first.
pub(crate) fn begin(
    engine: &Engine,
    caller: &Caller,
    query: Option<&str>,
    known: &[&str],
) -> Result<Parameters, Error> {
    may_read(caller)?;
    Parameters::parse(query, known, engine.clock().now())
}
