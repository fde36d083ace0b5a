//! The ingest wing.
