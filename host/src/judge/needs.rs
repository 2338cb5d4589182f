//! What a component's imports need of its manifest, and what the manifest declares for nothing.

use typecase_model::Manifest;

use super::{Component, Finding};

/// What will work, but perhaps not as its author means it.
pub(super) fn warnings(manifest: &Manifest, component: Option<&Component>) -> Vec<Finding> {
    let mut found = Vec::new();
    let imports = |interface: &str| {
        let interface_of = |import: &str| import.split('@').next() == Some(interface);
        component
            .is_some_and(|component| component.inspection.imports.iter().any(|import| interface_of(import)))
    };
    let reads_config = imports("wasi:config/store");
    if reads_config && manifest.config.is_empty() {
        found.push(Finding::new(
            "config-undeclared",
            "the component imports wasi:config/store, but the manifest has no [config]: every key will read as none; declare the keys there",
        ));
    }
    if !reads_config && !manifest.config.is_empty() {
        found.push(
            Finding::new(
                "config-unread",
                "[config] declares keys, but the component does not import wasi:config/store and cannot read them",
            )
            .at(&["config"]),
        );
    }
    found
}

/// What comes of an import beyond what its name says; nothing for most.
pub fn remark(interface: &str) -> Option<&'static str> {
    match interface {
        // Linked because most toolchains import them whether an app uses them or not.
        "wasi:http/outgoing-handler" | "wasi:http/client" => Some("outgoing requests are refused"),
        "wasi:filesystem/preopens" => Some("there are no files"),
        "wasi:sockets/instance-network" | "wasi:sockets/tcp-create-socket" => Some("there is no network"),
        "wasi:logging/logging" => Some("`typecase logs` shows it"),
        "wasi:config/store" => Some("reads the keys of [config]"),
        _ => None,
    }
}
