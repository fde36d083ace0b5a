//! Why a question has no answer, told so that the asker can act on it.
//!
//! DataFusion's errors are sorted here, once: what the asker wrote wrong against what broke on our side.

use datafusion::common::{DataFusionError, SchemaError};
use tracelake_model::Fault;

/// A question that cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The question cannot be understood, or asks for what is not offered.
    #[error("{0}")]
    Invalid(String),
    /// The caller's credential does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// The reply cannot be written as asked.
    #[error("{0}")]
    NotAcceptable(String),
    /// The request is larger than its limit.
    #[error("{0}")]
    TooLarge(String),
    /// Took longer than its limit.
    #[error("the query took longer than its limit of {0} s; narrow its time range or raise limits.sql_seconds")]
    Timeout(u64),
    /// Needed more memory than its limit.
    #[error("the query needs more memory than its limit; narrow it, add LIMIT, or raise limits.sql_memory: {0}")]
    Memory(String),
    /// As many queries run as may.
    #[error("{0} queries are running, which is the limit; come back in a moment")]
    Busy(usize),
    /// A table cannot be read now.
    #[error("{0}")]
    OutOfService(String),
    /// Something broke on our side.
    #[error("the query engine failed")]
    Engine(#[source] DataFusionError),
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> Fault {
        match self {
            Self::Invalid(_) => Fault::Invalid,
            Self::Forbidden(_) => Fault::Forbidden,
            Self::NotFound(_) => Fault::NotFound,
            Self::NotAcceptable(_) => Fault::Unsupported,
            Self::TooLarge(_) | Self::Memory(_) => Fault::TooLarge,
            Self::Timeout(_) => Fault::Timeout,
            Self::Busy(_) => Fault::Overloaded,
            Self::OutOfService(_) => Fault::Unavailable,
            Self::Engine(_) => Fault::Internal,
        }
    }

    /// Packed so that it can travel through a stream of batches; [`Error::from`] unpacks it.
    pub(crate) fn into_datafusion(self) -> DataFusionError {
        match self {
            Self::Engine(error) => error,
            own => DataFusionError::External(Box::new(own)),
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        let place = position(&error);
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(own) => *own,
                Err(inner) => Self::Engine(DataFusionError::External(inner)),
            },
            DataFusionError::Context(text, inner) => match Self::from(*inner) {
                Self::Engine(error) => Self::Engine(error.context(text)),
                sorted => sorted,
            },
            DataFusionError::Diagnostic(_, inner) => match Self::from(*inner) {
                Self::Invalid(text) => Self::Invalid(format!("{text}{place}")),
                sorted => sorted,
            },
            DataFusionError::Shared(inner) => from_shared(&inner),
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => Self::from(first),
                None => Self::Engine(DataFusionError::Internal("an empty list of errors".to_owned())),
            },
            sorted => sort(sorted),
        }
    }
}

impl From<tracelake_statement::Error> for Error {
    fn from(error: tracelake_statement::Error) -> Self {
        match error {
            tracelake_statement::Error::Refused(text) => Self::Invalid(text),
            tracelake_statement::Error::Planner(error) => Self::from(error),
        }
    }
}

/// An error that two partitions share cannot be taken apart: its kind is read, its text kept.
fn from_shared(error: &std::sync::Arc<DataFusionError>) -> Error {
    let root = error.find_root();
    if let DataFusionError::External(inner) = root
        && let Some(Error::Timeout(seconds)) = inner.downcast_ref::<Error>()
    {
        return Error::Timeout(*seconds);
    }
    match root {
        DataFusionError::ResourcesExhausted(text) => Error::Memory(text.clone()),
        root if is_asker_fault(root) => Error::Invalid(first_lines(&root.strip_backtrace())),
        _ => Error::Engine(DataFusionError::Shared(std::sync::Arc::clone(error))),
    }
}

fn sort(error: DataFusionError) -> Error {
    match error {
        DataFusionError::ResourcesExhausted(text) => Error::Memory(text),
        error if is_asker_fault(&error) => Error::Invalid(asker_text(&error)),
        error => Error::Engine(error),
    }
}

/// Whether a statement that is written otherwise would succeed.
fn is_asker_fault(error: &DataFusionError) -> bool {
    use arrow::error::ArrowError;
    match error {
        DataFusionError::Plan(_)
        | DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Execution(_) => true,
        DataFusionError::ArrowError(inner, _) => matches!(
            **inner,
            ArrowError::DivideByZero
                | ArrowError::ArithmeticOverflow(_)
                | ArrowError::CastError(_)
                | ArrowError::ParseError(_)
                | ArrowError::ComputeError(_)
                | ArrowError::InvalidArgumentError(_)
        ),
        _ => false,
    }
}

fn asker_text(error: &DataFusionError) -> String {
    match error {
        DataFusionError::SQL(parse, _) => format!("SQL: {}", first_lines(&parse.to_string())),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } if !valid_fields.is_empty() => {
                let names: Vec<String> = valid_fields.iter().map(|column| column.name.clone()).collect();
                format!("no column {}; the columns here are {}", field.name, names.join(", "))
            }
            other => first_lines(&other.to_string()),
        },
        DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::NotImplemented(text) => {
            first_lines(text)
        }
        other => first_lines(&other.strip_backtrace()),
    }
}

/// Where in the statement it went wrong, when the planner knows.
fn position(error: &DataFusionError) -> String {
    let span = match error {
        DataFusionError::Diagnostic(diagnostic, _) => diagnostic.span,
        _ => None,
    };
    span.map_or_else(String::new, |span| format!(" (line {}, column {})", span.start.line, span.start.column))
}

/// Keeps a message readable: neither a backtrace nor a page of candidates.
fn first_lines(text: &str) -> String {
    const CHARS_MAX: usize = 2_000;
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text).trim_end();
    text.chars().take(CHARS_MAX).collect()
}
