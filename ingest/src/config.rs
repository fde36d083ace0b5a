//! What an operator may set for the ingest wing, with its defaults and its check.
//!
//! Deliberately reads nothing: the binary fills it from flags, environment and file.

use std::collections::BTreeMap;

use tracelake_model::{DecodeLimits, TenantId};

/// Settings of the ingest wing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What shapes a decoded request: sizes, counts, nesting.
    pub limits: DecodeLimits,
    /// Bytes of all requests being worked on at one time, as announced or received, as decompressed, and as rows until
    /// they are durable; more are told to come back.
    pub in_flight_bytes: u64,
    /// Bytes a second that each tenant may send, decompressed.
    pub tenant_rate: Rate,
    /// Bytes that each tenant may send at once above its rate; `None`: what the rate lets pass in ten seconds, because
    /// senders gather for some seconds and then send all.
    pub tenant_burst_bytes: Option<u64>,
    /// Tenants for which it is otherwise.
    pub tenants: BTreeMap<TenantId, TenantLimits>,
}

/// How fast a tenant may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rate {
    /// As fast as it can.
    #[default]
    Unlimited,
    /// So many bytes a second over time.
    BytesPerSecond(u64),
}

/// What a tenant has otherwise than all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantLimits {
    /// In place of [`Config::tenant_rate`].
    pub rate: Option<Rate>,
    /// In place of [`Config::tenant_burst_bytes`].
    pub burst_bytes: Option<u64>,
}

/// Values nest by recursion; this many levels are safe on the smallest thread stack we use.
const NESTING_MAX: u32 = 256;
/// A burst that is not set is what the rate lets pass in this time.
const BURST_SECONDS: u64 = 10;
/// Column offsets have 32 bits; text grows at most sixfold when it is written as JSON.
const REQUEST_BYTES_MAX: u64 = 256 << 20;

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: DecodeLimits::default(),
            in_flight_bytes: 16 << 20,
            tenant_rate: Rate::Unlimited,
            tenant_burst_bytes: None,
            tenants: BTreeMap::new(),
        }
    }
}

impl Config {
    /// A tenant's rate and burst, bytes a second and bytes; `None` where it may send as fast as it can.
    pub(crate) fn rate_of(&self, tenant: &TenantId) -> Option<(u64, u64)> {
        let own = self.tenants.get(tenant).copied().unwrap_or_default();
        match own.rate.unwrap_or(self.tenant_rate) {
            Rate::Unlimited => None,
            Rate::BytesPerSecond(rate) => {
                let burst = own.burst_bytes.or(self.tenant_burst_bytes);
                Some((rate.max(1), burst.unwrap_or(rate.saturating_mul(BURST_SECONDS)).max(1)))
            }
        }
    }

    /// Every problem of these settings, each with its remedy.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let limits = &self.limits;
        let rules = [
            (limits.request_bytes == 0, "limits.request_bytes is 0; set at least 1 KiB".to_owned()),
            (
                limits.request_bytes > REQUEST_BYTES_MAX,
                format!("limits.request_bytes is {}; set at most {REQUEST_BYTES_MAX}", limits.request_bytes),
            ),
            (limits.records == 0, "limits.records_per_request is 0; set at least 1".to_owned()),
            (limits.value_bytes < 64, "limits.value_bytes is below 64; set at least 64 bytes".to_owned()),
            (
                limits.nesting == 0 || limits.nesting > NESTING_MAX,
                format!("limits.nesting is {}; set 1 to {NESTING_MAX}", limits.nesting),
            ),
            (
                self.in_flight_bytes < limits.request_bytes,
                format!(
                    "limits.in_flight_bytes ({}) is below limits.request_bytes ({}); raise it, best to four times that",
                    self.in_flight_bytes, limits.request_bytes
                ),
            ),
        ];
        let mut problems: Vec<String> = rules.into_iter().filter_map(|(wrong, text)| wrong.then_some(text)).collect();
        problems.extend(zero_rate("limits.tenant_", Some(self.tenant_rate), self.tenant_burst_bytes));
        for (tenant, own) in &self.tenants {
            problems.extend(zero_rate(&format!("limits.tenant.{tenant}."), own.rate, own.burst_bytes));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn zero_rate(prefix: &str, rate: Option<Rate>, burst_bytes: Option<u64>) -> Vec<String> {
    let mut problems = Vec::new();
    if rate == Some(Rate::BytesPerSecond(0)) {
        problems.push(format!("{prefix}bytes_per_second is 0, which takes nothing; set a size, or off for no limit"));
    }
    if burst_bytes == Some(0) {
        problems.push(format!("{prefix}burst_bytes is 0, which takes nothing; set at least 1 KiB"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_all_problems_are_told_at_once() {
        assert_eq!(Config::default().check(), Ok(()));
        let bad = Config {
            limits: DecodeLimits { nesting: 1000, records: 0, ..DecodeLimits::default() },
            in_flight_bytes: 10,
            tenant_rate: Rate::BytesPerSecond(0),
            tenants: BTreeMap::from([(
                TenantId::default(),
                TenantLimits { rate: Some(Rate::Unlimited), burst_bytes: Some(0) },
            )]),
            ..Config::default()
        };
        assert_eq!(bad.check().map_err(|problems| problems.len()), Err(5));
    }

    #[test]
    fn a_tenant_has_its_own_rate_or_that_of_all() {
        let [bulk, free] = ["bulk", "free"].map(|name| TenantId::new(name).expect("a tenant"));
        let own = |rate| TenantLimits { rate: Some(rate), burst_bytes: None };
        let config = Config {
            tenant_rate: Rate::BytesPerSecond(100),
            tenants: BTreeMap::from([
                (bulk.clone(), own(Rate::BytesPerSecond(7))),
                (free.clone(), own(Rate::Unlimited)),
            ]),
            ..Config::default()
        };
        assert_eq!(config.rate_of(&TenantId::default()), Some((100, 1000)));
        assert_eq!(config.rate_of(&bulk), Some((7, 70)));
        assert_eq!(config.rate_of(&free), None);
        let config = Config { tenant_burst_bytes: Some(5), ..config };
        assert_eq!(config.rate_of(&bulk), Some((7, 5)));
        assert_eq!(Config::default().rate_of(&bulk), None);
    }
}
