//! How the reports of nodes about a release look.

use serde::Deserialize;
use serde_json::Value;

use super::text::duration;

#[derive(Debug, Deserialize)]
struct Receipt {
    #[serde(default)]
    node: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: String,
    detail: Option<String>,
    #[serde(default)]
    duration_ms: u64,
}

/// One indented line a node.
pub fn text(receipts: &[Value]) -> String {
    let mut text = String::new();
    for receipt in receipts.iter().filter_map(|receipt| Receipt::deserialize(receipt).ok()) {
        let node = if receipt.name.is_empty() { &receipt.node } else { &receipt.name };
        text.push_str(&format!("\n  {node}: {}", receipt.state));
        if let Some(detail) = receipt.detail {
            text.push_str(&format!(", {}", detail.trim_end().replace('\n', "\n    ")));
        }
        text.push_str(&format!(" ({})", duration(receipt.duration_ms)));
    }
    text
}
