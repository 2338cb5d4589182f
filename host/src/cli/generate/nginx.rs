//! `typecase generate nginx`

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use super::cluster::{Cluster, HostAndPort, Member, Standing};
use super::options::{BalancerArguments, as_list, origin_of_trust, summary, trusted_by_nodes};
use super::template::fill;
use crate::cli::failure::Failure;

const TEMPLATE: &str = include_str!("nginx.conf");

/// Of all nodes together, for each worker: beyond it connections are closed after their request.
const KEPT_CONNECTIONS_MIN: usize = 64;
const KEPT_CONNECTIONS_PER_NODE: usize = 32;
/// Every node but the last may have just failed, and the first of the nodes that are tried once more may be the one that
/// is gone. A request that four could not take is not helped by a fifth.
const TRIES_MAX: usize = 4;

#[derive(Debug, Args)]
pub struct NginxArguments {
    #[command(flatten)]
    pub balancer: BalancerArguments,
    /// Size of a request's body: the nodes' limits.max_body_mb. What an app takes is for its manifest to say.
    #[arg(long, value_name = "MB", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    body_mb_max: u32,
    /// Hand uploads on as they come, instead of collecting each on nginx's disk first.
    #[arg(long)]
    stream_uploads: bool,
    /// Where the access log goes: a file, or `off`.
    #[arg(long, value_name = "FILE", default_value = "/var/log/nginx/access.log", value_parser = log_path)]
    access_log: String,
}

pub fn render(arguments: &NginxArguments, cluster: &Cluster, sources: &[IpAddr]) -> Result<String, Failure> {
    let balancer = &arguments.balancer;
    balancer.check()?;
    let trusted = trusted_by_nodes(sources, &balancer.trusted_proxies);
    let nodes = cluster.serving().count();
    let on_off = |on: bool| if on { "on" } else { "off" }.to_owned();
    let values = [
        ("balancer_setting", trusted.join(",")),
        ("balancer_addresses", as_list(&trusted)),
        ("balancer_origin", origin_of_trust("nginx", sources)),
        ("summary", summary(cluster)),
        ("access_log", access_log(&arguments.access_log)),
        ("tls", tls(balancer)),
        ("balance", balance(balancer)),
        ("servers", servers(cluster, |member| member.apps.as_ref(), !balancer.affinity)),
        ("keepalive", kept_connections(nodes).to_string()),
        ("admin_upstream", admin_upstream(balancer, cluster)),
        ("trusted_proxies", networks(balancer)),
        ("affinity_key", affinity_key(balancer).to_owned()),
        ("tries", (nodes + 1).min(TRIES_MAX).to_string()),
        ("request_buffering", on_off(!arguments.stream_uploads)),
        ("timeout_s", balancer.timeout_s.to_string()),
        ("body_mb_max", arguments.body_mb_max.to_string()),
        ("header_kb_max", balancer.header_kb_max.to_string()),
        ("unnamed_server", unnamed_server(balancer)),
        ("listen", listen(balancer, balancer.listen(), balancer.server_name.is_empty())),
        ("server_names", server_names(balancer)),
        ("admin_server", admin_server(balancer)),
    ];
    Ok(fill(TEMPLATE, &values))
}

fn access_log(path: &str) -> String {
    if path == "off" { path.to_owned() } else { format!("\"{path}\" typecase") }
}

fn tls(balancer: &BalancerArguments) -> String {
    let Some(cert) = &balancer.tls_cert else { return String::new() };
    let key = balancer.tls_key.as_ref().unwrap_or(cert);
    let (cert, key) = (cert.display(), key.display());
    format!(
        "\
ssl_certificate \"{cert}\";
ssl_certificate_key \"{key}\";
ssl_protocols TLSv1.2 TLSv1.3;
ssl_session_cache shared:typecase_tls:10m;
ssl_session_timeout 1d;
ssl_session_tickets off;
# Small pieces of streams need not wait for large ones.
ssl_buffer_size 4k;"
    )
}

fn balance(balancer: &BalancerArguments) -> String {
    match (balancer.affinity, balancer.trusted_proxies.is_empty()) {
        (false, _) => {
            "# A node that answers slowly, or not at all, gets fewer requests.\nleast_conn;".to_owned()
        }
        (true, true) => "hash $remote_addr consistent;".to_owned(),
        (true, false) => "hash $typecase_client consistent;".to_owned(),
    }
}

/// `twice` lists those that serve once more, for when nginx leaves all of them alone; it cannot do that while it keeps
/// clients together.
fn servers(cluster: &Cluster, address: impl Fn(&Member) -> Option<&HostAndPort>, twice: bool) -> String {
    let line = |member: &Member| {
        let name = &member.name;
        // Names are looked up at each start: one that is gone for good would keep nginx from starting.
        let Some(address) = address(member) else { return format!("# {name} is left out") };
        match &member.standing {
            Standing::Serving => format!("server {address} max_fails=1 fail_timeout=5s; # {name}"),
            Standing::Draining => format!("server {address} down; # {name} is draining"),
            Standing::LeftOut(reason) => format!("# server {address}; # {name} is left out: {reason}"),
        }
    };
    let mut lines: Vec<String> = cluster.members().iter().map(line).collect();
    let serving: Vec<&HostAndPort> = cluster.serving().filter_map(address).collect();
    if twice && serving.len() > 1 {
        lines.push(
            "# Nodes that are restarted one after the other have all just failed; without these, nginx would answer 502 by itself."
                .to_owned(),
        );
        lines.extend(serving.iter().map(|address| format!("server {address} backup max_fails=0;")));
    }
    lines.join("\n")
}

fn kept_connections(nodes: usize) -> usize {
    (nodes * KEPT_CONNECTIONS_PER_NODE).max(KEPT_CONNECTIONS_MIN)
}

fn networks(balancer: &BalancerArguments) -> String {
    balancer.trusted_proxies.iter().map(|network| format!("{network} 1;")).collect::<Vec<_>>().join("\n")
}

fn affinity_key(balancer: &BalancerArguments) -> &'static str {
    if !balancer.affinity || balancer.trusted_proxies.is_empty() {
        return "";
    }
    "\
# Whom a client's requests are kept together by: what the proxy in front says, which is the list's last entry.
map \"$typecase_behind_proxy:$http_x_forwarded_for\" $typecase_client {
    default $remote_addr;
    \"~^1:(?:.*,)?\\s*(?<typecase_hop>[^,\\s]+)\\s*$\" $typecase_hop;
}"
}

fn listen(balancer: &BalancerArguments, address: SocketAddr, is_default: bool) -> String {
    let mut listen = address.to_string();
    if balancer.tls_cert.is_some() {
        listen.push_str(" ssl http2");
    }
    // Once for each address: nginx takes these as the socket's, not the server's.
    if is_default {
        listen.push_str(" default_server backlog=4096");
        if address.ip().is_unspecified() && address.is_ipv6() {
            listen.push_str(" ipv6only=off");
        }
    }
    listen
}

fn server_names(balancer: &BalancerArguments) -> String {
    match balancer.server_name.as_slice() {
        [] => "_".to_owned(),
        names => names.join(" "),
    }
}

fn unnamed_server(balancer: &BalancerArguments) -> String {
    if balancer.server_name.is_empty() {
        return String::new();
    }
    let listen = listen(balancer, balancer.listen(), true);
    format!(
        "\
server {{
    listen {listen};
    server_name _;
    return 421 \"Nothing is served here under this name.\\n\";
}}"
    )
}

fn admin_upstream(balancer: &BalancerArguments, cluster: &Cluster) -> String {
    if balancer.admin.is_none() {
        return String::new();
    }
    let servers = servers(cluster, |member| member.admin.as_ref(), true).replace('\n', "\n    ");
    let keepalive = kept_connections(cluster.serving().count());
    format!(
        "\
upstream typecase_admin {{
    zone typecase_admin 1m;
    least_conn;
    {servers}
    keepalive {keepalive};
    keepalive_timeout 55s;
}}"
    )
}

fn admin_server(balancer: &BalancerArguments) -> String {
    let Some(address) = balancer.admin else { return String::new() };
    let listen = listen(balancer, address, true);
    format!(
        "\
# API, console, health and metrics of whichever node answers. Keep it from the public.
server {{
    listen {listen};
    server_name _;

    location / {{
        proxy_pass http://typecase_admin;
        # Bundles are checked as they come; and what has begun to leave is never sent twice.
        proxy_request_buffering off;
    }}
}}"
    )
}

/// Quoted in the configuration, where these characters mean themselves.
fn log_path(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    match (text == "off" || text.starts_with('/')) && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("use `off` or an absolute path of letters, digits and /._-".to_owned()),
    }
}
