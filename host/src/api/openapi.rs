//! `GET /api/openapi.json`: the description of every route, made from the table below.
//!
//! A test holds the table against the router's source: a route without a description, or the other way
//! round, fails the build.

mod schemas;

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use typecase_model::Role;

use super::logs::CONTENT_TYPE_LINES;

/// One method of one path.
pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    /// The least role that may; none for routes that take no token.
    pub role: Option<Role>,
    summary: &'static str,
    /// Names of query parameters, and what they mean.
    query: &'static [(&'static str, &'static str)],
    /// Names of schemas.
    body: Option<&'static str>,
    answer: Option<&'static str>,
}

const WAIT: (&str, &str) = ("wait", "0: answer at once, do not wait for the rollout's end");
const TIMEOUT: (&str, &str) = ("timeout_ms", "how long to wait for the rollout's end");

pub const OPERATIONS: [Operation; 32] = [
    open("get", "/api/openapi.json", "This description").answers("Any"),
    open("get", "/setup", "The page behind the one-time setup link")
        .takes(&[("token", "secret of the link")]),
    open("post", "/setup", "The form of that page"),
    open("post", "/api/v1/setup", "Make the user `admin`").sends("SetUp").answers("Account"),
    open("post", "/api/v1/sign-in", "Get a token for user and password").sends("SignIn").answers("SignedIn"),
    role(Role::Viewer, "post", "/api/v1/sign-out", "Make the token of a sign-in worthless"),
    role(Role::Viewer, "get", "/api/v1/me", "Whom the token stands for").answers("Principal"),
    role(Role::Viewer, "get", "/api/v1/apps", "All apps").answers("Apps"),
    role(Role::Viewer, "get", "/api/v1/apps/{app}", "An app with its active and candidate release")
        .answers("App"),
    role(Role::Viewer, "get", "/api/v1/apps/{app}/config", "What is set for an app; never a secret's value")
        .answers("AppConfig"),
    role(Role::Publisher, "patch", "/api/v1/apps/{app}/config", "Set values and take values out")
        .takes(&[("wait", "0: answer at once"), ("timeout_ms", "how long to wait for the nodes")])
        .sends("AppConfigChange")
        .answers("AppConfigChanged"),
    role(
        Role::Viewer,
        "get",
        "/api/v1/apps/{app}/logs",
        "What an app wrote and what became of its calls, on all nodes: an entry a line, oldest first",
    )
    .takes(&[
        ("tail", "how many of the newest entries, at most 10,000, else 100"),
        ("since", "an age (90s, 10m, 2h, 7d) or a time (RFC 3339)"),
        ("level", "this level and those above it: trace, debug, info, warn, error, critical"),
        ("request", "the id of a request (x-request-id), or at least its last 6 characters"),
        ("release", "number of a release"),
        ("node", "name or id of one node"),
        ("follow", "1: go on with each entry as it comes; empty lines say that the node is still there"),
        ("scope", "node: the entries of the asked node alone"),
    ])
    .answers("LogEntry"),
    role(Role::Viewer, "get", "/api/v1/apps/{app}/releases", "Releases, newest first").answers("Releases"),
    role(Role::Publisher, "put", "/api/v1/apps/{app}/releases", "Publish a bundle or a bare component")
        .takes(&[
            ("activate", "false: prepare on all nodes, leave the active release serving"),
            ("note", "a remark, at most 1,000 characters"),
            ("digest", "sha256:... of the body; refused when it is another one"),
            ("expected_generation", "refuse when the app is at another generation"),
            WAIT,
            TIMEOUT,
        ])
        .sends("Bundle")
        .answers("Rollout"),
    role(
        Role::Publisher,
        "post",
        "/api/v1/apps/{app}/check",
        "What a publish would come to; nothing is stored",
    )
    .takes(&[("digest", "sha256:... of the body; refused when it is another one")])
    .sends("Bundle")
    .answers("Report"),
    role(Role::Viewer, "get", "/api/v1/apps/{app}/releases/{release}", "One release").answers("Release"),
    role(Role::Viewer, "get", "/api/v1/apps/{app}/releases/{release}/receipts", "What each node reports")
        .answers("Receipts"),
    role(Role::Publisher, "post", "/api/v1/apps/{app}/activate", "Make a release serve")
        .takes(&[WAIT, TIMEOUT])
        .sends("Activation")
        .answers("Rollout"),
    role(Role::Publisher, "post", "/api/v1/apps/{app}/rollback", "Make an older release serve again")
        .takes(&[WAIT, TIMEOUT])
        .sends("RollBack")
        .answers("Rollout"),
    role(Role::Publisher, "post", "/api/v1/apps/{app}/withdraw", "Stop serving the app").answers("App"),
    role(Role::Viewer, "get", "/api/v1/nodes", "All nodes, lost ones too").answers("Nodes"),
    role(Role::Admin, "post", "/api/v1/nodes/{node}/drain", "Have balancers leave the node alone")
        .answers("Any"),
    role(Role::Admin, "post", "/api/v1/nodes/{node}/resume", "Let balancers come back to the node")
        .answers("Any"),
    role(Role::Viewer, "get", "/api/v1/settings", "The cluster's settings, and what they come to here")
        .answers("Settings"),
    role(Role::Viewer, "get", "/api/v1/settings/history", "Changes of the settings, newest first")
        .takes(&[("count", "how many, at most 200")])
        .answers("SettingsHistory"),
    role(
        Role::Viewer,
        "get",
        "/api/v1/settings/diff",
        "What differs between two generations of the settings",
    )
    .takes(&[("from", "generation, else the one before `to`"), ("to", "generation, else the newest")])
    .answers("SettingsDiff"),
    role(Role::Viewer, "get", "/api/v1/settings/receipts", "What each node made of the settings")
        .answers("SettingsReceipts"),
    role(Role::Admin, "patch", "/api/v1/settings", "Change settings; null takes a key out")
        .takes(&[("wait", "0: answer at once"), ("timeout_ms", "how long to wait for the nodes")])
        .sends("SettingsChange")
        .answers("SettingsChanged"),
    role(
        Role::Admin,
        "post",
        "/api/v1/settings/rollback",
        "Make an older generation of the settings hold again",
    )
    .takes(&[("wait", "0: answer at once"), ("timeout_ms", "how long to wait for the nodes")])
    .sends("SettingsRollBack")
    .answers("SettingsChanged"),
    role(Role::Admin, "get", "/api/v1/tokens", "API tokens, without their secrets").answers("Tokens"),
    role(Role::Admin, "post", "/api/v1/tokens", "Make an API token; its secret is shown this once")
        .sends("NewToken")
        .answers("Token"),
    role(Role::Admin, "delete", "/api/v1/tokens/{name}", "Make an API token worthless"),
];

const fn open(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation { method, path, role: None, summary, query: &[], body: None, answer: None }
}

const fn role(needed: Role, method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation { method, path, role: Some(needed), summary, query: &[], body: None, answer: None }
}

impl Operation {
    const fn takes(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    const fn sends(mut self, schema: &'static str) -> Self {
        self.body = Some(schema);
        self
    }

    const fn answers(mut self, schema: &'static str) -> Self {
        self.answer = Some(schema);
        self
    }

    fn describe(&self) -> Value {
        let in_path = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut parameters: Vec<Value> = in_path
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        parameters.extend(self.query.iter().map(|(name, meaning)| {
            json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": "string" } })
        }));
        let content = |kind: &str, schema: &str| json!({ kind: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } });
        let mut success = json!({ "description": "done" });
        if let Some(schema) = self.answer {
            let kind = if schema == "LogEntry" { CONTENT_TYPE_LINES } else { "application/json" };
            success["content"] = content(kind, schema);
        }
        let mut operation = json!({
            "summary": self.summary,
            "parameters": parameters,
            "responses": {
                "2XX": success,
                "default": {
                    "description": "a problem",
                    "content": content("application/problem+json", "Problem"),
                },
            },
        });
        match self.body {
            Some("Bundle") => {
                let schema = json!({ "schema": { "type": "string", "format": "binary" } });
                let content = json!({ "application/zip": schema, "application/wasm": schema });
                operation["requestBody"] = json!({ "required": true, "content": content });
            }
            Some(schema) => {
                let content = content("application/json", schema);
                operation["requestBody"] = json!({ "required": true, "content": content });
            }
            None => {}
        }
        operation["security"] = match self.role {
            Some(role) => {
                operation["description"] = format!("Takes the role `{}`.", role.as_str()).into();
                json!([{ "bearer": [] }])
            }
            None => json!([]),
        };
        operation
    }
}

pub async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.describe();
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Typecase", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas::schemas(),
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
    .to_string()
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_every_schema_exists() {
        let source = include_str!("../api.rs");
        let routes: BTreeSet<&str> =
            source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let described: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
        assert_eq!(routes, described);
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        for reference in DOCUMENT.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
