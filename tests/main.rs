//! The whole house on loopback: one binary of tests that start the real server, feed it, ask it, stop it and kill it.
//!
//! | file | what it protects |
//! |---|---|
//! | `house.rs` | starts a server on free ports with a directory of its own; sends, asks, stops, kills |
//! | `recorded.rs` | recorded telemetry and its truth: the committed slices and, where present, the full sets |
//! | `replay.rs` | recorded telemetry is counted and mapped exactly, across a restart |
//! | `search.rs` | searches of recorded traces find exactly the traces that the truth names |
//! | `crash.rs` | kill -9 while sending loses nothing acknowledged, doubles nothing, tears nothing |
//! | `object.rs` `bucket/` | tables in a bucket: an S3 API server that fails when asked; nothing is lost, servers share it |
//! | `full.rs` | a real disk that fills up: refusals with a time, queries, acceptance again without a restart |
//! | `backup.rs` | a backup under load restores to what was acknowledged before it; damage is told and set aside |
//! | `otlp.rs` | bad input gets the right code on every door and takes nothing valid with it |
//! | `foreign.rs` | Zipkin's and Jaeger's clients send to their doors; what they sent is found like any other |
//! | `operate.rs` | what an operator gets wrong is told in one clear sentence |
//! | `alerting.rs` | a keyword reaches a webhook once, signed, and survives a kill |
//! | `erase.rs` | what is erased is gone for every reader, what is held stays; odd times do no harm |
//! | `sdk.rs` | real SDKs send, outside readers read |
//! | `browser.rs` | a person can use the pages |
//! | `tidy.rs` | imports point down, files stay small |

#![expect(clippy::print_stderr, reason = "a run says its seeds and what it left out")]

mod alerting;
mod backup;
mod browser;
mod crash;
mod erase;
mod foreign;
mod full;
mod house;
mod object;
mod operate;
mod otlp;
mod recorded;
mod replay;
mod sdk;
mod search;
mod tidy;
