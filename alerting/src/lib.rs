//! The alerting wing.
