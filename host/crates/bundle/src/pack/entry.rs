//! How an entry is packed: the same for every machine and every day, so that the same files make the same bundle.

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System};

/// A better level costs a publisher seconds and saves one percent.
const DEFLATE_LEVEL: i64 = 6;
/// What is compressed already; compressing it again only costs time.
const STORED_EXTENSIONS: [&str; 20] = [
    "7z", "avif", "br", "bz2", "gif", "gz", "ico", "jpeg", "jpg", "mp3", "mp4", "ogg", "pdf", "png", "webm",
    "webp", "woff", "woff2", "zip", "zst",
];

pub(super) fn stored_entry() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        // 1980-01-01, the earliest that the format knows.
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .system(System::Unix)
}

pub(super) fn deflated_entry() -> SimpleFileOptions {
    stored_entry().compression_method(CompressionMethod::Deflated).compression_level(Some(DEFLATE_LEVEL))
}

/// Whether an entry of this name is packed as it is.
pub(super) fn is_stored(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    STORED_EXTENSIONS.contains(&extension.as_str())
}
