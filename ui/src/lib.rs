//! The ui wing.
