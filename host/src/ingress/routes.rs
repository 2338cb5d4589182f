//! Which app a request is for: by host name, else by the path's first segment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderValue;
use typecase_bundle::Assets;
use typecase_model::{AppName, Limits, ReleaseNumber};
use typecase_runtime::Component;

use super::AppMetrics;

/// A release in memory, ready to serve. Requests hold it by `Arc`, so it lives until its last one ends.
pub struct LiveRelease {
    pub app: AppName,
    pub number: ReleaseNumber,
    pub limits: Limits,
    pub component: Option<Component>,
    pub assets: Option<Assets>,
    /// The asset that is served where neither an asset nor a component answers.
    pub fallback: Option<String>,
    /// The path that is called before the release serves.
    pub health: String,
    pub hosts: Vec<String>,
}

/// An app's entry: the release that serves and what outlives releases.
pub struct AppRoute {
    pub release: Arc<LiveRelease>,
    pub metrics: Arc<AppMetrics>,
    /// `/hello`: what is stripped from paths, and told to the app in `X-Forwarded-Prefix`.
    prefix: HeaderValue,
}

impl AppRoute {
    pub fn new(release: Arc<LiveRelease>, metrics: Arc<AppMetrics>) -> Self {
        let prefix = HeaderValue::from_str(&format!("/{}", release.app))
            .unwrap_or_else(|_| HeaderValue::from_static("/"));
        Self { release, metrics, prefix }
    }
}

/// All apps of a node; replaced as a whole, so that a request sees one state.
#[derive(Default)]
pub struct RouteTable {
    apps: HashMap<Box<str>, Arc<AppRoute>>,
    hosts: HashMap<Box<str>, Arc<AppRoute>>,
    /// Apps that should be served, but whose release this node cannot load.
    unavailable: HashSet<AppName>,
}

/// Where a request goes, and what of its path the app sees.
pub struct Route {
    pub app: Arc<AppRoute>,
    /// Bytes of the path that are the prefix; 0 when the host name decided.
    prefix_len: usize,
}

impl Route {
    /// What the app is told in `X-Forwarded-Prefix`.
    pub fn prefix(&self) -> Option<&HeaderValue> {
        (self.prefix_len > 0).then_some(&self.app.prefix)
    }

    /// The path as the app sees it; `/` for the bare prefix.
    pub fn strip<'a>(&self, path: &'a str) -> &'a str {
        match &path[self.prefix_len..] {
            "" => "/",
            rest => rest,
        }
    }

    /// True for `/hello`, whose relative links would lead out of the app.
    pub fn lacks_slash(&self, path: &str) -> bool {
        self.prefix_len > 0 && path.len() == self.prefix_len
    }
}

impl RouteTable {
    /// Makes the table anew from all apps. Of two apps that claim one host, the first by name has it.
    pub fn of(apps: impl IntoIterator<Item = Arc<AppRoute>>, unavailable: HashSet<AppName>) -> Self {
        let mut table = Self { unavailable, ..Self::default() };
        let mut apps: Vec<_> = apps.into_iter().collect();
        apps.sort_by(|a, b| a.release.app.cmp(&b.release.app));
        for app in apps {
            for host in &app.release.hosts {
                table.hosts.entry(host.to_ascii_lowercase().into()).or_insert_with(|| app.clone());
            }
            table.apps.insert(app.release.app.as_str().into(), app);
        }
        table
    }

    pub fn app(&self, name: &AppName) -> Option<&Arc<AppRoute>> {
        self.apps.get(name.as_str())
    }

    /// True if the path names an app that is published, but not served here for now.
    pub fn is_unavailable(&self, path: &str) -> bool {
        !self.unavailable.is_empty()
            && first_segment(path).parse().is_ok_and(|app: AppName| self.unavailable.contains(&app))
    }

    /// Finds the app for a request. `host` is without port.
    pub fn find(&self, host: &str, base_domain: Option<&str>, path: &str) -> Option<Route> {
        let by_host = |app: &Arc<AppRoute>| Route { app: app.clone(), prefix_len: 0 };
        if !self.hosts.is_empty() || base_domain.is_some() {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            let label = base_domain
                .and_then(|domain| host.strip_suffix(domain))
                .and_then(|label| label.strip_suffix('.'));
            // An app's own name first: no other one takes it by its `hosts`.
            if let Some(app) = label.and_then(|label| self.apps.get(label)) {
                return Some(by_host(app));
            }
            if let Some(app) = self.hosts.get(host.as_str()) {
                return Some(by_host(app));
            }
            if label.is_some() {
                return None;
            }
        }
        let name = first_segment(path);
        let app = self.apps.get(name)?.clone();
        Some(Route { app, prefix_len: 1 + name.len() })
    }
}

fn first_segment(path: &str) -> &str {
    let rest = path.strip_prefix('/').unwrap_or_default();
    rest.split('/').next().unwrap_or(rest)
}
