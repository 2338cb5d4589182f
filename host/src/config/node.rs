//! `[node]`: who this node is, where it listens and where it keeps its data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::reader::Reader;

/// The system of record of a single node, in its data folder.
pub const DATABASE_FILE: &str = "typecase.db";

const PORT_LISTEN: u16 = 8100;
const PORT_ADMIN: u16 = 22345;

/// A node's name goes into tables and log lines; this is the length of one DNS label.
const NAME_CHARS_MAX: usize = 63;

/// With its port it fits the tables; DNS knows names of up to 253.
const HOST_CHARS_MAX: usize = 249;

#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// What people call this node.
    pub name: String,
    /// Where apps are served.
    pub listen: SocketAddr,
    /// Where the API, health and metrics are served.
    pub admin: SocketAddr,
    /// The admin address as others reach it, `HOST:PORT`.
    pub advertise: String,
    /// The app address as balancers reach it, `HOST:PORT`.
    pub advertise_apps: String,
    /// The node's private folder, absolute: database, caches, bundles, `cli-token`.
    pub data: PathBuf,
}

impl NodeConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section("node");
        let hostname = hostname();
        let name = section.text_or_none("name", "the host's name").unwrap_or_else(|| hostname.clone());
        if !is_name(&name) {
            section.problem("name", "use 1 to 63 of a-z, A-Z, 0-9, `.`, `_` and `-`");
        }
        let listen = section.address("listen", any(PORT_LISTEN));
        let admin = section.address("admin", any(PORT_ADMIN));
        if listen == admin && listen.port() != 0 {
            section.problem("admin", "is the same as node.listen: give the admin port another number");
        }
        // An address that means "all of them" is no address at which anybody finds this machine.
        let reachable = |address: SocketAddr| match address.ip().is_unspecified() {
            true => format!("{hostname}:{}", address.port()),
            false => address.to_string(),
        };
        let advertise = section
            .text_or_none("advertise", "the host's name and the admin port")
            .unwrap_or_else(|| reachable(admin));
        if !is_host_and_port(&advertise) {
            section.problem("advertise", "write HOST:PORT, the admin port as others reach it");
        }
        let advertise_apps = section
            .text_or_none("advertise_apps", "the host's name and the app port")
            .unwrap_or_else(|| reachable(listen));
        if !is_host_and_port(&advertise_apps) {
            section.problem("advertise_apps", "write HOST:PORT, the app port as balancers reach it");
        }
        let data = match section.text_or_none("data", "see below") {
            Some(data) => PathBuf::from(data),
            None => data_dir_default(),
        };
        let data = absolute(&data);
        Self { name, listen, admin, advertise, advertise_apps, data }
    }
}

/// Where a node keeps its data unless told: the same folder whatever directory it is started from,
/// so that a node started twice is the same node, and the command line finds its token.
pub fn data_dir_default() -> PathBuf {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(data_home) = set("XDG_DATA_HOME") {
        return data_home.join("typecase");
    }
    match set("HOME") {
        Some(home) => home.join(".local/share/typecase"),
        None => PathBuf::from("/var/lib/typecase"),
    }
}

/// Relative paths count from where the node was started, and must not change meaning later.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        name if is_name(name) => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    // Others write this into their own configurations, where anything else would need quoting.
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ipv6) => ipv6.parse::<Ipv6Addr>().is_ok(),
        None => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            (1..=HOST_CHARS_MAX).contains(&host.len()) && host.bytes().all(allowed)
        }
    };
    is_host && !port.starts_with('+') && port.parse::<u16>().is_ok()
}
