//! Keys of single tenants: `[storage.tenant.NAME]` and `[limits.tenant.NAME]`.
//!
//! The file alone has them: an environment variable cannot tell a tenant's name from a key.

use tracelake_ingest::TenantLimits;
use tracelake_model::TenantId;

use crate::config::schema::{Config, TenantSetting};
use crate::config::storage::TENANT;
use crate::config::value::{parse_rate, parse_size};

/// The keys that tenants may have below one section.
pub(crate) struct TenantSection {
    /// The section that holds the same keys for all.
    pub(crate) section: &'static str,
    pub(crate) settings: &'static [TenantSetting],
}

/// Every key of a tenant in the order of the reference.
pub(crate) const TENANTS: &[TenantSection] =
    &[TenantSection { section: "limits", settings: LIMITS }, TenantSection { section: "storage", settings: TENANT }];

/// The tenants' keys of a section, if it has any.
pub(crate) fn tenant_settings(section: &str) -> Option<&'static [TenantSetting]> {
    TENANTS.iter().find(|tenants| tenants.section == section).map(|tenants| tenants.settings)
}

const LIMITS: &[TenantSetting] = &[
    TenantSetting {
        key: "bytes_per_second",
        doc: "As `tenant_bytes_per_second` in [limits], for this tenant.",
        example: "\"4 MiB\"",
        set: |config, tenant, text| parse_rate(text).map(|rate| own(config, tenant).rate = Some(rate)),
    },
    TenantSetting {
        key: "burst_bytes",
        doc: "As `tenant_burst_bytes` in [limits], for this tenant.",
        example: "\"64 MiB\"",
        set: |config, tenant, text| parse_size(text).map(|bytes| own(config, tenant).burst_bytes = Some(bytes)),
    },
];

fn own(config: &mut Config, tenant: TenantId) -> &mut TenantLimits {
    config.ingest.tenants.entry(tenant).or_default()
}
