//! A real MariaDB, started from a prepared data folder in a fraction of a second.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::Port;
use super::process::{Process, command, runs_as_root};
use crate::command::{Output, run_command};
use crate::eventually;

const PACKAGE: &str = "mariadb-server";

/// The account of the nodes, without any right beyond its databases: root would not notice a server that is
/// read-only or out of connections.
const USER: &str = "typecase";
const PASSWORD: &str = "a-password-for-tests";

/// Run at each start, before the first connection. Root stays reachable through the socket alone.
const ACCOUNTS: [&str; 3] = [
    "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';",
    "CREATE USER IF NOT EXISTS 'typecase'@'127.0.0.1' IDENTIFIED BY 'a-password-for-tests';",
    "FLUSH PRIVILEGES;",
];

/// Small, for the prepared folder is copied for each server.
const REDO_LOG: &str = "--innodb-log-file-size=8M";

/// Everything else is the server's own default, latin1 as the character set of new tables included: whoever wants
/// another one in production has to say so, and so have our migrations.
const OPTIONS: [&str; 17] = [
    REDO_LOG,
    "--skip-networking=0",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=OFF",
    // A test's data need not outlive the machine, only the server; that does not take synced files.
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--sync-frm=0",
    "--innodb-fast-shutdown=1",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-temp-data-file-path=ibtmp1:3M:autoextend",
    // Small, for several servers run side by side.
    "--innodb-buffer-pool-size=16M",
    "--aria-pagecache-buffer-size=8M",
    // Locked memory is rationed where tests run.
    "--innodb-use-native-aio=0",
];

/// `Questions` counts the ends of connections too. A prepared statement that is executed counts once, as what it is.
const STATEMENTS: &str = r"SELECT CAST(SUM(variable_value) AS INTEGER) FROM information_schema.global_status
    WHERE variable_name LIKE 'Com\_%' AND variable_name NOT LIKE 'Com\_stmt\_%' AND variable_name <> 'Com_admin_commands'";

/// A database server; killed when it is dropped.
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
    folder: TempDir,
    port: Port,
    /// The last word on what [`OPTIONS`] says as well.
    options: Vec<String>,
    /// Statements that the tests have sent, to be left out when the nodes' are counted.
    own_statements: AtomicU64,
}

impl MariaDb {
    /// Starts a server that has no database yet.
    pub async fn start() -> Self {
        Self::start_with_options(&[]).await
    }

    /// The same with options of the server, for whoever measures what the tests' ones would embellish.
    pub async fn start_with_options(options: &[&str]) -> Self {
        let prepared = prepared_data().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_folder(&prepared, &folder.path().join("data"));
        fs::write(folder.path().join("accounts.sql"), ACCOUNTS.join("\n")).expect("the accounts are written");
        let process = Process::new("mariadbd", folder.path());
        let options = options.iter().copied().map(str::to_owned).collect();
        let own_statements = AtomicU64::new(0);
        let mut server = Self { process, folder, port: Port::claim(), options, own_statements };
        server.start_again().await;
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What a node is configured with to use one of the databases.
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.address(), database)
    }

    /// The same through a proxy.
    pub fn url_at(&self, address: SocketAddr, database: &str) -> String {
        format!("mysql://{USER}:{PASSWORD}@{address}/{database}")
    }

    /// Makes an empty database that the nodes' account may do everything with.
    pub async fn create_database(&self, name: &str) {
        self.execute(&format!("CREATE DATABASE `{name}`; GRANT ALL ON `{name}`.* TO '{USER}'@'127.0.0.1'"))
            .await;
    }

    /// Runs statements as root.
    pub async fn execute(&self, sql: &str) {
        self.query(sql).await;
    }

    /// Runs statements as root; gives back the rows, a line each, with tabs between the columns.
    pub async fn query(&self, sql: &str) -> String {
        self.try_query(sql).await.expect(0).stdout
    }

    /// The same for a server that may be down or frozen.
    pub async fn try_query(&self, sql: &str) -> Output {
        let statements = sql.split(';').filter(|statement| !statement.trim().is_empty()).count();
        self.own_statements.fetch_add(statements as u64, Ordering::Relaxed);
        let mut client = command("mariadb", "mariadb-client");
        client.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--raw"]);
        client.args(["--connect-timeout=5", "--default-character-set=utf8mb4"]);
        client.arg(format!("--socket={}", self.socket().display()));
        client.arg(format!("--execute={sql}"));
        run_command(client).await
    }

    /// A number of `SHOW GLOBAL STATUS`.
    pub async fn status(&self, variable: &str) -> u64 {
        let row = self.query(&format!("SHOW GLOBAL STATUS LIKE '{variable}'")).await;
        let number = row.split_whitespace().nth(1).and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("the server's status has no number {variable}: {row:?}"))
    }

    /// Statements that others than the test have executed since the server was started.
    pub async fn statements(&self) -> u64 {
        let all: u64 = self.query(STATEMENTS).await.trim().parse().expect("a sum is a number");
        all.saturating_sub(self.own_statements.load(Ordering::Relaxed))
    }

    /// Ends every connection of the nodes, in the middle of whatever they do, as a failover does.
    pub async fn cut_connections(&self) {
        self.execute(&format!("KILL CONNECTION USER '{USER}'@'127.0.0.1'")).await;
    }

    /// Takes the server down in order.
    pub async fn stop(&mut self) {
        self.process.stop().await;
    }

    /// Takes the server down as a power cut would.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again with the same data on the same port.
    pub async fn start_again(&mut self) {
        self.process.spawn(self.command());
        self.own_statements.store(ACCOUNTS.len() as u64, Ordering::Relaxed);
        let address = self.address();
        self.process.wait_until("a greeting", async || greets(address).await).await;
    }

    /// Freezes it: connections are accepted still, and nothing is ever answered.
    pub async fn pause(&self) {
        self.process.pause().await;
    }

    pub fn resume(&self) {
        self.process.resume();
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    fn command(&self) -> Command {
        let mut server = server_command();
        server.arg(format!("--datadir={}", self.folder.path().join("data").display()));
        server.arg(format!("--init-file={}", self.folder.path().join("accounts.sql").display()));
        server.arg(format!("--pid-file={}", self.folder.path().join("mariadbd.pid").display()));
        server.arg(format!("--socket={}", self.socket().display()));
        server.arg(format!("--port={}", self.port.number()));
        // A server that starts deletes the temporary tables that it finds, those of its neighbours too.
        server.arg(format!("--tmpdir={}", self.folder.path().display()));
        server.args(OPTIONS).args(&self.options);
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

fn server_command() -> Command {
    let mut server = command("mariadbd", PACKAGE);
    server.arg("--no-defaults");
    if runs_as_root() {
        server.arg("--user=root");
    }
    server
}

/// The server speaks first.
async fn greets(address: SocketAddr) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.read_u8().await.ok()
    };
    greeting.await.is_some()
}

/// An empty server's data, made once for each version on a machine: making it takes seconds, copying it does not.
async fn prepared_data() -> PathBuf {
    let version = run_command({
        let mut server = server_command();
        server.arg("--version");
        server
    });
    let version: String = version.await.expect(0).stdout;
    let version: String =
        version.split(|c: char| !c.is_alphanumeric() && c != '.').collect::<Vec<_>>().join("-");
    let cache = cache_folder();
    fs::create_dir_all(&cache).expect("the cache's folder is made");
    let prepared = cache.join(format!("mariadb-{}", version.trim_matches('-')));
    let lock = File::create(cache.join("mariadb.lock")).expect("the lock is made");
    // Tests run in processes of their own; the first one makes it, the others wait.
    eventually("an empty database, prepared by another test", async || lock.try_lock().ok()).await;
    if !prepared.is_dir() {
        let unfinished = tempfile::tempdir_in(&cache).expect("a temporary folder");
        let mut install = command("mariadb-install-db", PACKAGE);
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            REDO_LOG,
        ]);
        install.arg(format!("--datadir={}", unfinished.path().display()));
        if runs_as_root() {
            install.arg("--user=root");
        }
        run_command(install).await.expect(0);
        fs::rename(unfinished.keep(), &prepared).expect("the prepared data gets its name");
    }
    prepared
}

/// Beside the programs under test, so that it goes where build results go.
fn cache_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    test.ancestors().nth(2).unwrap_or(&test).join("harness-cache")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder is made");
    for entry in fs::read_dir(from).expect("the prepared data can be read").flatten() {
        let copy = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).expect("a file is copied");
        }
    }
}
