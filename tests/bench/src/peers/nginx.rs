//! nginx with the files in a folder: the peer for static assets.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Peer;
use crate::options::Bench;
use crate::process::{Server, find, free_address};

pub const NAME: &str = "nginx";

/// Serves a folder; `probe` is a path in it that answers 200.
pub async fn start(bench: &Bench, folder: &Path, probe: &str) -> Result<Peer> {
    let program = find("nginx").context("nginx is not on the PATH (Debian: apt-get install nginx)")?;
    let address = free_address()?;
    let own = bench.data("nginx")?;
    let config = own.join("nginx.conf");
    let text = configuration(&address, folder, &own);
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let config = config.display().to_string();
    let own = own.display().to_string();
    let mut server = Server::start(bench, NAME, &program, &["-p", &own, "-c", &config, "-e", "error.log"])?;
    server.wait_for(&address, probe).await?;
    Ok(Peer { server, address })
}

/// As one would set it up for production: a worker per core, sendfile, an access log, connections that stay.
fn configuration(address: &str, folder: &Path, own: &Path) -> String {
    // Workers of a master that is root run as nobody, who cannot read the build folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let own = own.display();
    format!(
        "{user}
worker_processes auto;
daemon off;
pid {own}/nginx.pid;
error_log {own}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log {own}/access.log;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    server {{
        listen {address};
        root {root};
    }}
}}
",
        root = folder.display(),
    )
}
