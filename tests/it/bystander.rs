//! An app that has nothing to do with a test's fault: it must go on serving, whatever happens to others.

use typecase_harness::load::{Load, RunningLoad};
use typecase_harness::{TestNode, guests};

/// The release that the bystander says it is.
const RELEASE: u32 = 777;

/// The bystander under light load.
pub struct Bystander(RunningLoad);

impl Bystander {
    pub async fn on(node: &TestNode) -> Self {
        publish(node).await;
        let load = Load::on(node.apps_address(), "/bystander/").keep_alive(1).fresh(1).start();
        load.more(5).await;
        Self(load)
    }

    /// It has answered every request since it was started, and still does.
    pub async fn went_on(self) {
        self.0.more(5).await;
        self.0.stop().await.assert_no_failures(20);
    }
}

/// Publishes the bystander without load, for tests in which the node itself goes down.
pub async fn publish(node: &TestNode) {
    node.publish_wasm("bystander", guests::hello_saying(RELEASE)).await;
}

pub async fn assert_serves(node: &TestNode) {
    let answer = node.get("/bystander/").await.expect(200);
    assert_eq!(answer.text().trim_end(), guests::greeting(RELEASE));
}
