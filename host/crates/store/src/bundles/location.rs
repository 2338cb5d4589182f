//! Where a bundle storage is, and how it is reached.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::StoreError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One request of a transfer; parts are 8 MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Throttling and passing failures are waited out for so long; then the caller hears of them.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES_MAX: usize = 4;

/// A folder that every node sees, or a bucket of S3 or of something that speaks its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageLocation {
    Folder(PathBuf),
    /// Endpoint, region and credentials come from the usual variables (`AWS_ENDPOINT_URL`, `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, ...).
    S3 {
        bucket: String,
        prefix: String,
    },
}

impl FromStr for StorageLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "write file:///share/typecase or s3://BUCKET/PREFIX";
        if let Some(path) = text.strip_prefix("file://") {
            let path = PathBuf::from(path);
            return match path.is_absolute() {
                true => Ok(Self::Folder(path)),
                false => Err(format!("the folder's path must be absolute: {EXAMPLE}")),
            };
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
            if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
                return Err(format!("a bucket's name has 3 to 63 of a-z, 0-9, `.` and `-`: {EXAMPLE}"));
            }
            let prefix = prefix.trim_matches('/');
            if ObjectPath::parse(prefix).is_err() {
                return Err(format!("the prefix has empty or special segments: {EXAMPLE}"));
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        Err(format!("not an address of a shared folder or a bucket: {EXAMPLE}"))
    }
}

impl std::fmt::Display for StorageLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl StorageLocation {
    pub(super) fn open(&self, durable: bool) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let opening = |error: object_store::Error| StoreError::storage("open the bundle storage", error);
        match self {
            Self::Folder(path) => {
                let folder = LocalFileSystem::new_with_prefix(path).map_err(opening)?;
                Ok(Arc::new(folder.with_fsync(durable)))
            }
            Self::S3 { bucket, prefix } => {
                let client = ClientOptions::new()
                    .with_connect_timeout(CONNECT_TIMEOUT)
                    .with_timeout(REQUEST_TIMEOUT)
                    .with_allow_http(allows_http());
                let retry = RetryConfig {
                    backoff: BackoffConfig::default(),
                    max_retries: RETRIES_MAX,
                    retry_timeout: RETRY_TIMEOUT,
                };
                let bucket = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .with_client_options(client)
                    .with_retry(retry)
                    .build()
                    .map_err(opening)?;
                Ok(Arc::new(PrefixStore::new(bucket, prefix.as_str())))
            }
        }
    }
}

/// Plain HTTP carries the bundles in clear; whoever runs an object store beside the nodes may want that.
fn allows_http() -> bool {
    std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| matches!(value.as_str(), "true" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let folder: StorageLocation = "file:///share/typecase".parse().unwrap();
        assert_eq!(folder, StorageLocation::Folder("/share/typecase".into()));
        let s3 = StorageLocation::S3 { bucket: "my-bucket".to_owned(), prefix: "a/b".to_owned() };
        assert_eq!("s3://my-bucket/a/b/".parse(), Ok(s3));
        for (wrong, hint) in [
            ("/share", "not an address"),
            ("file://share", "absolute"),
            ("s3://B/x", "bucket's name"),
            ("s3://bucket/a//b", "prefix"),
        ] {
            let error = wrong.parse::<StorageLocation>().unwrap_err();
            assert!(error.contains(hint) && error.contains("write file:///"), "{error}");
        }
    }
}
