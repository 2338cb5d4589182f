//! `typecase generate haproxy`

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use clap::Args;

use super::cluster::{Cluster, HostAndPort, Member, Standing};
use super::options::{BalancerArguments, as_list, origin_of_trust, summary, trusted_by_nodes, usage};
use super::template::fill;
use crate::cli::failure::Failure;

const TEMPLATE: &str = include_str!("haproxy.cfg");
const ADMIN_TEMPLATE: &str = include_str!("haproxy-admin.cfg");

/// Kept free in each buffer for the headers that are added; the template's tune.maxrewrite.
const REWRITE_BYTES: u32 = 4_096;

#[derive(Debug, Args)]
pub struct HaproxyArguments {
    #[command(flatten)]
    pub balancer: BalancerArguments,
}

pub fn render(
    arguments: &HaproxyArguments,
    cluster: &Cluster,
    sources: &[IpAddr],
) -> Result<String, Failure> {
    let balancer = &arguments.balancer;
    balancer.check()?;
    let trusted = trusted_by_nodes(sources, &balancer.trusted_proxies);
    let values = [
        ("balancer_setting", trusted.join(",")),
        ("balancer_addresses", as_list(&trusted)),
        ("balancer_origin", origin_of_trust("haproxy", sources)),
        ("summary", summary(cluster)),
        ("buffer_bytes", (balancer.header_kb_max * 1_024 + REWRITE_BYTES).to_string()),
        ("tls", tls(balancer)?),
        ("timeout_s", balancer.timeout_s.to_string()),
        ("bind", bind(balancer, balancer.listen())),
        ("server_names", server_names(balancer)),
        ("proxies", proxies(balancer)),
        ("client", client(balancer)),
        ("forwarding", forwarding(balancer)),
        ("balance", balance(balancer).to_owned()),
        ("servers", servers(cluster, |member| member.apps.as_ref())),
        ("admin", admin(balancer, cluster)),
    ];
    Ok(fill(TEMPLATE, &values))
}

fn tls(balancer: &BalancerArguments) -> Result<String, Failure> {
    let Some(cert) = &balancer.tls_cert else { return Ok(String::new()) };
    let mut lines = "ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets".to_owned();
    match &balancer.tls_key {
        Some(key) if key == cert => {}
        Some(key) if *key == with_suffix(cert, ".key") => {}
        Some(key) if cert.extension().is_some_and(|is| is == "crt") && *key == cert.with_extension("key") => {
            lines.push_str(
                "\n# The key lies beside the certificate: NAME.crt and NAME.key.\nssl-load-extra-del-ext",
            );
        }
        Some(_) => {
            return Err(usage(format!(
                "haproxy reads a key from the certificate's own file, or from {} beside it: put it there and leave --tls-key out",
                with_suffix(cert, ".key").display()
            )));
        }
        None => {}
    }
    Ok(lines)
}

fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn bind(balancer: &BalancerArguments, address: SocketAddr) -> String {
    let mut bind = address.to_string();
    if address.ip().is_unspecified() && address.is_ipv6() {
        bind.push_str(" v4v6");
    }
    if let Some(cert) = &balancer.tls_cert {
        bind.push_str(&format!(" ssl crt \"{}\" alpn h2,http/1.1", cert.display()));
    }
    bind
}

fn server_names(balancer: &BalancerArguments) -> String {
    if balancer.server_name.is_empty() {
        return String::new();
    }
    let rules: Vec<String> = balancer
        .server_name
        .iter()
        .map(|name| match name.strip_prefix('*') {
            Some(end) => format!("acl typecase_name req.hdr(host),host_only -i -m end {end}"),
            None => format!("acl typecase_name req.hdr(host),host_only -i -m str {name}"),
        })
        .collect();
    let refusal = "http-request return status 421 content-type text/plain string \"Nothing is served here under this name.\\n\" unless typecase_name";
    format!("{}\n{refusal}", rules.join("\n"))
}

/// Whom a client's requests are kept together by; read before anything is added to the header.
fn client(balancer: &BalancerArguments) -> String {
    if !balancer.affinity || balancer.trusted_proxies.is_empty() {
        return String::new();
    }
    "\
http-request set-var(txn.typecase_client) src
http-request set-var(txn.typecase_client) req.hdr_ip(x-forwarded-for,-1) if typecase_behind_proxy { req.hdr(x-forwarded-for) -m found }"
        .to_owned()
}

fn balance(balancer: &BalancerArguments) -> &'static str {
    match (balancer.affinity, balancer.trusted_proxies.is_empty()) {
        (false, _) => "# A node that answers slowly, or not at all, gets fewer requests.\nbalance leastconn",
        (true, true) => "balance source\nhash-type consistent",
        (true, false) => "balance hash var(txn.typecase_client)\nhash-type consistent",
    }
}

/// Both front ends say the same to the nodes about the client.
fn forwarding(balancer: &BalancerArguments) -> String {
    let own = [
        ("X-Forwarded-For", "%[src]"),
        ("X-Forwarded-Proto", "%[ssl_fc,iif(https,http)]"),
        ("X-Forwarded-Host", "%[req.hdr(Host)]"),
        ("X-Forwarded-Port", "%[dst_port]"),
    ];
    if balancer.trusted_proxies.is_empty() {
        return own.map(|(name, value)| format!("http-request set-header {name} {value}")).join("\n");
    }
    own.map(|(name, value)| match name {
        "X-Forwarded-For" => format!(
            "http-request set-header {name} {value} unless typecase_behind_proxy\n\
             http-request add-header {name} {value} if typecase_behind_proxy"
        ),
        _ => format!(
            "http-request set-header {name} {value} unless typecase_behind_proxy {{ req.hdr({name}) -m found }}"
        ),
    })
    .join("\n")
}

fn proxies(balancer: &BalancerArguments) -> String {
    balancer
        .trusted_proxies
        .iter()
        .map(|network| format!("acl typecase_behind_proxy src {network}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn servers(cluster: &Cluster, address: impl Fn(&Member) -> Option<&HostAndPort>) -> String {
    let line = |member: &Member| {
        let name = &member.name;
        let Some(address) = address(member) else { return format!("# {name} is left out") };
        match &member.standing {
            Standing::Serving => format!("server {name} {address} tcp-ut 3s"),
            Standing::Draining => format!("server {name} {address} tcp-ut 3s disabled # it is draining"),
            Standing::LeftOut(reason) => format!("# server {name} {address} is left out: {reason}"),
        }
    };
    cluster.members().iter().map(line).collect::<Vec<_>>().join("\n")
}

fn admin(balancer: &BalancerArguments, cluster: &Cluster) -> String {
    let Some(address) = balancer.admin else { return String::new() };
    let values = [
        ("bind", bind(balancer, address)),
        ("proxies", proxies(balancer)),
        ("forwarding", forwarding(balancer)),
        ("servers", servers(cluster, |member| member.admin.as_ref())),
    ];
    fill(ADMIN_TEMPLATE, &values)
}
