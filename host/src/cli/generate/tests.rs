use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::cli::failure::Exit;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    generate: GenerateArguments,
}

fn node(name: &str, apps: &str, health: &str) -> Value {
    json!({ "id": format!("id-{name}"), "name": name, "admin": "10.0.0.9:22345", "apps": apps, "version": "1", "health": health })
}

fn judge(nodes: &[Value]) -> Result<Cluster, Failure> {
    Cluster::judge(serde_json::from_value(json!({ "nodes": nodes })).unwrap(), false)
}

/// What a command line prints for these nodes.
fn generated(nodes: &[Value], command_line: &str) -> Result<String, Failure> {
    let words = std::iter::once("generate").chain(command_line.split_whitespace());
    let program = CommandLine::try_parse_from(words).unwrap().generate.program;
    let cluster = judge(nodes)?;
    let sources = ["10.0.0.5".parse().unwrap()];
    match &program {
        Program::Nginx(arguments) => nginx::render(arguments, &cluster, &sources),
        Program::Haproxy(arguments) => haproxy::render(arguments, &cluster, &sources),
    }
}

fn three() -> Vec<Value> {
    vec![
        node("one", "10.0.0.1:8100", "live"),
        node("two", "two.internal:8100", "lost"),
        node("three", "[fd00::3]:8100", "draining"),
    ]
}

/// Lines without their comments and indentation, as the program reads them.
fn statements(config: &str) -> Vec<&str> {
    config
        .lines()
        .map(|line| line.split(" # ").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn only_nodes_that_serve_get_requests() {
    let nginx = generated(&three(), "nginx").unwrap();
    let servers: Vec<&str> =
        statements(&nginx).into_iter().filter(|line| line.starts_with("server ")).collect();
    assert_eq!(
        servers,
        ["server 10.0.0.1:8100 max_fails=1 fail_timeout=5s;", "server [fd00::3]:8100 down;", "server {"]
    );
    let haproxy = generated(&three(), "haproxy").unwrap();
    let servers: Vec<&str> =
        statements(&haproxy).into_iter().filter(|line| line.starts_with("server ")).collect();
    assert_eq!(
        servers,
        ["server one 10.0.0.1:8100 tcp-ut 3s", "server three [fd00::3]:8100 tcp-ut 3s disabled"]
    );
    for config in [nginx, haproxy] {
        assert!(
            config.contains(
                "#     two at two.internal:8100: left out: it is lost: no heartbeat comes from it\n"
            )
        );
        assert!(config.contains("#     trusted_proxies = [\"10.0.0.5\"]\n"));
    }
}

/// nginx answers 502 by itself while it leaves all nodes alone; what it has in reserve it never leaves alone.
#[test]
fn nginx_always_has_a_node_to_try() {
    let nodes = [node("one", "10.0.0.1:8100", "live"), node("two", "10.0.0.2:8100", "live")];
    let reserve = |choice: &str| -> Vec<String> {
        let config = generated(&nodes, &format!("nginx {choice}")).unwrap();
        statements(&config).into_iter().filter(|line| line.contains("backup")).map(str::to_owned).collect()
    };
    let expected = ["server 10.0.0.1:8100 backup max_fails=0;", "server 10.0.0.2:8100 backup max_fails=0;"];
    assert_eq!(reserve(""), expected);
    // Clients that are kept together cannot be sent to a reserve.
    assert_eq!(reserve("--affinity"), Vec::<String>::new());
}

/// The same cluster and arguments give the same text, and no place of a template stays empty.
#[test]
fn every_choice_is_filled_in() {
    let choices = [
        "",
        "--listen [::]:8080 --server-name apps.example.com,*.apps.example.com --affinity",
        "--tls-cert /etc/tls/apps.crt --tls-key /etc/tls/apps.key --admin=10.0.0.5:22345",
        "--trusted-proxies 10.1.0.0/16,192.0.2.1 --affinity --admin --timeout-s 45 --header-kb-max 128",
    ];
    for program in ["nginx", "haproxy"] {
        for choice in choices {
            let command_line = format!("{program} {choice}");
            let config = generated(&three(), &command_line).unwrap();
            assert!(!config.contains("{{") && !config.contains("}}\n"), "{command_line}:\n{config}");
            assert_eq!(config, generated(&three(), &command_line).unwrap());
            for line in config.lines() {
                assert!(line.chars().count() < 600 && line == line.trim_end(), "{command_line}: {line:?}");
            }
        }
    }
}

#[test]
fn what_nodes_announce_cannot_leave_its_place() {
    let names = ["x\nglobal\n  daemon", "x; } evil", "# \u{1b}[2J", "", "one", "one", "one-2"];
    let nodes: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(number, name)| node(name, &format!("10.0.0.{}:8100", number + 1), "live"))
        .collect();
    let cluster = judge(&nodes).unwrap();
    let words: Vec<&str> = cluster.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(words, ["unnamed", "____2J", "one", "one-2", "one-2-2", "x_global___daemon", "x____evil"]);

    for hostile in [
        "10.0.0.1:8100 backup",
        "10.0.0.1:8100;",
        "10.0.0.1:8100\nserver 6.6.6.6:80;",
        "unix:8100",
        "UNIX:1",
        "$host:80",
        "a b:80",
        "-a:80",
        "[::1:80",
        "[::1%eth0]:80",
        "::1:80",
        "host",
        "host:",
        "host:0",
        "host:+80",
        "host:65536",
        "host:080000",
        "",
    ] {
        let failure = judge(&[node("one", hostile, "live")]).unwrap_err();
        assert_eq!((failure.exit, failure.code()), (Exit::Failed, "nodes-unfit"), "{hostile:?}");
        assert!(!failure.text().contains(['\u{1b}', '\r']) && failure.text().lines().count() <= 2);
        // A node that is left out cannot hold up the others.
        let config =
            generated(&[node("one", hostile, "lost"), node("two", "10.0.0.2:1", "live")], "nginx").unwrap();
        assert!(config.contains("one at no address: left out: it is lost"), "{hostile:?}");
        assert!(!config.contains("6.6.6.6"));
    }
    let strange =
        generated(&[node("one", "10.0.0.1:1", "x;\ny"), node("two", "10.0.0.2:1", "live")], "nginx");
    assert!(strange.unwrap().contains("one at 10.0.0.1:1: left out: its health is x__y\n"));
}

#[test]
fn a_cluster_that_cannot_be_balanced_is_refused() {
    for (nodes, says) in [
        (vec![], "no node serves"),
        (vec![node("one", "10.0.0.1:1", "lost")], "no node serves"),
        (vec![node("one", "10.0.0.1:1", "live"), node("two", "10.0.0.1:1", "live")], "both announce"),
        (vec![node("one", "", "live")], "its version is 1"),
    ] {
        let text = judge(&nodes).unwrap_err().text();
        assert!(text.contains(says), "{text}");
    }
    // The one that came in the place of another.
    let replaced = [node("one", "10.0.0.1:1", "lost"), node("two", "10.0.0.1:1", "live")];
    assert_eq!(judge(&replaced).unwrap().serving().count(), 1);
}

#[test]
fn arguments_cannot_leave_their_place() {
    for wrong in [
        "nginx --server-name a;b",
        "nginx --server-name _",
        "nginx --server-name *",
        "nginx --tls-cert a\"b",
        "nginx --tls-cert /a/$b",
        "nginx --tls-key /a",
        "nginx --access-log relative",
        "nginx --access-log /a;b",
        "nginx --trusted-proxies 10.0.0.0/33",
        "nginx --listen localhost:80",
        "nginx --timeout-s 0",
        "haproxy --body-mb-max 1",
    ] {
        let words = std::iter::once("generate").chain(wrong.split_whitespace());
        assert!(CommandLine::try_parse_from(words).is_err(), "{wrong}");
    }
    for wrong in ["nginx --listen 0.0.0.0:22345 --admin", "haproxy --tls-cert /a/b.pem --tls-key /c/d.key"] {
        assert_eq!(generated(&three(), wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
    }
}

#[test]
fn a_file_is_replaced_only_when_it_says_something_else() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("a.conf"), folder.path().join("link"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(output::replace(&file, "one\n").unwrap());
    assert!(!output::replace(&link, "one\n").unwrap());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(output::replace(&link, "two\n").unwrap());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "two\n");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(link.is_symlink());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "nothing temporary is left: {left:?}");
    let failure = output::replace(&folder.path().join("none/a.conf"), "x").unwrap_err();
    assert!(failure.text().contains("cannot be written"), "{}", failure.text());
}
