//! Builds that begin again, and builds that would begin again for ever.

use std::fs;

use super::run::Project;

#[tokio::test]
async fn a_change_during_a_build_ends_it() {
    let mut dev = Project::saying(1).start().await;
    // A build that takes a hundred seconds, unless it is of no use any more.
    dev.write("src/version", "slow");
    dev.event("changed").await;
    dev.write("src/version", "4");
    dev.event("serving").await;
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00004\n");
    dev.end().await;
}

#[tokio::test]
async fn what_a_build_writes_itself_starts_no_other_for_ever() {
    let project = Project::saying(1);
    // Writes the same text each time, among its own sources.
    let manifest = fs::read_to_string(project.path("typecase.toml")).unwrap();
    let writing =
        manifest.replace("case $(cat", "echo generated > src/generated; chmod 600 src/*\ncase $(cat");
    project.write("typecase.toml", &writing);
    let mut dev = project.start().await;
    dev.write("src/version", "2");
    dev.event("serving").await;
    dev.write("src/version", "3");
    dev.event("serving").await;
    assert_eq!(dev.get("/shop/api").await.expect(200).text(), "release 00003\n");
    // One for each change, and perhaps one for what the first build wrote.
    assert!(dev.count("changed") <= 3, "{}", dev.count("changed"));
    dev.end().await;
}
