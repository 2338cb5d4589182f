//! `typecase generate`: configurations of load balancers, made from the live cluster.
//!
//! Each is a whole file with its reasons in it, because it is read by whoever is called when something fails. The
//! same cluster and arguments always give the same text, so that a job may compare and reload only what changed.

mod cluster;
mod haproxy;
mod nginx;
mod options;
pub(super) mod output;
mod template;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};
use serde_json::json;

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::{rollout, text};
use cluster::Cluster;
use options::BalancerArguments;

#[derive(Debug, Args)]
pub struct GenerateArguments {
    #[command(subcommand)]
    program: Program,
}

#[derive(Debug, Subcommand)]
enum Program {
    /// A configuration of nginx.
    Nginx(nginx::NginxArguments),
    /// A configuration of haproxy.
    Haproxy(haproxy::HaproxyArguments),
}

impl Program {
    fn name(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "nginx",
            Self::Haproxy(_) => "haproxy",
        }
    }

    fn balancer(&self) -> &BalancerArguments {
        match self {
            Self::Nginx(arguments) => &arguments.balancer,
            Self::Haproxy(arguments) => &arguments.balancer,
        }
    }

    /// What makes a running balancer take the file.
    fn next_step(&self, file: &str) -> String {
        match self {
            Self::Nginx(_) => format!("nginx -t -c {file} && nginx -s reload"),
            Self::Haproxy(_) => format!("haproxy -c -f {file} && systemctl reload haproxy"),
        }
    }
}

pub async fn run(client: &Client, arguments: GenerateArguments) -> Result<Answer, Failure> {
    let program = arguments.program;
    let balancer = program.balancer();
    let document = client.get("/api/v1/nodes").await?;
    let cluster = Cluster::judge(rollout::parse(&document)?, balancer.admin.is_some())?;
    let sources = cluster.addresses_of_this_machine().await;
    let config = match &program {
        Program::Nginx(arguments) => nginx::render(arguments, &cluster, &sources)?,
        Program::Haproxy(arguments) => haproxy::render(arguments, &cluster, &sources)?,
    };
    let mut document = json!({ "program": program.name(), "nodes": cluster.document() });
    let Some(file) = &balancer.output else {
        document["configuration"] = config.as_str().into();
        return Ok(Answer::done(document, config.trim_end().to_owned()));
    };
    let changed = output::replace(file, &config)?;
    let shown = file.display().to_string();
    document["file"] = shown.as_str().into();
    document["changed"] = changed.into();
    let nodes = text::count(cluster.serving().count(), "node");
    let text = match changed {
        true => format!("wrote {shown} for {nodes}: next, {}", program.next_step(&shown)),
        false => format!("{shown} is as it should be for {nodes}: nothing changed"),
    };
    Ok(Answer::done(document, text))
}
