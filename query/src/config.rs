//! What the query wing can be told, with its defaults. Deliberately reads no file, flag or environment.

/// Limits of the query wing. Every one is enforced, none is advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Seconds one SQL statement or native question may take, from its start to its last row.
    pub sql_seconds: u64,
    /// Bytes that all SQL statements together may hold in sorts, joins and aggregates.
    pub sql_memory: u64,
    /// Rows of one SQL answer; further ones are cut and the answer says so.
    pub sql_rows: u64,
    /// SQL statements that may run at a time; one more is asked to come back later.
    pub sql_concurrent_max: usize,
    /// Bytes of one SQL request's body.
    pub sql_request_bytes: usize,
    /// Bytes that the questions of our own routes together may hold in sorts and aggregates.
    pub native_memory: u64,
    /// Bytes of decoded Parquet footers kept between queries.
    pub metadata_cache_bytes: usize,
    /// Partitions that one query is spread over; 0 takes one per core, at most 8.
    pub partitions: usize,
    /// Durable requests with log records that a slow live tail may lag behind before it misses some.
    pub live_tail_requests: usize,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("query settings: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl Default for Config {
    fn default() -> Self {
        Self {
            sql_seconds: 60,
            sql_memory: 256 << 20,
            sql_rows: 1_000_000,
            sql_concurrent_max: 16,
            sql_request_bytes: 1 << 20,
            native_memory: 256 << 20,
            metadata_cache_bytes: 16 << 20,
            partitions: 0,
            live_tail_requests: 64,
        }
    }
}

impl Config {
    /// Names every setting that cannot work, all at once.
    pub fn check(&self) -> Result<(), ConfigError> {
        const LEAST_MEMORY: u64 = 1 << 20;
        let mut faults = Vec::new();
        let mut least = |name: &str, value: u64, least: u64| {
            if value < least {
                faults.push(format!("{name} is {value}, at least {least} is needed"));
            }
        };
        least("sql_seconds", self.sql_seconds, 1);
        least("sql_memory", self.sql_memory, LEAST_MEMORY);
        least("sql_rows", self.sql_rows, 1);
        least("sql_concurrent_max", self.sql_concurrent_max as u64, 1);
        least("sql_request_bytes", self.sql_request_bytes as u64, 64);
        least("native_memory", self.native_memory, LEAST_MEMORY);
        least("live_tail_requests", self.live_tail_requests as u64, 1);
        if faults.is_empty() { Ok(()) } else { Err(ConfigError(faults)) }
    }

    /// Partitions of one query, with the machine's cores for 0.
    pub(crate) fn partition_count(&self) -> usize {
        const PARTITIONS_MAX: usize = 8;
        match self.partitions {
            0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(PARTITIONS_MAX),
            chosen => chosen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_and_every_fault_is_named_at_once() {
        assert_eq!(Config::default().check(), Ok(()));
        let bad = Config { sql_seconds: 0, sql_rows: 0, ..Config::default() };
        let text = bad.check().expect_err("two faults").to_string();
        assert!(text.contains("sql_seconds") && text.contains("sql_rows"), "{text}");
    }
}
