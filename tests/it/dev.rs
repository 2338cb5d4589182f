//! `typecase dev`: the real program over a project in a temporary folder. Its build command copies a component that was
//! built before, so that a build takes as long as `cp`.

mod loop_guard;
mod output;
mod proxy;
mod run;

use std::fs;

use rustix::process::Signal;
use typecase_harness::bundles::Bundle;
use typecase_harness::{TestNode, eventually, guests};

use run::Project;

#[tokio::test]
async fn a_first_build_that_fails_is_the_end() {
    let project = Project::saying(1);
    project.write("src/version", "broken");
    let output = project.run_to_end([]).await.expect(1);
    assert!(output.stderr.contains("cannot find value `x`"), "{output:?}");
    assert!(output.stderr.contains("error: the build failed"), "{output:?}");
    assert_eq!(output.stdout.lines().count(), 1, "quiet when piped: {output:?}");

    let output = project.run_to_end(["--json"]).await.expect(1);
    let last: serde_json::Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["error"]["code"]), (&"ended".into(), &"build-failed".into()));
}

#[tokio::test]
async fn edits_are_served_and_a_broken_one_is_not() {
    let mut dev = Project::saying(1).start().await;
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00001\n");

    dev.write("src/version", "2");
    assert_eq!(dev.event("changed").await["paths"][0], "src/version");
    let serving = dev.event("serving").await;
    assert!(serving["build_ms"].is_number() && serving["swap_ms"].is_number(), "{serving}");
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00002\n");
    let mark = dev.state().await["serving"].clone();

    dev.write("src/version", "broken");
    let failed = dev.event("failed").await;
    assert_eq!((&failed["error"]["code"], &failed["serving"]), (&"build-failed".into(), &serving["release"]));
    assert_eq!(failed["output"], "error[E0425]: cannot find value `x`\n", "without escapes: {failed}");
    // The old release serves on, and says so to programs and to people.
    let answer = dev.get("/shop/api").await.expect(200);
    assert_eq!(answer.text(), "release 00002\n");
    assert!(answer.header("x-typecase-dev").contains("still serves"), "{answer:?}");
    let state = dev.state().await;
    assert_eq!(state["serving"], mark);
    assert_eq!(state["trouble"]["text"][0], serde_json::json!(["bold red", "error[E0425]"]));

    // What needs no build waits for one nevertheless: half of a change is none.
    dev.write("static/index.html", "<h1>new</h1>");
    dev.event("waiting").await;
    assert_eq!(dev.get("/shop/").await.text(), "<h1>old</h1>");

    dev.write("src/version", "3");
    dev.event("serving").await;
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00003\n");
    assert_eq!(dev.get("/shop/").await.text(), "<h1>new</h1>");
    let state = dev.state().await;
    assert!(state["trouble"].is_null() && state["serving"] != mark, "{state}");
    assert_eq!(dev.get("/shop/api").await.header("x-typecase-dev"), "");
    dev.end().await;
}

#[tokio::test]
async fn assets_are_served_without_a_build() {
    let mut dev = Project::saying(1).start().await;
    let before = dev.state().await["serving"].clone();
    dev.write("static/style.css", "h1 { color: red }");
    let serving = dev.event("serving").await;
    assert!(serving["build_ms"].is_null(), "{serving}");
    assert_eq!(serving["paths"][0], "static/style.css");
    assert_eq!(dev.get("/shop/style.css").await.expect(200).text(), "h1 { color: red }");
    // A page needs nothing but the new style sheet.
    assert_eq!(dev.state().await["stylesSince"], before);

    dev.write("static/index.html", "<h1>new</h1>");
    dev.event("serving").await;
    assert_eq!(dev.get("/shop/").await.text(), "<h1>new</h1>");
    assert!(dev.state().await["stylesSince"].is_null());

    // Editors that replace files, and saving without a change.
    fs::write(dev.path("static/.index.html.tmp"), "<h1>newer</h1>").unwrap();
    fs::rename(dev.path("static/.index.html.tmp"), dev.path("static/index.html")).unwrap();
    dev.event("serving").await;
    assert_eq!(dev.get("/shop/").await.text(), "<h1>newer</h1>");
    dev.write("static/index.html", "<h1>newer</h1>");
    dev.write("static/last", "");
    assert_eq!(dev.event("serving").await["paths"], serde_json::json!(["static/last"]));
    dev.end().await;
}

#[tokio::test]
async fn a_manifest_is_followed_and_its_errors_are_shown() {
    let mut dev = Project::saying(1).start().await;
    let manifest = fs::read_to_string(dev.path("typecase.toml")).unwrap();
    dev.write("typecase.toml", &manifest.replace("health", "helth"));
    let failed = dev.event("failed").await;
    assert!(failed["error"]["detail"].as_str().unwrap().contains("helth"), "{failed}");
    assert!(dev.state().await["trouble"]["title"].as_str().unwrap().contains("manifest"));
    dev.get("/shop/api").await.expect(200);

    // Another name is another app: the old one is gone, its pages are not.
    let renamed = manifest.replace("\"shop\"", "\"stall\"").replace("static", "public");
    fs::rename(dev.path("static"), dev.path("public")).unwrap();
    dev.write("typecase.toml", &renamed);
    dev.event("serving").await;
    assert_eq!(dev.get("/stall/api").await.expect(200).text(), "release 00001\n");
    assert_eq!(dev.get("/").await.expect(307).header("location"), "/stall/");
    dev.get("/shop/api").await.expect(404);
    dev.write("public/index.html", "<h1>public</h1>");
    dev.event("serving").await;
    assert_eq!(dev.get("/stall/").await.text(), "<h1>public</h1>");
    dev.end().await;
}

#[tokio::test]
async fn what_the_server_refuses_is_said_and_mended() {
    let mut dev = Project::saying(1).start().await;
    // A component that answers its health check with 500.
    fs::copy(guests::component_path(&guests::guest("unhealthy")), dev.path("6.wasm")).unwrap();
    dev.write("src/version", "6");
    let failed = dev.event("failed").await;
    assert_eq!(failed["error"]["code"], "release-failed", "{failed}");
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00001\n");
    dev.write("src/version", "2");
    dev.event("serving").await;
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00002\n");
    dev.end().await;
}

#[tokio::test]
async fn what_production_refuses_is_refused_here() {
    let node = TestNode::start().await;
    let mut dev = Project::saying(1).start().await;
    let manifest = fs::read_to_string(dev.path("typecase.toml")).unwrap();
    for lines in [
        "[grants]\noutbound_hosts = [\"https://api.example\"]",
        "[grants]\nsql = [\"main\"]",
        "[access]\ndefault = \"signed-in\"",
        "[limits]\nmemory_mb = 4096",
        "[limits]\nreuse = 1000000",
        "[config]\nkey = { required = true }",
    ] {
        let bundle = Bundle::of("shop").component(guests::hello()).manifest(lines);
        let refused = node.api().publish("shop", bundle.zip(), "").await;
        assert!((400..500).contains(&refused.status), "{lines}: {refused:?}");
        dev.write("typecase.toml", &format!("{manifest}\n{lines}\n"));
        let failed = dev.event("failed").await;
        assert_eq!(failed["error"]["code"], refused.json()["code"], "{lines}: {failed}");
        assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00001\n");
    }
    dev.write("typecase.toml", &manifest);
    dev.end().await;
}

#[tokio::test]
async fn an_app_may_do_here_what_it_may_do_in_production() {
    let hostile = guests::guest("hostile");
    let node = TestNode::start().await;
    node.publish_wasm("shop", guests::component(&hostile)).await;
    let dev = Project::of(&guests::component_path(&hostile), "").start().await;
    for path in ["outbound?url=http://127.0.0.1:1/", "env", "headers", "leak", "recurse"] {
        let (there, here) =
            (node.get(&format!("/shop/{path}")).await, dev.get(&format!("/shop/{path}")).await);
        assert_eq!(here.status, there.status, "{path}: {here:?} {there:?}");
        if there.status == 200 {
            assert_eq!(here.text(), there.text(), "{path}");
        }
    }
    dev.end().await;
}

#[tokio::test]
async fn a_node_that_dies_is_started_again() {
    let mut dev = Project::saying(1).start().await;
    dev.write("src/version", "2");
    dev.event("serving").await;
    let node = dev.node();
    rustix::process::kill_process(node, Signal::KILL).unwrap();
    dev.event("node-ended").await;
    dev.event("node-started").await;
    assert_ne!(dev.node(), node);
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00002\n");
    dev.write("src/version", "3");
    dev.event("serving").await;
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00003\n");
    dev.end().await;
}

#[tokio::test]
async fn nothing_is_left_behind() {
    // In the middle of a build.
    for (signal, code) in [(Signal::INT, Some(0)), (Signal::HUP, Some(0)), (Signal::KILL, None)] {
        let mut dev = Project::saying(1).start().await;
        dev.write("src/version", "slow");
        dev.event("changed").await;
        eventually("a build that runs", async || dev.process_named("sleep")).await;
        let started = dev.processes();
        assert!(started.len() >= 3, "the node, its compiler, the build");
        let status = dev.end_with(signal).await;
        assert_eq!(status.code(), code, "{signal:?}");
        for process in started {
            eventually("the end of what was started", async || (!is_running(process)).then_some(())).await;
        }
    }
}

/// One that nobody has waited for yet does not run either.
fn is_running(process: rustix::process::Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn what_was_configured_stays() {
    let config = guests::component_path(&guests::example("config"));
    let project = Project::of(&config, "[config]\ngreeting = { required = true }\n");
    let output = project.run_to_end([]).await.expect(1);
    assert!(
        output.stderr.contains("greeting") && output.stderr.contains("--config NAME=VALUE"),
        "{output:?}"
    );
    let dev = project.start_with(["--config", "greeting=Good day"]).await;
    assert_eq!(dev.get("/shop/").await.expect(200).text(), "Good day!\n");
    let project = dev.end().await;
    let dev = project.start_with([]).await;
    assert_eq!(dev.get("/shop/").await.expect(200).text(), "Good day!\n");

    // Another one in the same folder would use the same data.
    let output = dev.project().run_to_end([]).await.expect(1);
    assert!(output.stderr.contains("runs in this project already"), "{output:?}");
    let ignored = fs::read_to_string(dev.path(".typecase/.gitignore")).unwrap();
    assert_eq!(ignored, "*\n");
    dev.end().await;
}

#[tokio::test]
async fn what_the_app_writes_is_shown_with_its_request() {
    let hostile = guests::component_path(&guests::guest("hostile"));
    let mut dev = Project::of(&hostile, "").start().await;
    let answer = dev.get("/shop/stderr-line?7").await.expect(200);
    let entry = dev.event("log").await["entry"].clone();
    assert_eq!((&entry["message"], &entry["source"]), (&"marker-7".into(), &"stderr".into()));
    assert_eq!(entry["request.id"], answer.header("x-request-id"));

    // The page that says that the request failed gets to know why.
    let page = dev.page("/shop/panic").await.expect(502);
    let id = page.header("x-request-id").to_owned();
    assert!(page.text().contains(&format!("&amp;request={id}")), "{page:?}");
    let crash = eventually("why the request failed", async || {
        let state = dev.state_for(&id).await;
        (!state["crash"].is_null()).then_some(state["crash"].clone())
    })
    .await;
    assert!(crash["text"].to_string().contains("a guest panics on purpose"), "{crash}");
    assert!(dev.state().await["crash"].is_null());
    dev.end().await;
}
