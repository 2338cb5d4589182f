//! Announcements between two nodes over real Redis servers, and through all that can happen to these.

mod faults;
mod installations;
mod server;

use typecase_model::Topic;

use crate::{Announcements, Subscription};
use server::{DEADLINE, Server, until};

/// One node of the cluster `test`, with a subscriber.
struct Node {
    announcements: Announcements,
    subscription: Subscription,
}

impl Node {
    /// It may come up before its Redis.
    fn new(url: &str) -> Self {
        Self::in_cluster(url, "test")
    }

    fn in_cluster(url: &str, cluster_id: &str) -> Self {
        let announcements = Announcements::redis(url.parse().unwrap(), cluster_id);
        Self { subscription: announcements.subscribe(), announcements }
    }

    /// Waits for a topic, and gives what came before it.
    async fn hears(&mut self, topic: &Topic) -> Vec<Topic> {
        self.hears_one_of(std::slice::from_ref(topic)).await
    }

    /// The same for whichever of these comes first.
    async fn hears_one_of(&mut self, topics: &[Topic]) -> Vec<Topic> {
        let mut before = Vec::new();
        let waiting = async {
            loop {
                match self.subscription.next().await {
                    heard if topics.contains(&heard) => return,
                    other => before.push(other),
                }
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            panic!("none of {topics:?} was heard, only {before:?}; {:?}", self.announcements.health());
        }
        before
    }

    /// Waits until Redis can be used.
    async fn is_up(&self) {
        self.health_is("up", |fault| fault.is_none()).await;
    }

    /// Waits until Redis cannot be used for a reason that contains this, and gives the reason.
    async fn is_down(&self, reason: &str) -> String {
        self.health_is(reason, |fault| fault.is_some_and(|fault| fault.contains(reason))).await
    }

    async fn health_is(&self, wanted: &str, is_so: impl Fn(Option<&str>) -> bool) -> String {
        let waiting = async {
            loop {
                let fault = self.announcements.health().unwrap().fault;
                if is_so(fault.as_deref()) {
                    return fault.unwrap_or_default();
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(fault) => fault,
            Err(_) => panic!("never `{wanted}`, but {:?}", self.announcements.health()),
        }
    }
}

/// Two nodes that hear each other.
async fn pair(url: &str) -> [Node; 2] {
    let mut nodes = [Node::new(url), Node::new(url)];
    for node in &mut nodes {
        node.hears(&Topic::All).await;
        node.is_up().await;
    }
    nodes
}

fn app(name: &str) -> Topic {
    Topic::App(name.parse().unwrap())
}

fn plain(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

#[tokio::test]
async fn announcements_reach_other_nodes_and_are_heard_once() {
    let server = Server::redis(&[]);
    let [mut one, mut two] = pair(&plain(&server)).await;
    for topic in [app("first"), Topic::Settings, Topic::Nodes, Topic::Bundles, Topic::All] {
        one.announcements.announce(topic.clone());
        two.hears(&topic).await;
    }
    two.announcements.announce(app("last"));
    // Redis has told node one of its own announcements before this one.
    let before = one.hears(&app("last")).await;
    assert_eq!(before, [app("first"), Topic::Settings, Topic::Nodes, Topic::Bundles, Topic::All]);
}

#[tokio::test]
async fn clusters_on_one_redis_do_not_hear_each_other() {
    let server = Server::redis(&[]);
    let [mut one, two] = pair(&plain(&server)).await;
    let stranger = Node::in_cluster(&plain(&server), "other");
    stranger.is_up().await;
    stranger.announcements.announce(app("foreign"));
    stranger.announcements.close().await;
    two.announcements.announce(app("own"));
    assert_eq!(one.hears(&app("own")).await, []);
}

#[tokio::test]
async fn what_is_no_announcement_of_this_version_is_ignored() {
    let server = Server::redis(&[]);
    let [mut one, two] = pair(&plain(&server)).await;
    let long = "x".repeat(100_000);
    for payload in ["", "rubbish", "0123456789abcdef sessions", "0123456789abcdef app/UPPER", &long] {
        assert_eq!(server.ask(&["publish", "typecase:test:announcements", payload]), "2\n");
    }
    two.announcements.announce(app("known"));
    assert_eq!(one.hears(&app("known")).await, []);
}

#[tokio::test]
async fn a_node_that_closes_sends_what_it_announced_last() {
    let server = Server::redis(&[]);
    let [mut one, two] = pair(&plain(&server)).await;
    (0..500).for_each(|number| two.announcements.announce(app(&format!("app-{number}"))));
    two.announcements.announce(Topic::Nodes);
    two.announcements.close().await;
    let mut heard = one.hears(&Topic::Nodes).await;
    while heard.len() < 500 {
        heard.push(one.subscription.next().await);
    }
    until(|| server.ask(&["client", "list", "type", "pubsub"]).lines().count() == 1).await;
}
