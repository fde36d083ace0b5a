//! The keys of the section `storage`: the place of tables, how records reach it, how long they stay.

use tracelake_model::Table;
use tracelake_storage::Durability;

use crate::config::schema::{Setting, TenantSetting, quote};
use crate::config::value::{parse_bool, parse_duration, parse_size, show_duration, show_size};

/// How long one table's rows stay.
macro_rules! retention {
    ($key:literal, $table:expr) => {
        Setting {
            key: $key,
            doc: "How long rows of this table stay after they were stored, such as 30d; without it, they stay. Rows under a hold stay as long as it stands.",
            show: |config| {
                let age = config.storage.retention.get(&$table);
                age.map_or_else(String::new, |age| quote(show_duration(*age)))
            },
            set: |config, text| {
                config.storage.retention.insert($table, parse_duration(text)?);
                Ok(())
            },
        }
    };
}

/// Every key of a tenant in the order of the reference.
pub(crate) const TENANT: &[TenantSetting] = &[TenantSetting {
    key: "durability",
    doc: "As `durability` in [storage], for this tenant.",
    example: "\"interval\"",
    set: |config, tenant, text| {
        config.storage.tenant_durability.insert(tenant, parse_durability(text)?);
        Ok(())
    },
}];

pub(crate) const STORAGE: &[Setting] = &[
    Setting {
        key: "url",
        doc: "Where tables and documents live instead of the data directory: s3://bucket/prefix or file:///directory. The write-ahead log stays in the data directory.",
        show: |config| config.storage.url.as_ref().map_or_else(String::new, quote),
        set: |config, text| {
            config.storage.url = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "s3.endpoint",
        doc: "Address of an S3-compatible service, such as https://minio.example.com; without it that of AWS. Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity, or the machine's role.",
        show: |config| config.storage.s3.endpoint.as_ref().map_or_else(String::new, quote),
        set: |config, text| {
            config.storage.s3.endpoint = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "s3.region",
        doc: "Region of the bucket; without it AWS_REGION, or us-east-1.",
        show: |config| config.storage.s3.region.as_ref().map_or_else(String::new, quote),
        set: |config, text| {
            config.storage.s3.region = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "s3.allow_http",
        doc: "Allows an endpoint without TLS.",
        show: |config| config.storage.s3.allow_http.to_string(),
        set: |config, text| parse_bool(text).map(|flag| config.storage.s3.allow_http = flag),
    },
    Setting {
        key: "s3.virtual_host",
        doc: "The bucket's name is part of the endpoint's host, not of its path.",
        show: |config| config.storage.s3.virtual_host.to_string(),
        set: |config, text| parse_bool(text).map(|flag| config.storage.s3.virtual_host = flag),
    },
    Setting {
        key: "refresh_interval",
        doc: "With url: how often tables are asked for what other servers committed to them.",
        show: |config| quote(show_duration(config.storage.refresh_interval)),
        set: |config, text| parse_duration(text).map(|duration| config.storage.refresh_interval = duration),
    },
    Setting {
        key: "bytes_max",
        doc: "Bytes that the files of all tables may have together, such as 500 GiB: beyond, the parts stored first go, audit records never. Without it: no limit but the disk's.",
        show: |config| config.storage.bytes_max.map_or_else(String::new, |bytes| quote(show_size(bytes))),
        set: |config, text| parse_size(text).map(|bytes| config.storage.bytes_max = Some(bytes)),
    },
    Setting {
        key: "durability",
        doc: "When a request is acknowledged. `fsync`: once it is on disk. `interval`: once the operating system has it; a kill of the process loses nothing, a power cut what was acknowledged within durability_interval. Audit records always wait for the disk.",
        show: |config| quote(show_durability(config.storage.durability)),
        set: |config, text| parse_durability(text).map(|durability| config.storage.durability = durability),
    },
    Setting {
        key: "durability_interval",
        doc: "With durability `interval`, how long at most an acknowledged request is not on disk: 1ms to 10s.",
        show: |config| quote(show_duration(config.storage.durability_interval)),
        set: |config, text| parse_duration(text).map(|duration| config.storage.durability_interval = duration),
    },
    Setting {
        key: "flush_interval",
        doc: "How often rows in memory become Parquet files.",
        show: |config| quote(show_duration(config.storage.flush_interval)),
        set: |config, text| parse_duration(text).map(|duration| config.storage.flush_interval = duration),
    },
    Setting {
        key: "dedup_window",
        doc: "How long the very same payload sent again is recognised and not stored twice.",
        show: |config| quote(show_duration(config.storage.dedup_window)),
        set: |config, text| parse_duration(text).map(|duration| config.storage.dedup_window = duration),
    },
    Setting {
        key: "disk_share",
        doc: "Share of the disk, without what others use on it, that tables may take: beyond, the parts stored first go, audit records never. 1: none goes.",
        show: |config| format!("{:?}", config.storage.disk_share),
        set: |config, text| {
            let share = text.parse().map_err(|_| format!("{text:?} is not a share such as 0.8"));
            share.map(|share| config.storage.disk_share = share)
        },
    },
    Setting {
        key: "delta_log_keep",
        doc: "How long entries of a table's Delta log stay that a checkpoint covers; at least 1h.",
        show: |config| quote(show_duration(config.storage.delta_log_keep)),
        set: |config, text| parse_duration(text).map(|duration| config.storage.delta_log_keep = duration),
    },
    Setting {
        key: "removed_keep",
        doc: "How long files stay that compaction or retention removed, for readers of an older version; at least 1m.",
        show: |config| quote(show_duration(config.storage.removed_keep)),
        set: |config, text| parse_duration(text).map(|duration| config.storage.removed_keep = duration),
    },
    Setting {
        key: "scrub_every",
        doc: "How often the checksum of every Parquet file is taken again in the background, slowly; a damaged file goes to quarantine. 0s: never.",
        show: |config| quote(show_duration(config.storage.scrub_every)),
        set: |config, text| parse_duration(text).map(|duration| config.storage.scrub_every = duration),
    },
    retention!("retention.spans", Table::Spans),
    retention!("retention.logs", Table::Logs),
    retention!("retention.metrics", Table::Metrics),
    retention!("retention.audit", Table::Audit),
    retention!("retention.exceptions", Table::Exceptions),
    retention!("retention.alerts", Table::Alerts),
    retention!("retention.notices", Table::Notices),
    retention!("retention.service_edges", Table::ServiceEdges),
    retention!("retention.service_minutes", Table::ServiceMinutes),
];

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "fsync" => Ok(Durability::Fsync),
        "interval" => Ok(Durability::Interval),
        _ => Err(format!("{text:?} is not offered; use fsync or interval")),
    }
}

fn show_durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsync => "fsync",
        Durability::Interval => "interval",
    }
}
