//! How an S3-compatible store is reached. Credentials are those of the AWS environment; they are never shown.

use std::fmt;

/// Settings of the S3 client.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3 {
    /// Address of the service; without it that of AWS in the region.
    pub endpoint: Option<String>,
    /// Region of the bucket; without it that of the environment, or us-east-1.
    pub region: Option<String>,
    /// Allows an endpoint without TLS.
    pub allow_http: bool,
    /// The bucket is part of the endpoint's host name, not of its path.
    pub virtual_host: bool,
    /// Variables of the process's environment that begin with `AWS_`: credentials, roles, what an operator set for all
    /// clients of AWS.
    pub environment: Vec<(String, String)>,
}

impl S3 {
    /// What cannot work.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let endpoint = self.endpoint.as_deref().unwrap_or("https://");
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Some("s3.endpoint must begin with https:// (or http://)");
        }
        if endpoint.starts_with("http://") && !self.allow_http {
            return Some("s3.endpoint is not encrypted; use https://, or set s3.allow_http = true if that is meant");
        }
        None
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| (name.as_str(), "***")).collect();
        f.debug_struct("S3")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("allow_http", &self.allow_http)
            .field("virtual_host", &self.virtual_host)
            .field("environment", &names)
            .finish()
    }
}
