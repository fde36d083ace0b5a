//! What can go wrong in this wing, and what kind of failure it is.
//!
//! Deliberately has no variant for a failed delivery: that is an outcome of a notice, not an error.

use std::path::PathBuf;

use model::{DocumentError, Fault};
use tracelake_model as model;

/// A failure of the alerting wing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Rules, receivers or limits of the configuration or of a request that cannot be used.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    /// No such rule, receiver or notice.
    #[error("{kind} {id:?} does not exist")]
    Missing {
        /// What was asked for: `rule`, `receiver`, `notice`.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// It exists already, or may not be changed here.
    #[error("{0}")]
    Conflict(String),
    /// The caller lacks a permission.
    #[error("this needs the {0} role; use a credential that has it")]
    Forbidden(&'static str),
    /// The journal could not be read or written.
    #[error("alerting journal {path} failed; check that the disk has space and that the directory is writable")]
    Journal {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The journal was written by a newer version, or is no journal at all.
    #[error(
        "{0} is not an alerting journal this version can read; run the version that wrote it, or move the file away"
    )]
    Format(PathBuf),
    /// The document store failed.
    #[error("rules and receivers could not be read or written")]
    Documents(#[source] DocumentError),
    /// The client for deliveries could not be built.
    #[error("no HTTP client for deliveries; check the system's TLS certificates")]
    Client(#[source] reqwest::Error),
}

impl Error {
    /// The kind of failure.
    pub fn kind(&self) -> Fault {
        match self {
            Self::Invalid(_) => Fault::Invalid,
            Self::Missing { .. } => Fault::NotFound,
            Self::Conflict(_) => Fault::Conflict,
            Self::Forbidden(_) => Fault::Forbidden,
            Self::Journal { .. } | Self::Format(_) | Self::Client(_) => Fault::Internal,
            Self::Documents(_) => Fault::Unavailable,
        }
    }
}

impl From<DocumentError> for Error {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Conflict(_) => Self::Conflict(error.to_string()),
            DocumentError::BadId(_) => Self::Invalid(vec![error.to_string()]),
            DocumentError::Store(_) => Self::Documents(error),
        }
    }
}
