//! The compiler, a process of its own: it ends when nobody wants its code any more.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use typecase_harness::{TestNode, eventually, files, guests};

use crate::bystander::{self, Bystander};

/// A component whose code takes long enough to be met while it is made.
fn slow_to_compile() -> Vec<u8> {
    computing(2_000, 200)
}

/// One whose functions are few and large: the compiler holds all that it knows of a function in memory at once.
fn large_to_compile() -> Vec<u8> {
    computing(4, 50_000)
}

fn computing(functions: usize, steps: usize) -> Vec<u8> {
    let sum = "local.get 0 i32.const 7 i32.mul local.get 0 i32.xor local.set 0 ".repeat(steps);
    let functions = format!("(func (param i32) (result i32) {sum} local.get 0)").repeat(functions);
    let text = format!(
        "(component (core module {functions}) (instance $i) (export \"wasi:http/incoming-handler@0.2.0\" (instance $i)))"
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_rollout_that_is_given_up_ends_its_compiler() {
    // In the time that it has, this compiler never comes to an end by itself.
    let node = TestNode::builder().config("limits", "compile_timeout_ms", 3_600_000).start().await;
    let begun = node.api().publish("slow", slow_to_compile(), "?wait=0").await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let compiler = eventually("a compiler", async || compiler_of(&node)).await;
    kill_process(compiler, Signal::STOP).unwrap();
    node.api().post("/api/v1/apps/slow/withdraw", &json!({})).await.expect(200);
    eventually("the end of the compiler", async || (!is_running(compiler)).then_some(())).await;
    let cache = node.data().join("cache");
    eventually("nothing left of it", async || files::ending(&cache, ".unsealed").is_empty().then_some(()))
        .await;
}

/// A component that costs its publisher nothing and the compiler a lot: the operator's bounds hold, and nobody else
/// waits or is slowed down.
#[tokio::test]
async fn a_compiler_that_needs_too_much_is_stopped() {
    for (key, most, component, told) in [
        ("compile_timeout_ms", 1_000, slow_to_compile(), "compiling took longer than 1000 ms"),
        ("compile_memory_mb", 256, large_to_compile(), "it may use at most 256 MiB"),
    ] {
        // What is to serve meanwhile is compiled without such bounds: they are tight for a busy machine.
        let mut before = TestNode::start().await;
        bystander::publish(&before).await;
        before.publish_wasm("slow", guests::hello_saying(1)).await;
        before.terminate().await;
        let node = TestNode::builder().config("limits", key, most).data(&before.data()).start().await;
        let bystander = Bystander::on(&node).await;
        let began = node.api().publish("slow", component, "?wait=0").await;
        assert_eq!(began.status, 202, "{key}: {began:?}");
        let compiler = eventually("a compiler that lets requests go first", async || {
            compiler_of(&node).filter(|compiler| niceness(*compiler) > 0)
        })
        .await;
        let failed = eventually("the end of the rollout", async || {
            let newest = node.api().releases("slow").await.remove(0);
            (newest["state"] == "failed").then_some(newest)
        })
        .await;
        assert!(failed["failure"].as_str().unwrap().contains(told), "{key}: {failed}");
        eventually("the end of the compiler", async || (!is_running(compiler)).then_some(())).await;
        assert_eq!(node.get("/slow/").await.expect(200).text(), "release 00001\n");
        bystander.went_on().await;
    }
}

/// What the kernel calls nice; 0 for a process that is gone.
fn niceness(process: Pid) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
    fields.split(' ').nth(16).and_then(|nice| nice.parse().ok()).unwrap_or_default()
}

fn compiler_of(node: &TestNode) -> Option<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", node.process_id())).ok()?;
    let children =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children = children.collect::<Vec<_>>().join(" ");
    let mut children = children.split_whitespace().filter_map(|id| id.parse::<i32>().ok());
    let is_compiler = |id: &i32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("compile-component")
    };
    children.find(is_compiler).and_then(Pid::from_raw)
}

/// One that nobody has waited for yet does not run either.
fn is_running(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
