//! Names that nobody has used before.

use std::io;

use tracelake_model::to_hex;

/// 32 random hex digits.
pub(crate) fn unique() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(to_hex(&bytes))
}
