//! The sections of a manifest. The comment of a field is its documentation for authors.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::BUNDLE_COMPONENT;
use crate::AppName;

/// `[app]`: what the app is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSection {
    pub name: AppName,
    /// The author's own version; shown, never compared.
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub description: String,
    /// Path of the component, relative to the manifest. It is consulted when a bundle is packed;
    /// inside a bundle the component is always `component.wasm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Folder of the static files, relative to the manifest; inside a bundle always `assets/`.
    /// A request that matches a file is answered by the host; the others go to the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<String>,
    /// The app's own path that is requested before a release may serve; an answer below 500 is healthy.
    #[serde(default = "root_path")]
    pub health: String,
    /// Host names, besides the path prefix, under which the app answers at `/`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// For single-page apps: the asset that answers a browser's navigation (GET or HEAD that asks for
    /// HTML) when no asset matches the path. Such navigations then never reach the component; scripts'
    /// calls and all other methods still do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
}

impl AppSection {
    pub(super) fn for_component(name: AppName) -> Self {
        Self {
            name,
            version: String::new(),
            description: String::new(),
            component: Some(BUNDLE_COMPONENT.to_owned()),
            assets: None,
            health: root_path(),
            hosts: Vec::new(),
            fallback: None,
        }
    }
}

fn root_path() -> String {
    "/".to_owned()
}

/// `[build]`: how the component is made. The server ignores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    pub command: String,
    /// Where the command runs, relative to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Patterns of files whose change starts the command again while developing.
    #[serde(default)]
    pub watch: Vec<String>,
}

/// `[access]`: who may use the app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    #[serde(default)]
    pub default: AccessRule,
    /// Rules for paths; `/admin/...` covers everything below `/admin`. The longest match holds.
    #[serde(default)]
    pub paths: BTreeMap<String, AccessRule>,
}

/// Who may make a request: anyone, anyone signed in, or whoever has one of the roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessRule {
    #[default]
    Public,
    SignedIn,
    Roles(Vec<String>),
}

impl Serialize for AccessRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Public => serializer.serialize_str("public"),
            Self::SignedIn => serializer.serialize_str("signed-in"),
            Self::Roles(roles) => roles.serialize(serializer),
        }
    }
}

// Written out because serde's untagged enums lose the place of an error.
impl<'de> Deserialize<'de> for AccessRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;

        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = AccessRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"public\", \"signed-in\" or a list of roles")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AccessRule, E> {
                match text {
                    "public" => Ok(AccessRule::Public),
                    "signed-in" => Ok(AccessRule::SignedIn),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AccessRule, A::Error> {
                let mut roles = Vec::new();
                while let Some(role) = list.next_element()? {
                    roles.push(role);
                }
                Ok(AccessRule::Roles(roles))
            }
        }

        deserializer.deserialize_any(RuleVisitor)
    }
}

/// `[grants]`: the capabilities the app asks for; the operator confirms them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    #[serde(default)]
    pub outbound_hosts: Vec<String>,
    #[serde(default)]
    pub keyvalue: Vec<String>,
    #[serde(default)]
    pub sql: Vec<String>,
    #[serde(default)]
    pub files: Vec<String>,
}

impl Grants {
    /// Every capability with what is asked of it, under the manifest's own names.
    pub fn by_key(&self) -> [(&'static str, &[String]); 4] {
        [
            ("outbound_hosts", &self.outbound_hosts),
            ("keyvalue", &self.keyvalue),
            ("sql", &self.sql),
            ("files", &self.files),
        ]
    }
}

/// One key of `[config]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigKey {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The app cannot be activated before an operator has set the value.
    #[serde(default)]
    pub required: bool,
    /// The value is never shown or logged once it was set.
    #[serde(default)]
    pub secret: bool,
    #[serde(default)]
    pub description: String,
}

/// One `[[schedule]]`: the host POSTs to the path of the app, on one node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleEntry {
    pub cron: String,
    pub path: String,
}
