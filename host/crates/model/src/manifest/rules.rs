//! What makes a well-formed manifest wrong all the same.

use super::{AccessRule, Manifest};
use crate::app_config::{CONFIG_NAME_CHARS_MAX, ConfigName};

/// More names than that on one app are a mistake; each takes a slot in every node's route table.
pub(super) const HOSTS_MAX: usize = 32;
/// A DNS name in text form (RFC 1035).
pub(super) const HOST_CHARS_MAX: usize = 253;
const HOST_LABEL_CHARS_MAX: usize = 63;
/// Paths and file names of the app, as they also hold for entries of a bundle.
pub(super) const PATH_CHARS_MAX: usize = 512;
pub(super) const VERSION_CHARS_MAX: usize = 64;
pub(super) const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// A path of keys (and indexes, in decimal) to what is wrong.
pub(super) struct Place {
    pub(super) path: Vec<String>,
    /// The last key itself is wrong, rather than its value.
    pub(super) is_key: bool,
}

pub(super) struct Broken {
    pub(super) place: Place,
    pub(super) message: String,
}

/// Every rule the manifest breaks.
pub(super) fn broken(manifest: &Manifest) -> Vec<Broken> {
    let mut found = Findings(Vec::new());
    app(manifest, &mut found);
    access(manifest, &mut found);
    for (key, asked) in manifest.limits.by_key() {
        if asked == Some(0) {
            found.value(&["limits", key], "a limit cannot be 0: leave the key out for the server's default");
        }
    }
    for (key, values) in manifest.grants.by_key() {
        for (index, value) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
            let index = index.to_string();
            found.value(&["grants", key, &index], format!("`{value}` names nothing: remove it"));
        }
    }
    config(manifest, &mut found);
    for (index, entry) in manifest.schedule.iter().enumerate() {
        let index = index.to_string();
        if entry.cron.split_whitespace().count() != 5 {
            found.value(
                &["schedule", &index, "cron"],
                "expected five fields: minute, hour, day, month and weekday",
            );
        }
        app_path(&["schedule", &index, "path"], &entry.path, &mut found);
        if manifest.app.component.is_none() {
            found.value(&["schedule", &index], "only a component can be scheduled: add `component` to [app]");
        }
    }
    found.0
}

struct Findings(Vec<Broken>);

impl Findings {
    fn value(&mut self, path: &[&str], message: impl Into<String>) {
        self.add(path, false, message.into());
    }

    fn key(&mut self, path: &[&str], message: impl Into<String>) {
        self.add(path, true, message.into());
    }

    fn add(&mut self, path: &[&str], is_key: bool, message: String) {
        let path = path.iter().map(|&step| step.to_owned()).collect();
        self.0.push(Broken { place: Place { path, is_key }, message });
    }
}

fn app(manifest: &Manifest, found: &mut Findings) {
    let app = &manifest.app;
    if app.component.is_none() && app.assets.is_none() {
        found.value(&["app"], "an app needs `component = \"path.wasm\"`, `assets = \"folder/\"` or both");
    }
    for (key, path) in [("component", &app.component), ("assets", &app.assets)] {
        if let Some(why) = path.as_deref().and_then(relative_path_fault) {
            found.value(&["app", key], why);
        }
    }
    if let Some(fallback) = &app.fallback {
        if let Some(why) = relative_path_fault(fallback) {
            found.value(&["app", "fallback"], why);
        } else if fallback.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            found.value(&["app", "fallback"], "expected the path of a file within the assets folder");
        }
        if app.assets.is_none() {
            found.value(&["app", "fallback"], "a fallback is one of the assets: add `assets` to [app]");
        }
    }
    app_path(&["app", "health"], &app.health, found);
    if app.version.chars().count() > VERSION_CHARS_MAX || app.version.contains(char::is_control) {
        found
            .value(&["app", "version"], format!("expected at most {VERSION_CHARS_MAX} printable characters"));
    }
    if app.description.chars().count() > DESCRIPTION_CHARS_MAX {
        found.value(&["app", "description"], format!("expected at most {DESCRIPTION_CHARS_MAX} characters"));
    }
    if app.hosts.len() > HOSTS_MAX {
        found.value(&["app", "hosts"], format!("expected at most {HOSTS_MAX} host names"));
    }
    for (index, host) in app.hosts.iter().enumerate().take(HOSTS_MAX) {
        let place = index.to_string();
        if !is_host(host) {
            found.value(
                &["app", "hosts", &place],
                "not a host name: expected one like `shop.example.com`, in lower case, without scheme, port or `*`",
            );
        } else if host == "localhost" || host.ends_with(".localhost") {
            found.value(
                &["app", "hosts", &place],
                "every app is served below its name on this host: expected a host name of the app's own",
            );
        } else if app.hosts[..index].contains(host) {
            found.value(&["app", "hosts", &place], "this host is listed twice: remove one");
        }
    }
}

fn access(manifest: &Manifest, found: &mut Findings) {
    let rule = |path: &[&str], rule: &AccessRule, found: &mut Findings| {
        if let AccessRule::Roles(roles) = rule
            && (roles.is_empty() || roles.iter().any(|role| role.trim().is_empty()))
        {
            found.value(path, "expected the name of at least one role, and no empty name");
        }
    };
    rule(&["access", "default"], &manifest.access.default, found);
    for (pattern, path_rule) in &manifest.access.paths {
        let stem = pattern.strip_suffix("...").unwrap_or(pattern);
        if !stem.starts_with('/') || stem.contains("...") || stem.contains(['*', '?', '#']) {
            found.key(
                &["access", "paths", pattern],
                "expected a path like `/admin` or, with all below it, `/admin/...`",
            );
        }
        rule(&["access", "paths", pattern], path_rule, found);
    }
}

fn config(manifest: &Manifest, found: &mut Findings) {
    for (key, config) in &manifest.config {
        if key.parse::<ConfigName>().is_err() {
            found.key(
                &["config", key],
                format!("expected 1 to {CONFIG_NAME_CHARS_MAX} of a-z, 0-9, `_`, `-` and `.` as a key"),
            );
        }
        if config.required && config.default.is_some() {
            found.value(
                &["config", key, "required"],
                "a value with a default is never missing: remove `required` or `default`",
            );
        }
        if config.secret && config.default.is_some() {
            found.value(
                &["config", key, "default"],
                "a secret must not stand in the manifest, which everyone who has the bundle can read: remove `default`",
            );
        }
    }
}

/// A path of the app itself, as a client would request it.
fn app_path(place: &[&str], path: &str, found: &mut Findings) {
    let visible = path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !path.starts_with('/') || path.starts_with("//") || !visible || path.len() > PATH_CHARS_MAX {
        found.value(
            place,
            "expected a path of the app that starts with one `/`, like `/health`, without spaces (write them as `%20`)",
        );
    }
}

/// Why a text is not a portable relative path; it may lead out of the folder it is relative to.
fn relative_path_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > PATH_CHARS_MAX || path.contains(char::is_control) {
        Some("expected a path of 1 to 512 printable characters")
    } else if path.contains('\\') {
        Some("write the path with `/`: `\\` is not portable")
    } else if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        Some("expected a relative path: an absolute one means something else on every machine")
    } else {
        None
    }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=HOST_LABEL_CHARS_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // A last label of digits is an IP address.
    let ends_in_number = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= HOST_CHARS_MAX && host.split('.').all(label) && !ends_in_number
}
