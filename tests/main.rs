//! The whole house on loopback: one test binary.
