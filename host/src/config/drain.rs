//! `[drain]`: how a node leaves service after SIGTERM.

use super::reader::Reader;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainConfig {
    /// How long readiness fails while everything is still served, so that balancers look away first.
    pub delay_ms: u32,
    /// How long requests in flight may take after that before they are cut off.
    pub grace_ms: u32,
}

impl DrainConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section("drain");
        Self {
            delay_ms: section.number("delay_ms", 1_000, 0..=600_000),
            grace_ms: section.number("grace_ms", 30_000, 0..=3_600_000),
        }
    }
}
