//! The storage wing.
