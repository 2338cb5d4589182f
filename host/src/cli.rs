//! The command line: one file a command, each turning arguments into an `Answer` that is printed here.

mod answer;
mod apps;
mod build;
mod bundle_source;
mod check;
mod client;
mod compile_component;
mod completion;
mod config;
mod credentials;
mod dev;
mod doctor;
mod elapsed;
mod failure;
mod generate;
mod local_bundle;
mod logs;
mod new;
mod node;
mod nodes;
mod progress;
mod project;
mod publish;
mod receipts;
mod releases;
mod report;
mod rollback;
mod rollout;
mod schema;
mod server;
mod settings;
mod text;
mod token;
mod usage;
mod withdraw;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use answer::Answer;
use client::Client;
use failure::{Exit, Failure};

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 server unreachable, 4 not allowed, 5 not converged.
On a node's own machine, as the node's user, no token is needed: the data folder's `cli-token` is used.";

/// Typecase: an application server for WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "typecase", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
struct GlobalArguments {
    /// Any node's admin address.
    #[arg(
        long,
        global = true,
        env = "TYPECASE_SERVER",
        value_name = "URL",
        default_value = server::USUAL_SERVER
    )]
    server: String,
    /// API token; TYPECASE_TOKEN_FILE names a file with one.
    #[arg(long, global = true, env = "TYPECASE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A node's data folder.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Node(node::NodeArguments),
    /// Make a new project from a template.
    New(new::NewArguments),
    /// Build a project, check the result as a server would, and write its bundle.
    Build(build::BuildArguments),
    /// Build an app and serve it, again after each change.
    Dev(dev::DevArguments),
    /// Say what a publish would come to, without publishing.
    Check(check::CheckArguments),
    /// Print the JSON Schema of typecase.toml, for editors.
    Schema(schema::SchemaArguments),
    /// Publish an app: a project folder, a bundle (.zip) or a bare component (.wasm).
    Publish(publish::PublishArguments),
    /// List the published apps.
    Apps,
    /// List an app's releases.
    Releases(releases::ReleasesArguments),
    /// Make an older release serve again.
    Rollback(rollback::RollbackArguments),
    /// Stop serving an app; its releases are kept.
    Withdraw(withdraw::WithdrawArguments),
    /// Show what an app wrote and why its calls failed, on all nodes.
    Logs(logs::LogsArguments),
    /// Look at an app's config, set values and secrets, take them out.
    Config(config::ConfigArguments),
    /// List the nodes; drain and resume one.
    Nodes(nodes::NodesArguments),
    /// Look at the cluster's settings, change them, roll them back.
    Settings(settings::SettingsArguments),
    /// Make a load balancer's configuration from the live cluster.
    Generate(generate::GenerateArguments),
    /// Manage API tokens.
    Token(token::TokenArguments),
    /// Print the completion script of a shell.
    Completion(completion::CompletionArguments),
    /// Check this machine and the server.
    Doctor(doctor::DoctorArguments),
    /// Compile one component: what a node starts for each release it prepares.
    #[command(name = "compile-component", hide = true)]
    CompileComponent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Parses the arguments, runs one command and prints its answer.
pub fn run() -> ExitCode {
    completion::answer_shell();
    let Arguments { global, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::refuse(error),
    };
    let result = match command {
        Command::CompileComponent { arguments } => return compile_component::run(arguments),
        Command::Node(arguments) => return node::run(&global, arguments),
        Command::Logs(arguments) => return logs::run(&global, arguments),
        Command::Dev(arguments) => return dev::run(&global, arguments),
        Command::Doctor(arguments) => doctor::run(&global, &arguments),
        Command::Build(arguments) => wait_for(build::run(arguments)),
        Command::Check(arguments) => wait_for(check::run(&global, arguments)),
        Command::Schema(arguments) => schema::run(arguments),
        Command::New(arguments) => new::run(arguments),
        Command::Completion(arguments) => completion::run(&arguments),
        other => talk_to_server(&global, other),
    };
    answer::print(result, global.json)
}

fn talk_to_server(global: &GlobalArguments, command: Command) -> Result<Answer, Failure> {
    let client = Client::new(global)?;
    wait_for(async {
        match command {
            Command::Publish(arguments) => publish::run(&client, arguments).await,
            Command::Apps => apps::run(&client).await,
            Command::Releases(arguments) => releases::run(&client, arguments).await,
            Command::Rollback(arguments) => rollback::run(&client, arguments).await,
            Command::Withdraw(arguments) => withdraw::run(&client, arguments).await,
            Command::Config(arguments) => config::run(&client, arguments).await,
            Command::Nodes(arguments) => nodes::run(&client, arguments).await,
            Command::Settings(arguments) => settings::run(&client, arguments).await,
            Command::Generate(arguments) => generate::run(&client, arguments).await,
            Command::Token(arguments) => token::run(&client, arguments).await,
            Command::Node(_)
            | Command::Dev(_)
            | Command::Logs(_)
            | Command::Doctor(_)
            | Command::Build(_)
            | Command::Check(_)
            | Command::Schema(_)
            | Command::New(_)
            | Command::Completion(_)
            | Command::CompileComponent { .. } => Err(Failure::local(
                Exit::Usage,
                "wrong-command",
                "this command does not talk to a server".to_owned(),
            )),
        }
    })
}

fn wait_for(command: impl Future<Output = Result<Answer, Failure>>) -> Result<Answer, Failure> {
    // One thread is enough for one request, and starts faster than a pool.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(Exit::Failed, "no-runtime", format!("cannot start: {error}")))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
