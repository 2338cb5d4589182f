//! A served API with everything real behind it but the node that prepares releases.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use typecase_cluster::Announcements;
use typecase_model::{Receipt, ReceiptState};
use typecase_runtime::{CompilePolicy, Compiler};
use typecase_store::{ClusterSecret, Desired, Store};

use crate::control::{Control, ControlParts, Identity};
use crate::logs::AppLogs;
use crate::peers::Peers;
use crate::settings::LiveSettings;

pub const BUNDLE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeBehaviour {
    Healthy,
    FailsTheSecond,
    Silent,
}

pub struct Door {
    address: SocketAddr,
    http: reqwest::Client,
    folder: TempDir,
    /// A token that may do everything.
    pub admin: String,
    pub setup_token: Option<String>,
}

impl Door {
    pub async fn open(behaviour: NodeBehaviour) -> Self {
        Self::start(behaviour, Some("long enough")).await
    }

    pub async fn open_before_setup() -> Self {
        Self::start(NodeBehaviour::Silent, None).await
    }

    async fn start(behaviour: NodeBehaviour, password: Option<&str>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let data = folder.path();
        let secret = ClusterSecret::new(&"secret ".repeat(8)).unwrap();
        let store = Store::open_sqlite(&data.join("db"), &data.join("storage"), &secret).await.unwrap();
        store.register_node(&"node-1".parse().unwrap(), "one", "", "", "1").await.unwrap();
        let announcements = Announcements::in_process();
        let started =
            Identity::start(store.clone(), &"node-1".parse().unwrap(), data, password).await.unwrap();
        let control = Control::new(ControlParts {
            node: "node-1".parse().unwrap(),
            node_name: "one".to_owned(),
            logs: AppLogs::for_test(&data.join("logs")),
            peers: Peers::new(store.peer_key().clone()).unwrap(),
            store: store.clone(),
            announcements: announcements.clone(),
            base_domain: None,
            compiler: Arc::new(Compiler::new(CompilePolicy::default())),
            identity: started.identity,
            settings: LiveSettings::for_test(
                json!({ "limits.bundle_mb": 1, "limits.rollout_timeout_ms": 20_000 }),
            ),
            uploads_dir: data.join("uploads"),
        })
        .await
        .unwrap();
        tokio::spawn(pretend_a_node(store, announcements, control.clone(), behaviour));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, crate::api::router(control)).await });
        let admin = std::fs::read_to_string(data.join("cli-token")).unwrap().trim().to_owned();
        let setup_token = started.setup_token.map(|token| token.expose().to_owned());
        Self { address, http: reqwest::Client::new(), folder, admin, setup_token }
    }

    pub async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Vec<u8>) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        if status >= 400 {
            assert_eq!(kind.as_deref(), Some("application/problem+json"), "{path}");
        }
        assert!(response.headers().contains_key("x-request-id"));
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, Some(&self.admin), Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, Some(&self.admin), serde_json::to_vec(&body).unwrap()).await
    }

    pub async fn publish(&self, app: &str, content: &str, query: &str) -> (u16, Value) {
        let path = format!("/api/v1/apps/{app}/releases{query}");
        self.send(Method::PUT, &path, Some(&self.admin), self.bundle(app, content)).await
    }

    /// Sends a form or nothing, and reads a page.
    pub async fn page(&self, method: &str, path: &str, form: &str) -> (u16, String) {
        let request = self
            .http
            .request(method.parse().unwrap(), format!("http://{}{path}", self.address))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// A bundle of an app that consists of one static file.
    pub fn bundle(&self, app: &str, content: &str) -> Vec<u8> {
        let project = TempDir::new().unwrap();
        let manifest = format!("manifest_version = 1\n[app]\nname = \"{app}\"\nassets = \"static\"\n");
        std::fs::write(project.path().join("typecase.toml"), manifest).unwrap();
        std::fs::create_dir(project.path().join("static")).unwrap();
        std::fs::write(project.path().join("static/index.html"), content).unwrap();
        let packed = typecase_bundle::pack(project.path()).unwrap();
        std::fs::read(AsRef::<Path>::as_ref(packed.file.path())).unwrap()
    }

    /// Sends bytes as they are, and reads until the answers contain a text, or end.
    pub async fn converse(&self, bytes: &[u8], until: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut answers = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&answers).contains(until) {
                if socket.read_buf(&mut answers).await.unwrap() == 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), read).await.unwrap();
        String::from_utf8_lossy(&answers).into_owned()
    }

    /// An upload whose sender goes away in the middle; returns when the server is done with it.
    pub async fn send_half_an_upload(&self, app: &str) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "PUT /api/v1/apps/{app}/releases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\nhalf",
            self.admin
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        while self.files_left_by_uploads() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(socket);
        for _ in 0..400 {
            if self.files_left_by_uploads() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the file of a cut upload is still there");
    }

    pub fn files_left_by_uploads(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("uploads")).unwrap().count()
    }
}

/// What reconcile does, without loading anything: a receipt for each candidate and each active release.
async fn pretend_a_node(
    store: Store,
    announcements: Announcements,
    control: Control,
    behaviour: NodeBehaviour,
) {
    let mut subscription = announcements.subscribe();
    let node = "node-1".parse().unwrap();
    loop {
        store.heartbeat(&node, "").await.unwrap();
        for Desired { app, active, candidate, .. } in store.desired().await.unwrap() {
            let fails = |number: u32| behaviour == NodeBehaviour::FailsTheSecond && number == 2;
            let wanted = candidate.map(|release| match fails(release.number.0) {
                true => (release, ReceiptState::Failed),
                false => (release, ReceiptState::Prepared),
            });
            let serving = active.map(|release| (release, ReceiptState::Active));
            for (release, state) in wanted.into_iter().chain(serving) {
                let before = store.receipts(&app.name, release.number).await.unwrap();
                if behaviour == NodeBehaviour::Silent || before.iter().any(|r| r.state == state) {
                    continue;
                }
                let receipt = Receipt {
                    name: String::new(),
                    app: app.name.clone(),
                    release: release.number,
                    node: node.clone(),
                    state,
                    detail: (state == ReceiptState::Failed).then(|| "health path / answered 500".to_owned()),
                    duration_ms: 1,
                    at_unix_ms: 0,
                };
                if store.put_receipt(&receipt, app.generation).await.unwrap() {
                    announcements.announce(typecase_model::Topic::App(app.name.clone()));
                }
                control.settle(&app.name).await.unwrap();
            }
        }
        let _ = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await;
    }
}
