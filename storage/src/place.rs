//! Where tables and documents lie, as `storage.url` says: a directory or a bucket.

use std::fmt;
use std::path::PathBuf;

use object_store::path::Path as Location;
use url::Url;

/// A place, read from its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `file:///directory`.
    Directory(PathBuf),
    /// `s3://bucket/prefix`.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// What all names begin with; may be empty.
        prefix: Location,
    },
}

impl Place {
    /// Reads a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fault = |detail: &str| format!("url {text:?} {detail}; write s3://bucket/prefix or file:///directory");
        let url = Url::parse(text).map_err(|_| fault("is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("url must not hold credentials; they come from the AWS environment".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() || url.port().is_some() {
            return Err(fault("holds more than a place"));
        }
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Directory).map_err(|()| fault("names no directory")),
            "s3" => {
                let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| fault("names no bucket"))?;
                let prefix = Location::from_url_path(url.path()).map_err(|_| fault("has a prefix that is no path"))?;
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix })
            }
            _ => Err(fault("is of a kind that is not offered")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } if prefix.as_ref().is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_place_and_nothing_else() {
        for (text, shown) in [
            ("s3://telemetry", "s3://telemetry"),
            ("s3://telemetry/", "s3://telemetry"),
            ("s3://telemetry/prod/eu/", "s3://telemetry/prod/eu"),
            ("file:///var/lib/tables", "/var/lib/tables"),
        ] {
            assert_eq!(Place::parse(text).map(|place| place.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in ["", "telemetry", "s3://", "s3:///x", "gs://b/x", "s3://b?x=1", "file://host/x"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
        let secret = Place::parse("s3://key:secret@bucket/x").unwrap_err();
        assert!(!secret.contains("secret@"), "{secret}");
    }
}
