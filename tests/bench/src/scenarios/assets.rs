//! Static files of a release, against nginx with the same files in a folder.

use std::fs;

use anyhow::{Context, Result};

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::peers::nginx;
use crate::report::{Bar, Report};

const CONNECTIONS: u32 = 32;
const SMALL: &str = "Typecase, asset of 1 KiB";
const LARGE: &str = "Typecase, asset of 1 MiB";
const SMALL_FILE: &str = "small.bin";
const LARGE_FILE: &str = "large.bin";

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let small = noise(1024);
    let large = noise(1024 * 1024);
    let folder = bench.data("files")?;
    for (name, content) in [(SMALL_FILE, &small), (LARGE_FILE, &large)] {
        fs::write(folder.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    let mut node = Node::start(bench, "assets").await?;
    let bundle = Contents {
        name: "files",
        component: &component,
        assets: &[(SMALL_FILE, &small), (LARGE_FILE, &large)],
        ..Contents::default()
    };
    node.admin.publish("files", bundle.zip()?).await?;
    let nginx = report.peer(nginx::NAME, nginx::start(bench, &folder, &format!("/{SMALL_FILE}")).await);

    for (name, file) in [(SMALL, SMALL_FILE), (LARGE, LARGE_FILE)] {
        let mut contenders = vec![Contender {
            name,
            server: &node.server,
            target: node.target(&format!("/files/{file}"), CONNECTIONS),
        }];
        if let Some(peer) = &nginx {
            contenders.push(Contender {
                name: nginx::NAME,
                server: &peer.server,
                target: peer.target(&format!("/{file}"), CONNECTIONS),
            });
        }
        let standings = contest::run(bench, &contenders).await?;
        report.contest(&standings);
        report.ratio(&standings, name, nginx::NAME, Bar::AtLeast(0.5));
    }
    node.server.stop().await
}

/// Bytes that do not compress, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 0x9E37_79B9;
    let step = |_| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[3]
    };
    (0..length).map(step).collect()
}
