//! Which nodes a balancer may send requests to, and why not to the others.
//!
//! Names and addresses were announced by the nodes: here they are judged, so that nothing in them can end a line or
//! a word of somebody else's configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::failure::{Exit, Failure};
use crate::cli::text;

/// The memory that nginx's workers share for it holds about so many.
const NODES_MAX: usize = 400;
/// A name in a comment, and in the statistics of a balancer.
const NAME_CHARS_MAX: usize = 63;
/// The longest name that DNS knows.
const HOST_CHARS_MAX: usize = 253;
/// Looking up who this machine is for the nodes only improves a comment.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer of `GET /api/v1/nodes`.
#[derive(Debug, Deserialize)]
pub struct Announced {
    nodes: Vec<AnnouncedNode>,
}

#[derive(Debug, Deserialize)]
struct AnnouncedNode {
    id: String,
    name: String,
    admin: String,
    /// Nodes of older versions announce none.
    #[serde(default)]
    apps: String,
    version: String,
    health: String,
    #[serde(default)]
    draining: bool,
}

#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
}

/// One node.
#[derive(Debug)]
pub struct Member {
    /// Differs from that of every other node, and is safe wherever a word is.
    pub name: String,
    pub apps: Option<HostAndPort>,
    pub admin: Option<HostAndPort>,
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Serving,
    /// Its operator takes it out: it finishes what it has, and will be back.
    Draining,
    /// Its address may be somebody else's by now.
    LeftOut(String),
}

/// `HOST:PORT` with an address or a name that DNS could hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostAndPort {
    host: String,
    port: u16,
}

impl Cluster {
    /// `with_admin` asks for the nodes' admin addresses too.
    pub fn judge(announced: Announced, with_admin: bool) -> Result<Self, Failure> {
        let mut nodes = announced.nodes;
        if nodes.len() > NODES_MAX {
            return Err(refusal(format!("{} nodes are more than {NODES_MAX}", nodes.len())));
        }
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let mut names = BTreeMap::new();
        let mut members = Vec::new();
        for node in nodes {
            let standing = standing(&node);
            let is_needed = !matches!(standing, Standing::LeftOut(_));
            members.push(Member {
                apps: address(&node, "app", &node.apps, "advertise_apps", is_needed)?,
                admin: address(&node, "admin", &node.admin, "advertise", is_needed && with_admin)?,
                name: unique(&mut names, word(&node.name)),
                standing,
            });
        }
        let cluster = Self { members };
        if cluster.serving().next().is_none() {
            let detail = "no node serves: a balancer without nodes answers nobody".to_owned();
            return Err(refusal(detail).advise("`typecase nodes` shows what is known of them".to_owned()));
        }
        cluster.refuse_shared_addresses()?;
        Ok(cluster)
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    pub fn serving(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.standing == Standing::Serving)
    }

    /// Two nodes at one address are one that was told the other's name; requests would go to one of them alone.
    fn refuse_shared_addresses(&self) -> Result<(), Failure> {
        let mut seen: BTreeMap<&HostAndPort, &str> = BTreeMap::new();
        for member in self.members.iter().filter(|member| !matches!(member.standing, Standing::LeftOut(_))) {
            let Some(apps) = &member.apps else { continue };
            if let Some(other) = seen.insert(apps, &member.name) {
                let detail =
                    format!("nodes {other} and {} both announce the app address {apps}", member.name);
                let advice = "set node.advertise_apps in the configuration of each".to_owned();
                return Err(refusal(detail).advise(advice));
            }
        }
        Ok(())
    }

    /// The nodes as `--json` shows them.
    pub fn document(&self) -> Value {
        let node = |member: &Member| {
            let (state, reason) = match &member.standing {
                Standing::Serving => ("serving", None),
                Standing::Draining => ("draining", None),
                Standing::LeftOut(reason) => ("left-out", Some(reason)),
            };
            let apps = member.apps.as_ref().map(ToString::to_string);
            json!({ "name": member.name, "apps": apps, "state": state, "reason": reason })
        };
        self.members.iter().map(node).collect()
    }

    /// One line for each node, for the head of a configuration.
    pub fn summary(&self) -> Vec<String> {
        let line = |member: &Member| {
            let apps = member.apps.as_ref().map_or("no address".to_owned(), ToString::to_string);
            let what = match &member.standing {
                Standing::Serving if member.apps.as_ref().is_some_and(HostAndPort::is_loopback) => {
                    "serving (an address that reaches it on its own machine alone)".to_owned()
                }
                Standing::Serving => "serving".to_owned(),
                Standing::Draining => "draining: gets no new requests".to_owned(),
                Standing::LeftOut(reason) => format!("left out: {reason}"),
            };
            format!("{} at {apps}: {what}", member.name)
        };
        self.members.iter().map(line).collect()
    }

    /// From which addresses this machine reaches the nodes: where the balancer runs here, the nodes see these.
    pub async fn addresses_of_this_machine(&self) -> Vec<IpAddr> {
        let looking = async {
            let mut found = BTreeSet::new();
            for apps in self.serving().filter_map(|member| member.apps.as_ref()) {
                found.extend(source_towards(apps).await);
            }
            found
        };
        tokio::time::timeout(LOOK_UP_TIMEOUT, looking).await.unwrap_or_default().into_iter().collect()
    }
}

/// Connecting a UDP socket sends nothing; it only has the system choose.
async fn source_towards(node: &HostAndPort) -> Option<IpAddr> {
    let target = tokio::net::lookup_host(node.to_string()).await.ok()?.next()?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = tokio::net::UdpSocket::bind(any).await.ok()?;
    socket.connect(target).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn standing(node: &AnnouncedNode) -> Standing {
    match node.health.as_str() {
        "live" if node.draining => Standing::Draining,
        "live" => Standing::Serving,
        "draining" => Standing::Draining,
        "lost" => Standing::LeftOut("it is lost: no heartbeat comes from it".to_owned()),
        other => Standing::LeftOut(format!("its health is {}", word(other))),
    }
}

fn address(
    node: &AnnouncedNode,
    what: &str,
    announced: &str,
    key: &str,
    is_needed: bool,
) -> Result<Option<HostAndPort>, Failure> {
    let address = HostAndPort::parse(announced);
    if address.is_some() || !is_needed {
        return Ok(address);
    }
    let name = word(&node.name);
    if announced.is_empty() {
        let detail =
            format!("node {name} announces no {what} address: its version is {}", word(&node.version));
        return Err(refusal(detail).advise("run the same version on all nodes first".to_owned()));
    }
    // Quoted and cut: it is whatever a node chose to say.
    let shown = format!("{:?}", text::brief(announced, HOST_CHARS_MAX));
    let detail = format!("node {name} announces the {what} address {shown}, which is not HOST:PORT");
    Err(refusal(detail).advise(format!("set node.{key} in that node's configuration")))
}

/// A word for comments and names, whatever it was before.
fn word(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let word: String = text.chars().take(NAME_CHARS_MAX).map(safe).collect();
    if word.is_empty() { "unnamed".to_owned() } else { word }
}

fn unique(taken: &mut BTreeMap<String, usize>, name: String) -> String {
    let count = taken.entry(name.clone()).or_default();
    *count += 1;
    match *count {
        1 => name,
        // A name may end like this by itself; then it is counted again.
        count => unique(taken, format!("{name}-{count}")),
    }
}

fn refusal(detail: String) -> Failure {
    Failure::local(Exit::Failed, "nodes-unfit", detail)
}

impl HostAndPort {
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let is_digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_digits && *port != 0)?;
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(ipv6) => ipv6.parse::<Ipv6Addr>().is_ok(),
            None => is_host_name(host),
        };
        is_host.then(|| Self { host: host.to_owned(), port })
    }

    fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// IPv4 addresses are of the same letters. `unix:` starts the path of a socket for nginx.
fn is_host_name(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=HOST_CHARS_MAX).contains(&host.len())
        && host.bytes().all(allowed)
        && host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !host.eq_ignore_ascii_case("unix")
}

impl fmt::Display for HostAndPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
