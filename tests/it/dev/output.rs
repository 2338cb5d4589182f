//! What the author reads, word for word; times and ports as N.

use std::fs::{self, File};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use typecase_harness::eventually;

use super::run::Project;

const EXPECTED: &str = "\
N:N:N  building: case $(cat src/version) in
N:N:N  built N.N s
N:N:N  release N serves after N ms

  shop  http://N.N.N.N:N/shop/
  Ctrl-C ends it

N:N:N  changed src/version
N:N:N  built N.N s · release N serves after N ms
N:N:N  changed src/version
error[EN]: cannot find value `x`
N:N:N  the build failed · release N still serves
N:N:N  changed static/index.html · waits for a build that succeeds; release N still serves
N:N:N  changed src/version
N:N:N  built N.N s · release N serves after N ms
N:N:N  changed static/style.css · release N serves after N ms
N:N:N  changed typecase.toml
N:N:N  PROBLEM
N:N:N  release N still serves
";

#[tokio::test]
async fn a_line_for_each_event() {
    let project = Project::saying(1);
    let said = project.path(".said");
    let mut child =
        project.command(&[]).stdout(File::create(&said).unwrap()).stderr(Stdio::null()).spawn().unwrap();
    let lines = |count: usize| {
        let said = said.clone();
        async move {
            eventually(&format!("{count} lines"), async || {
                let text = fs::read_to_string(&said).unwrap();
                (text.lines().count() >= count).then_some(())
            })
            .await;
        }
    };
    lines(7).await;
    project.write("src/version", "2");
    lines(9).await;
    project.write("src/version", "broken");
    lines(12).await;
    project.write("static/index.html", "<h1>new</h1>");
    lines(13).await;
    project.write("src/version", "3");
    lines(15).await;
    project.write("static/style.css", "h1 { color: red }");
    lines(16).await;
    let manifest = fs::read_to_string(project.path("typecase.toml")).unwrap();
    project.write("typecase.toml", &manifest.replace("health", "helth"));
    lines(19).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    eventually("the end", async || child.try_wait().unwrap()).await;

    let text = fs::read_to_string(&said).unwrap();
    let (before, problem) = text.split_once("changed typecase.toml\n").unwrap();
    assert!(problem.contains("helth"), "{problem}");
    let last = problem.lines().last().unwrap();
    let shown = format!("{before}changed typecase.toml\n00:00:00  PROBLEM\n{last}\n");
    assert_eq!(numbered(&shown), EXPECTED);
}

/// Every number as N.
fn numbered(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        match character.is_ascii_digit() {
            true if shown.ends_with('N') => {}
            true => shown.push('N'),
            false => shown.push(character),
        }
    }
    shown
}
