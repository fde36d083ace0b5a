//! Why a command ended without success: one clear sentence, and the exit code.

use std::path::PathBuf;

use crate::auth::token::TokenError;
use crate::config::load::Problems;
use crate::demo::sender::SendError;

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The tokens file is wrong.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The demo could not send.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A door's address cannot be taken.
    #[error(
        "cannot listen on {address} ({door}): {source}; choose another address with --listen-{door} or end what holds it"
    )]
    Bind {
        /// `otlp-grpc`, `otlp-http` or `http`.
        door: &'static str,
        /// As configured.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("tls: {path}: {detail}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The storage wing cannot work.
    #[error("{0}")]
    Storage(String),
    /// The alerting wing cannot work.
    #[error("alerting: {0}")]
    Alerting(String),
    /// A server that was asked did not answer, or said no.
    #[error("{0}")]
    Server(String),
    /// A check found something.
    #[error("{0}")]
    Found(String),
    /// The system would not do something ordinary.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// 2 when the command line or the configuration must change, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::Token(_) | Self::Tls { .. } => 2,
            _ => 1,
        }
    }
}
