//! What the operator accepts as a bundle.

/// The most that a bundle may be; every number a publisher controls meets one of these first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundlePolicy {
    /// Size of the archive. At most 4 GiB - 1: larger archives need a format that is not accepted.
    pub bundle_bytes_max: u64,
    /// Size of all files together once they are unpacked.
    pub expanded_bytes_max: u64,
    /// Files and folders. At most 65,534, for the same reason as above.
    pub entry_count_max: u32,
    /// How many times larger a file, or all of them, may be than its part of the archive. A bomb has
    /// 1,000 and more; text that compresses well has 10.
    pub expansion_ratio_max: u32,
    /// Length of an entry's path, in characters.
    pub path_chars_max: u32,
    /// Size of the component; it is compiled in memory.
    pub component_bytes_max: u64,
}

impl Default for BundlePolicy {
    fn default() -> Self {
        Self {
            bundle_bytes_max: 256 << 20,
            expanded_bytes_max: 1 << 30,
            entry_count_max: 10_000,
            expansion_ratio_max: 200,
            path_chars_max: 512,
            component_bytes_max: 256 << 20,
        }
    }
}
