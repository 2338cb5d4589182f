//! The sections of a manifest.
//!
//! The comment of a field is its documentation for authors: editors show it, and `docs/manifest.md` is made of it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BUNDLE_COMPONENT, rules, schema};
use crate::AppName;

/// What the app is: a component, static files, or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "anyOf" = [{ "required": ["component"] }, { "required": ["assets"] }],
    "dependentRequired" = { "fallback": ["assets"] },
))]
pub struct AppSection {
    /// The app's name in URLs and commands, and its path prefix: `/NAME/`. 1 to 63 of a-z, 0-9 and `-`, starting with a
    /// letter and not ending with `-`.
    #[schemars(schema_with = "schema::app_name", example = &"shop")]
    pub name: AppName,
    /// The author's own version; shown, never compared.
    #[serde(default)]
    #[schemars(length(max = rules::VERSION_CHARS_MAX), example = &"1.2.0")]
    pub version: String,
    /// What the app is for, in a sentence or two.
    #[serde(default)]
    #[schemars(length(max = rules::DESCRIPTION_CHARS_MAX), example = &"Sells things")]
    pub description: String,
    /// Path of the component, relative to the manifest. It is consulted when a bundle is packed;
    /// inside a bundle the component is always `component.wasm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::relative_path", example = &"target/wasm32-wasip2/release/shop.wasm")]
    pub component: Option<String>,
    /// Folder of the static files, relative to the manifest; inside a bundle always `assets/`.
    /// A request that matches a file is answered by the host; the others go to the component. Hidden files stay out
    /// (`.env`, `.git`; not `.well-known`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::relative_path", example = &"static/")]
    pub assets: Option<String>,
    /// The app's own path that is requested before a release may serve; an answer below 500 is healthy.
    #[serde(default = "root_path")]
    #[schemars(schema_with = "schema::app_path", example = &"/health")]
    pub health: String,
    /// Host names, besides the path prefix, under which the app answers at `/`.
    #[serde(default)]
    #[schemars(schema_with = "schema::hosts", extend("examples" = [["shop.example.com"]]))]
    pub hosts: Vec<String>,
    /// For single-page apps: the asset that answers a browser's navigation (GET or HEAD that asks for
    /// HTML) when no asset matches the path. Such navigations then never reach the component; scripts'
    /// calls and all other methods still do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::relative_path", example = &"index.html")]
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

/// How the component is made. `typecase build`, `typecase dev` and `typecase publish --build` run it; servers ignore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The command, run by the shell `sh`; it leaves the component where `component` of `[app]` says.
    #[schemars(example = &"cargo build --release --target wasm32-wasip2")]
    pub command: String,
    /// Where the command runs, relative to the manifest; the manifest's own folder unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", example = &"..")]
    pub workdir: Option<String>,
    /// Files whose change starts the command again in `typecase dev`, relative to `workdir`: `*` and `?` within a name,
    /// `**` across folders. Everything but what builds write unless said.
    #[serde(default)]
    #[schemars(extend("examples" = [["src/**", "Cargo.toml"]]))]
    pub watch: Vec<String>,
}

/// Who may use the app. Servers of this version serve public apps only, and refuse the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The rule where no path says another: `"public"`, `"signed-in"`, or a list of roles of which one is enough.
    #[serde(default)]
    #[schemars(example = &"public")]
    pub default: AccessRule,
    /// Rules for paths; `/admin/...` covers everything below `/admin`. The longest match holds.
    #[serde(default)]
    #[schemars(schema_with = "schema::access_paths")]
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

impl JsonSchema for AccessRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AccessRule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schema::access_rule()
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

/// The capabilities the app asks for; the operator confirms them. Servers of this version offer none of them, and refuse
/// what asks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Where the component may send requests.
    #[serde(default)]
    #[schemars(schema_with = "schema::names", extend("examples" = [["https://api.example.com"]]))]
    pub outbound_hosts: Vec<String>,
    /// Names of key-value stores.
    #[serde(default)]
    #[schemars(schema_with = "schema::names", extend("examples" = [["default"]]))]
    pub keyvalue: Vec<String>,
    /// Names of databases.
    #[serde(default)]
    #[schemars(schema_with = "schema::names", extend("examples" = [["main"]]))]
    pub sql: Vec<String>,
    /// Names of file stores.
    #[serde(default)]
    #[schemars(schema_with = "schema::names", extend("examples" = [["uploads"]]))]
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

/// One value that the component reads through `wasi:config`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    // A value with a default is never missing, and a secret must not stand where everyone can read it.
    "dependentSchemas" = {
        "default": { "properties": { "required": { "const": false }, "secret": { "const": false } } },
    },
))]
pub struct ConfigKey {
    /// The value while none is set; without it the key reads as none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", example = &"Hello")]
    pub default: Option<String>,
    /// No release that declares the key is published or activated before an operator has set the value.
    #[serde(default)]
    pub required: bool,
    /// The value is sealed, and never shown or logged once it was set.
    #[serde(default)]
    pub secret: bool,
    /// For the operator.
    #[serde(default)]
    #[schemars(example = &"what the page says")]
    pub description: String,
}

/// A request that the host makes on its own: it POSTs to the path of the app, on one node of the cluster. Servers of this
/// version run no schedules, and refuse apps that have some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleEntry {
    /// When: minute, hour, day, month and weekday.
    #[schemars(schema_with = "schema::cron", example = &"0 3 * * *")]
    pub cron: String,
    /// A path of the app.
    #[schemars(schema_with = "schema::app_path", example = &"/nightly")]
    pub path: String,
}
