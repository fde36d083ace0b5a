//! A configuration with as many keyword rules as a company has, none of which has a receiver.
//!
//! Most keywords never occur; a few do, so that matches are counted and grouped as well.

use std::fmt::Write as _;

/// Rules over log records.
const LOG_RULES: usize = 1_000;
/// Rules over exceptions, which spans and log records bring.
const EXCEPTION_RULES: usize = 100;

const WHAT: [&str; 40] = [
    "payment gateway",
    "card issuer",
    "settlement job",
    "refund worker",
    "ledger export",
    "order queue",
    "cart store",
    "stock reservation",
    "price feed",
    "voucher service",
    "search index",
    "image resizer",
    "mail relay",
    "push bridge",
    "sms carrier",
    "login form",
    "session store",
    "token issuer",
    "audit trail",
    "report builder",
    "backup job",
    "replica set",
    "leader election",
    "shard map",
    "cache node",
    "disk array",
    "file share",
    "bucket upload",
    "dns resolver",
    "load balancer",
    "tls certificate",
    "vpn tunnel",
    "kernel module",
    "container runtime",
    "image registry",
    "node pool",
    "cron trigger",
    "feature flag",
    "config map",
    "secret vault",
];
const HOW: [&str; 25] = [
    "timed out",
    "ran out of memory",
    "refused the connection",
    "returned no rows",
    "is read only",
    "has expired",
    "lost its lease",
    "was throttled",
    "is over quota",
    "failed its probe",
    "restarted too often",
    "dropped messages",
    "has no quorum",
    "fell behind",
    "is unreachable",
    "was denied",
    "sent a bad checksum",
    "is corrupt",
    "could not be parsed",
    "is deadlocked",
    "leaks connections",
    "is out of disk",
    "was evicted",
    "crashed",
    "hangs",
];

/// The configuration file's text.
pub(crate) fn configuration() -> String {
    let mut text = String::new();
    let phrases = WHAT.iter().flat_map(|what| HOW.iter().map(move |how| format!("{what} {how}")));
    for (number, phrase) in phrases.take(LOG_RULES - OCCURRING.len()).chain(OCCURRING.map(str::to_owned)).enumerate() {
        rule(&mut text, "logs", number, &phrase);
    }
    let phrases = WHAT.iter().flat_map(|what| HOW.iter().rev().map(move |how| format!("{what} {how}")));
    for (number, phrase) in phrases.take(EXCEPTION_RULES).enumerate() {
        rule(&mut text, "exceptions", number, &phrase);
    }
    text
}

/// Words of the shop's own log lines.
const OCCURRING: [&str; 4] = ["declined", "deadlock", "retry", "slow query"];

fn rule(text: &mut String, signal: &str, number: usize, phrase: &str) {
    let _ = writeln!(
        text,
        "[[alerting.rule]]\nid = \"{signal}-{number}\"\nsignal = \"{signal}\"\nkeywords = [\"{phrase}\"]"
    );
}
