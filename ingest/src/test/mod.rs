//! The wing driven through its doors and its decoder.
//!
//! | file | protects |
//! |---|---|
//! | `bench.rs` | a sink that remembers, requests, cells of batches |
//! | `sample.rs` | requests with every field set, in protobuf and JSON |
//! | `golden.rs` | every field arrives in its column, from either encoding |
//! | `refusal.rs` | bad records are refused alone, bad requests whole |
//! | `http.rs` `grpc.rs` | answers of the doors |
//! | `stage.rs` | what stages count for `/metrics` |
//! | `foreign/` | Zipkin and Jaeger: recorded requests field by field, odd ones, answers of their doors |
//! | `reference/` | a second decoder to hold the first against |
//! | `fuzz/` | broken and odd input without end, at the walker and at each door |

mod bench;
mod foreign;
mod fuzz;
mod golden;
mod grpc;
mod http;
mod reference;
mod refusal;
mod sample;
mod stage;
