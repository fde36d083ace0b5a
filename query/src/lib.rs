//! The query wing.
