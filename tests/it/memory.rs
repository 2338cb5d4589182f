//! A release that no longer serves gives everything back: memory, mapped code, open files, threads.

use std::fs;

use typecase_harness::{TestNode, guests};

/// Until pools and caches have their size.
const WARM_UP: u64 = 100;
const CHANGES: u64 = 300;
/// What an allocator may keep, and far less than what a leak of one release per change would be.
const GROWTH_KIB_MAX: u64 = 24 << 10;

#[derive(Debug)]
struct Held {
    anonymous_kib: u64,
    code_mappings: usize,
    files: usize,
    threads: usize,
}

#[tokio::test]
async fn changing_releases_again_and_again_holds_on_to_nothing() {
    let node = TestNode::start().await;
    // Assets are mapped files too.
    for release in 1..=2 {
        let bundle = typecase_harness::bundles::Bundle::of("hello")
            .component(guests::hello_saying(release))
            .asset("page.html", format!("page {release}"));
        node.api().publish("hello", bundle.zip(), "").await.expect(200);
    }
    change(&node, WARM_UP).await;
    let before = held(&node);
    change(&node, CHANGES).await;
    let after = held(&node);
    let shown = format!("before {before:?}, after {CHANGES} changes {after:?}");
    assert!(after.anonymous_kib <= before.anonymous_kib + GROWTH_KIB_MAX, "{shown}");
    assert!(after.code_mappings <= before.code_mappings + 8, "{shown}");
    assert!(after.files <= before.files + 8, "{shown}");
    assert!(after.threads <= before.threads + 8, "{shown}");
    println!("{shown}");
}

/// Makes the one and the other release serve in turn; each change loads a release and drops another.
async fn change(node: &TestNode, count: u64) {
    for number in 0..count {
        let release = number % 2 + 1;
        node.api().activate("hello", release).await.expect(200);
        let greeting = guests::greeting(u32::try_from(release).unwrap());
        assert_eq!(node.get("/hello/").await.expect(200).text().trim_end(), greeting);
    }
}

fn held(node: &TestNode) -> Held {
    let process = format!("/proc/{}", node.process_id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    Held {
        anonymous_kib: anonymous.split_whitespace().next().unwrap().parse().unwrap(),
        code_mappings: maps.lines().filter(|line| line.contains("/cache/")).count(),
        files: fs::read_dir(format!("{process}/fd")).unwrap().count(),
        threads: fs::read_dir(format!("{process}/task")).unwrap().count(),
    }
}
