//! A cluster on this machine: a real MariaDB, a real Redis, a shared folder, and nodes with everything on that ships on.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use typecase_harness::services::{MariaDb, Redis};

use crate::node::Node;
use crate::options::Bench;

const DATABASE: &str = "typecase";
const SECRET: &str = "a secret for the bench, of which all nodes have a copy";

/// As an operator would set the database up: what it has said is committed outlives a power cut. The tests, whose options
/// these replace, do without that.
const DURABLE: [&str; 5] = [
    "--innodb-flush-method=O_DIRECT",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=1",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=96M",
];

/// What the nodes of one cluster share. Ended when it is dropped.
#[derive(Debug)]
pub struct Services {
    pub mariadb: MariaDb,
    pub redis: Redis,
    pub storage: PathBuf,
    pub secret: &'static str,
    secret_file: PathBuf,
}

/// Nodes and what they share. Its fields go in this order.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub services: Services,
    name: String,
}

impl Services {
    /// Starts them with nothing in them. The database server's own limit holds for connections unless another one is
    /// given.
    pub async fn start(bench: &Bench, name: &str, connections_max: Option<usize>) -> Result<Self> {
        let folder = bench.data(name)?;
        let storage = folder.join("storage");
        let secret_file = folder.join("secret");
        fs::create_dir_all(&storage).with_context(|| format!("cannot make {}", storage.display()))?;
        fs::write(&secret_file, SECRET).with_context(|| format!("cannot write {}", secret_file.display()))?;
        let connections = connections_max.map(|connections| format!("--max-connections={connections}"));
        let options: Vec<&str> = DURABLE.into_iter().chain(connections.as_deref()).collect();
        let (mariadb, redis) = tokio::join!(MariaDb::start_with_options(&options), Redis::start());
        mariadb.create_database(DATABASE).await;
        Ok(Self { mariadb, redis, storage, secret: SECRET, secret_file })
    }

    /// How a node reaches the database.
    pub fn database_url(&self) -> String {
        self.mariadb.url(DATABASE)
    }

    /// A node's configuration file.
    fn config(&self, node: &str) -> toml::Table {
        let text = |text: String| toml::Value::from(text);
        let cluster = toml::Table::from_iter([
            ("database".to_owned(), text(self.database_url())),
            ("redis".to_owned(), text(self.redis.url())),
            ("storage".to_owned(), text(format!("file://{}", self.storage.display()))),
            ("secret_file".to_owned(), text(self.secret_file.display().to_string())),
        ]);
        let node = toml::Table::from_iter([("name".to_owned(), text(node.to_owned()))]);
        toml::Table::from_iter([("node".to_owned(), node.into()), ("cluster".to_owned(), cluster.into())])
    }
}

impl Cluster {
    /// Starts the services and that many nodes, and waits until all are ready.
    pub async fn start(bench: &Bench, name: &str, nodes: usize) -> Result<Self> {
        let services = Services::start(bench, name, None).await?;
        let mut cluster = Self { nodes: Vec::new(), services, name: name.to_owned() };
        cluster.nodes = try_join_all((0..nodes).map(|place| cluster.start_node(bench, place))).await?;
        Ok(cluster)
    }

    /// Stops a node and starts it again on what it has in its data folder.
    pub async fn restart(&mut self, bench: &Bench, place: usize) -> Result<()> {
        self.nodes.remove(place).server.stop().await?;
        let node = self.start_node(bench, place).await?;
        self.nodes.insert(place, node);
        Ok(())
    }

    async fn start_node(&self, bench: &Bench, place: usize) -> Result<Node> {
        let name = format!("{}-node-{}", self.name, place + 1);
        Node::start_configured(bench, &name, &self.services.config(&name)).await
    }

    /// Where the nodes serve apps.
    pub fn apps(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| &*node.apps)
    }

    pub async fn stop(self) -> Result<()> {
        let Self { nodes, services, .. } = self;
        try_join_all(nodes.into_iter().map(|node| node.server.stop())).await?;
        drop(services);
        Ok(())
    }
}
