//! Several nodes on one database, one Redis and one storage, all of them real.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::services::{FaultProxy, Link, MariaDb, Mount, Port, Redis, S3};
use crate::{TestNode, TestNodeBuilder, eventually};

/// The database that all nodes share.
pub const DATABASE: &str = "typecase";

/// What the nodes of a cluster have the same of; long enough for a secret.
const SECRET: &str = "a secret for tests, of which all nodes have a copy\n";

/// Where bundles and files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// A folder that all nodes see.
    Folder,
    /// A bucket, under a prefix.
    S3,
}

/// What a node depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    Database,
    Redis,
    Storage,
}

/// What a cluster is started with.
#[derive(Debug)]
pub struct ClusterBuilder {
    nodes: usize,
    storage: Storage,
    node: TestNodeBuilder,
    wired: Vec<(usize, Service)>,
}

/// A running cluster, ended with the test.
pub struct Cluster {
    // In the order in which they go: nodes first, what they stand on after them.
    pub nodes: Vec<TestNode>,
    pub mariadb: MariaDb,
    pub redis: Redis,
    /// Only for [`Storage::S3`].
    pub s3: Option<S3>,
    wires: HashMap<(usize, Service), FaultProxy>,
    mounts: HashMap<usize, Mount>,
    ports: Vec<(Port, Port)>,
    plan: ClusterBuilder,
    folder: TempDir,
}

impl ClusterBuilder {
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Sets a key of every node's configuration file.
    pub fn config(mut self, section: &str, key: &str, value: impl Into<toml::Value>) -> Self {
        self.node = self.node.config(section, key, value);
        self
    }

    /// Sets a variable of every node's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.node = self.node.env(name, value);
        self
    }

    /// Puts a wire of its own between a node and a service, to be cut by [`Cluster::cut_off`] or set to anything
    /// else through [`Cluster::wire`]. For a storage that is a folder the wire is a mount, which takes
    /// [`Mount::is_allowed`].
    pub fn wire(mut self, node: usize, service: Service) -> Self {
        self.wired.push((node, service));
        self
    }

    /// Starts the services, then all nodes at once, and waits until every node is ready.
    pub async fn start(self) -> Cluster {
        let mut cluster = self.start_services().await;
        for _ in 0..cluster.plan.nodes {
            let builder = cluster.next_node().await;
            let mut node = builder.prepare();
            node.spawn();
            cluster.nodes.push(node);
        }
        for node in &mut cluster.nodes {
            node.wait_until_ready().await;
        }
        cluster
    }

    /// Starts the services alone; [`Cluster::add_node`] adds one node after the other.
    pub async fn start_services(self) -> Cluster {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("storage")).expect("the storage's folder is made");
        fs::write(folder.path().join("secret"), SECRET).expect("the secret is written");
        let (mariadb, redis) = tokio::join!(MariaDb::start(), Redis::start());
        mariadb.create_database(DATABASE).await;
        Cluster {
            nodes: Vec::new(),
            mariadb,
            redis,
            s3: (self.storage == Storage::S3).then(S3::start),
            wires: HashMap::new(),
            mounts: HashMap::new(),
            ports: Vec::new(),
            plan: self,
            folder,
        }
    }
}

impl Cluster {
    /// Three nodes with a folder as storage, unless the test says something else.
    pub fn builder() -> ClusterBuilder {
        let node = TestNode::builder();
        ClusterBuilder { nodes: 3, storage: Storage::Folder, node, wired: Vec::new() }
    }

    /// Starts one more node and waits until it is ready.
    pub async fn add_node(&mut self) -> &mut TestNode {
        let node = self.next_node().await.start().await;
        self.add(node)
    }

    /// What one more node is started with, on ports that it keeps across restarts; for a test that changes some of
    /// it. A node that becomes ready belongs into [`Cluster::add`].
    pub async fn next_node(&mut self) -> TestNodeBuilder {
        let number = self.ports.len();
        let (apps, admin) = (Port::claim(), Port::claim());
        let database = self.way_to(number, Service::Database, self.mariadb.address()).await;
        let redis = self.way_to(number, Service::Redis, self.redis.address()).await;
        let mut builder = self.plan.node.clone().config("node", "name", format!("node-{number}"));
        builder = builder.config("node", "listen", apps.address().to_string());
        builder = builder.config("node", "admin", admin.address().to_string());
        builder = builder.config("cluster", "database", self.mariadb.url_at(database, DATABASE));
        builder = builder.config("cluster", "redis", self.redis.url_at(redis));
        builder = builder.config("cluster", "secret_file", self.secret_file().display().to_string());
        let storage = match &self.s3 {
            Some(s3) => {
                let (bucket, address) = (s3.bucket(), s3.address());
                let address = self.way_to(number, Service::Storage, address).await;
                for (name, value) in self.s3.iter().flat_map(|s3| s3.environment(address)) {
                    builder = builder.env(name, value);
                }
                format!("s3://{bucket}/nodes")
            }
            None => format!("file://{}", self.folder_of(number).display()),
        };
        self.ports.push((apps, admin));
        builder.config("cluster", "storage", storage)
    }

    /// Makes a node that was started by the test one of the cluster's.
    pub fn add(&mut self, node: TestNode) -> &mut TestNode {
        self.nodes.push(node);
        self.nodes.last_mut().expect("it was just added")
    }

    /// The wire between a node and a service, if the builder put one there.
    #[track_caller]
    pub fn wire(&self, node: usize, service: Service) -> &FaultProxy {
        let wire = self.wires.get(&(node, service));
        wire.unwrap_or_else(|| panic!("there is no wire between node {node} and {service:?}"))
    }

    /// The mount through which a node sees the storage's folder, if the builder put one there.
    #[track_caller]
    pub fn mount(&mut self, node: usize) -> &mut Mount {
        self.mounts.get_mut(&node).unwrap_or_else(|| panic!("node {node} has no mount of its own"))
    }

    /// Takes a service away from one node: connections are refused, or the shared folder is empty.
    pub async fn cut_off(&mut self, node: usize, service: Service) {
        match self.mounts.get_mut(&node) {
            Some(mount) if service == Service::Storage => mount.unmount(),
            _ => self.wire(node, service).set(Link::Refuse).await,
        }
    }

    /// Gives the service back.
    pub async fn reconnect(&mut self, node: usize, service: Service) {
        match self.mounts.get_mut(&node) {
            Some(mount) if service == Service::Storage => mount.mount_again(),
            _ => self.wire(node, service).set(Link::Pass).await,
        }
    }

    /// The folder below which all stored objects are files, whatever the storage is.
    pub fn storage_folder(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.bucket_folder().join("nodes"),
            None => self.folder.path().join("storage"),
        }
    }

    pub fn secret_file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// Where the nodes serve apps: what a balancer is told.
    pub fn apps_addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(TestNode::apps_address).collect()
    }

    /// Waits until every node answers a path with this text.
    pub async fn all_answer(&self, path: &str, text: &str) {
        for (number, node) in self.nodes.iter().enumerate() {
            eventually(&format!("node {number} answers {path} with {text:?}"), async || {
                let answer = node.get(path).await;
                (answer.status == 200 && answer.text().trim_end() == text).then_some(())
            })
            .await;
        }
    }

    /// The address under which a node finds a service.
    async fn way_to(&mut self, node: usize, service: Service, target: SocketAddr) -> SocketAddr {
        if !self.plan.wired.contains(&(node, service)) {
            return target;
        }
        let wire = match service {
            Service::Redis => FaultProxy::to_redis(target).await,
            Service::Database | Service::Storage => FaultProxy::to(target).await,
        };
        let address = wire.address();
        self.wires.insert((node, service), wire);
        address
    }

    /// The storage's folder as a node sees it.
    fn folder_of(&mut self, node: usize) -> PathBuf {
        let shared = self.storage_folder();
        if !self.plan.wired.contains(&(node, Service::Storage)) {
            return shared;
        }
        let at = self.folder.path().join(format!("storage-of-node-{node}"));
        let mount = Mount::of(&shared, &at).expect("a storage of one node's own takes the right to mount");
        self.mounts.insert(node, mount);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_can_lose_its_storage_while_others_keep_theirs() {
        if !Mount::is_allowed() {
            println!("skipped: a storage of one node's own takes root");
            return;
        }
        let mut cluster = Cluster::builder().wire(1, Service::Storage).start_services().await;
        for _ in 0..2 {
            cluster.next_node().await;
        }
        let (first, second) = (cluster.storage_folder(), cluster.mount(1).path().to_path_buf());
        fs::write(first.join("object"), "content").unwrap();
        assert_eq!(fs::read_to_string(second.join("object")).unwrap(), "content");
        cluster.cut_off(1, Service::Storage).await;
        assert!(first.join("object").is_file() && !second.join("object").exists());
        cluster.reconnect(1, Service::Storage).await;
        fs::write(second.join("object"), "changed").unwrap();
        assert_eq!(fs::read_to_string(first.join("object")).unwrap(), "changed");
        cluster.mount(1).make_read_only();
        fs::write(second.join("object"), "again").unwrap_err();
        fs::write(first.join("object"), "again").unwrap();
    }

    #[tokio::test]
    async fn wires_of_one_node_lead_to_its_services() {
        let mut builder = Cluster::builder().storage(Storage::S3);
        for service in [Service::Database, Service::Redis, Service::Storage] {
            builder = builder.wire(0, service);
        }
        let mut cluster = builder.start_services().await;
        cluster.next_node().await;
        for service in [Service::Database, Service::Redis, Service::Storage] {
            let address = cluster.wire(0, service).address();
            tokio::net::TcpStream::connect(address).await.unwrap();
            cluster.cut_off(0, service).await;
            tokio::net::TcpStream::connect(address).await.unwrap_err();
            cluster.reconnect(0, service).await;
            tokio::net::TcpStream::connect(address).await.unwrap();
        }
    }
}
