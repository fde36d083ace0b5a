//! What the alerting wing can be told, with defaults and a check.
//!
//! Deliberately reads no file: the binary fills it.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::delivery::receiver::Receiver;
use crate::error::Error;
use crate::rule::definition::Rule;
use crate::rule::registry::check_all;

/// Settings of the alerting wing. Rules and receivers given here hold for every tenant and cannot be changed by API.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rules from the configuration file.
    pub rules: Vec<Rule>,
    /// Receivers from the configuration file.
    pub receivers: Vec<Receiver>,
    /// Whether receivers may stand on private and loopback addresses. Link-local and metadata addresses never may.
    pub private_receivers: bool,
    /// Whether the rules we ship (keywords in English and Korean, any exception) are active.
    pub default_pack: bool,
    /// Where people reach the pages, for links in notices (`https://tracelake.example`); without it there are no links.
    pub external_url: Option<String>,
    /// Directory of the journal; made when absent.
    pub dir: PathBuf,
    /// Durable requests that may wait for matching; when full the tap blocks its caller.
    pub queue_requests_max: usize,
    /// Bytes of batches that may wait for matching.
    pub queue_bytes_max: usize,
    /// Notices that may wait for delivery; beyond it the oldest is given up as dead.
    pub notices_pending_max: usize,
    /// Finished notices that are kept to be listed and redelivered.
    pub notices_kept_max: usize,
    /// Alert groups of one tenant that are followed one by one; further ones share one group named overflow.
    pub groups_max: usize,
    /// Deliveries that may run at once.
    pub deliveries_max: usize,
    /// How long one delivery may take.
    pub delivery_timeout: Duration,
    /// How long a notice is tried before it is dead.
    pub give_up_after: Duration,
    /// Size at which the journal is rewritten.
    pub journal_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            receivers: Vec::new(),
            private_receivers: false,
            default_pack: true,
            external_url: None,
            dir: PathBuf::from("tracelake-data/alerting"),
            queue_requests_max: 256,
            queue_bytes_max: 8 << 20,
            notices_pending_max: 10_000,
            notices_kept_max: 10_000,
            groups_max: 10_000,
            deliveries_max: 16,
            delivery_timeout: Duration::from_secs(10),
            give_up_after: Duration::from_secs(24 * 3600),
            journal_bytes_max: 16 << 20,
        }
    }
}

impl Config {
    /// Tells everything that is wrong at once, each with its path.
    pub fn check(&self) -> Result<(), Error> {
        let mut problems = check_all(&self.rules, &self.receivers);
        let limits = [
            ("queue_requests_max", self.queue_requests_max),
            ("queue_bytes_max", self.queue_bytes_max),
            ("notices_pending_max", self.notices_pending_max),
            ("notices_kept_max", self.notices_kept_max),
            ("groups_max", self.groups_max),
            ("deliveries_max", self.deliveries_max),
        ];
        for (name, value) in limits {
            if value == 0 {
                problems.push(format!("alerting.{name} is 0; give at least 1"));
            }
        }
        if let Some(url) = &self.external_url {
            let fits = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !fits {
                problems.push(format!("alerting.external_url {url:?} is not an http or https URL"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }
}
