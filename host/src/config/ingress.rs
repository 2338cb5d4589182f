//! `[ingress]`: how app traffic reaches the node.

use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::Reader;

/// More serving threads than this only add to contention.
const SHARDS_MAX: u32 = 256;

#[derive(Debug, Clone)]
pub struct IngressConfig {
    /// Proxies whose `X-Forwarded-*` headers are believed; those of others are dropped.
    pub trusted_proxies: Vec<IpNet>,
    /// `APP.base_domain` reaches APP without a path prefix.
    pub base_domain: Option<String>,
    /// Serving threads, each with a listener of its own; 0 is one for each core.
    pub shards: u32,
}

impl IngressConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section("ingress");
        let mut trusted_proxies = Vec::new();
        for text in section.list("trusted_proxies") {
            match parse_network(&text) {
                Some(network) => trusted_proxies.push(network),
                None => section.problem(
                    "trusted_proxies",
                    &format!(
                        "\"{text}\" is not a network: write an address or a CIDR, such as \"10.0.0.0/8\""
                    ),
                ),
            }
        }
        let base_domain = section
            .text_or_none("base_domain", "none")
            .map(|domain| domain.trim_matches('.').to_ascii_lowercase());
        if base_domain.as_deref().is_some_and(|domain| !is_domain(domain)) {
            section.problem(
                "base_domain",
                "write a domain name without scheme or port, such as \"apps.example.com\"",
            );
        }
        let shards = section.number("shards", 0, 0..=SHARDS_MAX);
        Self { trusted_proxies, base_domain, shards }
    }
}

/// An address is a network of one.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}
