//! `wasi:config`: the values that an app's instances see.
//!
//! An instance takes them when it is made, and sees the same ones until it ends. A change makes instances that
//! wait for their next request stale: they are dropped, and the next request gets a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wasi_config::WasiConfigVariables;

/// The one version that exists; those of a draft match only exactly.
pub(crate) const OFFERED: &str = "wasi:config/store@0.2.0-rc.1";

/// What one instance sees.
pub(crate) type ConfigSnapshot = Arc<WasiConfigVariables>;

/// The values of a loaded release, replaced as a whole.
pub struct ReleaseConfig(ArcSwap<WasiConfigVariables>);

impl ReleaseConfig {
    pub fn new(values: BTreeMap<String, String>) -> Self {
        Self(ArcSwap::from_pointee(values.into_iter().collect()))
    }

    /// Instances that are made from now on see these values.
    pub fn replace(&self, values: BTreeMap<String, String>) {
        self.0.store(Arc::new(values.into_iter().collect()));
    }

    pub(crate) fn snapshot(&self) -> ConfigSnapshot {
        self.0.load_full()
    }

    pub(crate) fn is_current(&self, snapshot: &ConfigSnapshot) -> bool {
        Arc::ptr_eq(&self.0.load(), snapshot)
    }
}

/// Whether a component asks for values at all; for those that do not, requests carry none.
pub(crate) fn is_imported(component: &Component, engine: &Engine) -> bool {
    component.component_type().imports(engine).any(|(name, _)| name.starts_with("wasi:config/"))
}
