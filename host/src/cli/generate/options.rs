//! What can be chosen about a balancer, whichever program it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;

use super::cluster::Cluster;
use crate::cli::failure::{Exit, Failure};

/// The longest name that DNS knows.
const NAME_CHARS_MAX: usize = 253;

#[derive(Debug, Args)]
pub struct BalancerArguments {
    /// Where clients reach the apps [default: 0.0.0.0:80, with TLS 0.0.0.0:443].
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Names under which apps are served; `*.apps.example.com` stands for all below one [default: every name].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = server_name)]
    pub server_name: Vec<String>,
    /// Certificate chain for TLS, in PEM.
    #[arg(long, value_name = "FILE", value_parser = plain_path)]
    pub tls_cert: Option<PathBuf>,
    /// Its private key; without this option the certificate's file holds it.
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = plain_path)]
    pub tls_key: Option<PathBuf>,
    /// Proxies in front of this balancer whose X-Forwarded-* headers are kept, such as 10.0.0.0/8.
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Send each client address to one node for as long as that node serves; no cookies.
    #[arg(long)]
    pub affinity: bool,
    /// How long an answer may stand still; above what any app may ask for.
    #[arg(long, value_name = "S", default_value_t = 610, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub timeout_s: u32,
    /// Size of a request's headers: the nodes' limits.header_bytes_max.
    #[arg(long, value_name = "KB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=1_024))]
    pub header_kb_max: u32,
    /// Balance the admin port too, at ADDR. It is for those who publish, never for the public.
    #[arg(
        long,
        value_name = "ADDR",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0.0.0.0:22345"
    )]
    pub admin: Option<SocketAddr>,
    /// Replace this file, in one step, instead of printing.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl BalancerArguments {
    pub fn listen(&self) -> SocketAddr {
        let port = if self.tls_cert.is_some() { 443 } else { 80 };
        self.listen.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, port).into())
    }

    /// Two listeners on one address would be one.
    pub fn check(&self) -> Result<(), Failure> {
        match self.admin {
            Some(admin) if admin == self.listen() => Err(usage(format!(
                "--admin and --listen are both {admin}: apps and the admin port need an address each"
            ))),
            _ => Ok(()),
        }
    }
}

/// Whom nodes are to believe: this balancer, and those in front of it.
pub fn trusted_by_nodes(sources: &[IpAddr], in_front: &[IpNet]) -> Vec<String> {
    let sources: Vec<String> = match sources {
        [] => vec!["ADDRESS-OF-THIS-BALANCER".to_owned()],
        sources => sources.iter().map(ToString::to_string).collect(),
    };
    sources.into_iter().chain(in_front.iter().map(ToString::to_string)).collect()
}

/// The same in the form that a node's configuration has.
pub fn as_list(trusted: &[String]) -> String {
    trusted.iter().map(|network| format!("\"{network}\"")).collect::<Vec<_>>().join(", ")
}

/// Says how sure `trusted_by_nodes` is.
pub fn origin_of_trust(program: &str, sources: &[IpAddr]) -> String {
    match sources {
        [] => format!("That is the address from which {program} reaches the nodes."),
        _ => format!(
            "That is the machine on which this was written; if {program} runs on another one, it is that one's address."
        ),
    }
}

/// The nodes, as comments.
pub fn summary(cluster: &Cluster) -> String {
    cluster.summary().into_iter().map(|line| format!("#     {line}")).collect::<Vec<_>>().join("\n")
}

pub fn usage(detail: String) -> Failure {
    Failure::local(Exit::Usage, "usage", detail)
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network
        .map(|network: IpNet| network.trunc())
        .map_err(|_| "write an address or a network, such as 10.0.0.0/8".to_owned())
}

fn server_name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    match name.len() <= NAME_CHARS_MAX && name != "_" && name.split('.').all(is_label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("write a host name, such as apps.example.com or *.apps.example.com".to_owned()),
    }
}

/// A path that means the same within quotes in every configuration language, absolute.
fn plain_path(text: &str) -> Result<PathBuf, String> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@=,~ ".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err("use a path of letters, digits, spaces and ./_-+@=,~ only".to_owned());
    }
    let path = std::path::absolute(Path::new(text)).map_err(|error| error.to_string())?;
    match path.to_str() {
        Some(absolute) if absolute.chars().all(is_plain) => Ok(path),
        _ => {
            Err("give an absolute path: the current folder's name has other characters than paths may"
                .to_owned())
        }
    }
}
