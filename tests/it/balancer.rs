//! `typecase generate`: real nginx and haproxy take what it prints, pass everything that clients and apps send, and
//! repeat only what may be repeated. Nodes that end under load behind them are in `cluster/stops.rs`.

use bytes::Bytes;
use http::{HeaderValue, Method};
use http_body_util::BodyExt as _;
use serde_json::Value;
use typecase_harness::client::{self, Answer, Connection, get};
use typecase_harness::services::{Haproxy, Nginx, Port};
use typecase_harness::{Cluster, DEADLINE, TestNode, guests};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Nginx,
    Haproxy,
}

const PROGRAMS: [Program; 2] = [Program::Nginx, Program::Haproxy];

enum Balancer {
    Nginx(Nginx),
    Haproxy(Haproxy),
}

impl Balancer {
    /// Starts one with what a node says.
    async fn start(program: Program, node: &TestNode) -> Self {
        let port = Port::claim();
        let config = generate(program, node, &port.address().to_string(), "").await;
        match program {
            Program::Nginx => Self::Nginx(Nginx::start(port, &config).await),
            Program::Haproxy => Self::Haproxy(Haproxy::start(port, &config).await),
        }
    }

    /// Has the program check and take the configuration that a node makes of other options.
    async fn reload(&mut self, node: &TestNode, options: &str) {
        let address = self.address().to_string();
        match self {
            Self::Nginx(nginx) => {
                nginx.reload(&generate(Program::Nginx, node, &address, options).await).await
            }
            Self::Haproxy(haproxy) => {
                haproxy.reload(&generate(Program::Haproxy, node, &address, options).await).await;
            }
        }
    }

    fn address(&self) -> std::net::SocketAddr {
        match self {
            Self::Nginx(nginx) => nginx.address(),
            Self::Haproxy(haproxy) => haproxy.address(),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Answer, client::NoAnswer> {
        let mut request = client::request(self.address(), method, path, None, body);
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        client::send_once(self.address(), request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }
}

async fn generate(program: Program, node: &TestNode, listen: &str, options: &str) -> String {
    let mut arguments = vec!["generate"];
    match program {
        Program::Nginx => arguments.extend(["nginx", "--access-log", "off"]),
        Program::Haproxy => arguments.push("haproxy"),
    }
    arguments.extend(["--listen", listen]);
    arguments.extend(options.split_whitespace());
    let server = format!("http://{}", node.admin_address());
    let data = node.data().display().to_string();
    arguments.extend(["--server", &server, "--data", &data]);
    typecase_harness::command::run(arguments).await.expect(0).stdout
}

/// A node that believes balancers on this machine, with three apps.
async fn node() -> TestNode {
    let trusted = toml::Value::Array(vec!["127.0.0.1".into()]);
    let node = TestNode::builder().config("ingress", "trusted_proxies", trusted).start().await;
    for project in [guests::example("hello"), guests::example("stream"), guests::guest("hostile")] {
        node.publish_dir(&project).await;
    }
    node
}

#[tokio::test]
async fn what_clients_and_apps_send_passes() {
    let node = node().await;
    for program in PROGRAMS {
        println!("{program:?}");
        let balancer = Balancer::start(program, &node).await;
        assert_eq!(balancer.get("/hello/").await.expect(200).text(), "Hello, world!\n");
        forwarding_headers_arrive(&balancer).await;
        large_things_pass(&balancer).await;
        streams_pass(&balancer).await;
    }
}

async fn forwarding_headers_arrive(balancer: &Balancer) {
    let made_up = [
        ("host", "shop.example:8080"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("x-request-id", "made-up"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
    ];
    let path = "/hostile/request?a=%2F%2e&b=//c";
    let answer = balancer.send(Method::GET, path, &made_up, Bytes::new()).await.expect(200);
    let seen = answer.json();
    assert_eq!(seen["path_with_query"], "/request?a=%2F%2e&b=//c", "{seen}");
    let port = balancer.address().port().to_string();
    let header = |name: &str| seen["headers"][name].as_array().cloned().unwrap_or_default();
    for (name, value) in [
        // The client, as the balancer saw it, and the balancer, as the node saw it.
        ("x-forwarded-for", "127.0.0.1, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example:8080"),
        ("x-forwarded-port", port.as_str()),
        ("x-forwarded-prefix", "/hostile"),
        ("x-request-id", answer.header("x-request-id")),
    ] {
        assert_eq!(header(name), [Value::from(value)], "{name}: {seen}");
    }
    assert_eq!(seen["authority"], "shop.example:8080", "{seen}");
    for name in ["x-real-ip", "forwarded", "upgrade"] {
        assert!(header(name).is_empty(), "{name}: {seen}");
    }
}

/// As much as a node takes, and more than any buffer on the way holds.
async fn large_things_pass(balancer: &Balancer) {
    let upload = Bytes::from(vec![7; 40 << 20]);
    let length = upload.len();
    let answer = balancer.send(Method::POST, "/hostile/request", &[], upload).await.expect(200);
    assert_eq!(answer.json()["body_length"], length);
    let download = balancer.get("/stream/bytes?n=40000000").await.expect(200);
    assert_eq!(download.body.len(), 40_000_000);
    let long = "a".repeat(60_000);
    let answer = balancer.send(Method::GET, "/hostile/request", &[("x-long", &long)], Bytes::new()).await;
    assert_eq!(answer.expect(200).json()["headers"]["x-long"][0], long.as_str());
    balancer.get("/hostile/big-headers?n=60000").await.expect(200);
}

/// A piece arrives while the stream goes on, and a silence longer than some think a request may take ends nothing.
async fn streams_pass(balancer: &Balancer) {
    let mut connection = Connection::open(balancer.address()).await.unwrap();
    let endless = get(balancer.address(), "/stream/events?count=1000000&interval_ms=6000");
    let response = connection.begin(endless).await.unwrap();
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains("data: 2\n\n") {
        let frame = tokio::time::timeout(DEADLINE, body.frame()).await.expect("the stream goes on");
        let frame = frame.expect("the stream has not ended").expect("the stream has not broken off");
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    assert_eq!(text, "data: 1\n\ndata: 2\n\n");
}

#[tokio::test]
async fn every_choice_is_taken_by_the_programs() {
    let node = node().await;
    for program in PROGRAMS {
        println!("{program:?}");
        let admin = Port::claim();
        let mut balancer = Balancer::start(program, &node).await;
        balancer.reload(&node, "--server-name apps.example.com,*.apps.example.com --affinity").await;
        for (host, status) in [
            ("apps.example.com", 200),
            ("APPS.example.com:8080", 200),
            ("a.apps.example.com", 200),
            ("example.com", 421),
            ("127.0.0.1", 421),
        ] {
            let answer = balancer.send(Method::GET, "/hello/", &[("host", host)], Bytes::new()).await;
            assert_eq!(answer.status, status, "{host}");
        }

        // What a proxy in front says is kept, and where the client is told by it.
        let options = format!("--trusted-proxies 127.0.0.0/8 --affinity --admin={}", admin.address());
        balancer.reload(&node, &options).await;
        let from_in_front = [
            ("x-forwarded-for", "6.6.6.6, 198.51.100.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
        ];
        let answer = balancer.send(Method::GET, "/hostile/request", &from_in_front, Bytes::new()).await;
        let seen = answer.expect(200).json();
        // Haproxy adds a line of its own; a list in several lines is one list.
        let chain = seen["headers"]["x-forwarded-for"].as_array().unwrap();
        let chain: Vec<&str> = chain.iter().filter_map(Value::as_str).collect();
        assert_eq!(chain.join(", "), "6.6.6.6, 198.51.100.9, 127.0.0.1, 127.0.0.1", "{seen}");
        assert_eq!(seen["headers"]["x-forwarded-host"][0], "shop.example");
        assert_eq!(seen["scheme"], "https", "{seen}");

        let api = typecase_harness::Api { address: admin.address(), token: node.api().token };
        api.get("/readyz").await.expect(200);
        assert_eq!(api.get("/api/v1/nodes").await.expect(200).json()["nodes"].as_array().unwrap().len(), 1);
        let release = api.publish("hello", guests::hello_saying(2), "").await.expect(200).json();
        assert_eq!(release["state"], "active", "{release}");
    }
}

#[tokio::test]
async fn a_file_is_written_once() {
    let node = TestNode::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg").display().to_string();
    let first = node.cli(["generate", "haproxy", "-o", &file, "--json"]).await.expect(0).json();
    assert_eq!((&first["changed"], &first["program"]), (&true.into(), &"haproxy".into()));
    assert_eq!(first["nodes"][0]["apps"], node.apps_address().to_string());
    let second = node.cli(["generate", "haproxy", "-o", &file]).await.expect(0).stdout;
    assert!(second.contains("nothing changed"), "{second}");
    let printed = node.cli(["generate", "haproxy"]).await.expect(0).stdout;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    node.cli(["generate", "nginx", "--server-name", "a;b"]).await.expect(2);
}

/// Which node runs an instance of the app.
async fn busy_node(cluster: &mut Cluster, app: &str) -> usize {
    let running = format!("typecase_instances_live{{app=\"{app}\"}} 1");
    let mut found = None;
    for (number, node) in cluster.nodes.iter_mut().enumerate() {
        if node.is_running() && found.is_none() {
            found = node.admin_get("/metrics").await.text().contains(&running).then_some(number);
        }
    }
    match found {
        Some(number) => number,
        None => Box::pin(busy_node(cluster, app)).await,
    }
}

/// Answers that the surviving nodes have given for an app.
async fn answers_of_survivors(cluster: &mut Cluster, app: &str) -> usize {
    let given = format!("typecase_requests_total{{app=\"{app}\"");
    let mut answers = 0;
    for node in &mut cluster.nodes {
        if node.is_running() {
            let metrics = node.admin_get("/metrics").await.text();
            let lines = metrics.lines().filter(|line| line.starts_with(&given));
            let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
            answers += counts.sum::<usize>();
        }
    }
    answers
}

#[tokio::test]
async fn a_post_is_never_repeated_and_a_get_is() {
    for program in PROGRAMS {
        println!("{program:?}");
        let mut cluster = Cluster::builder().start().await;
        cluster.nodes[0].publish_dir(&guests::guest("hostile")).await;
        let balancer = Balancer::start(program, &cluster.nodes[0]).await;

        let post = balancer.try_send(Method::POST, "/hostile/slow?ms=20000", &[], "once".into());
        let kill = async {
            let busy = busy_node(&mut cluster, "hostile").await;
            cluster.nodes[busy].kill9();
        };
        let (posted, ()) = tokio::join!(post, kill);
        assert!(posted.as_ref().map_or(true, |answer| answer.status == 502), "{posted:?}");
        assert_eq!(answers_of_survivors(&mut cluster, "hostile").await, 0, "the POST went to another node");

        let asked = balancer.try_send(Method::GET, "/hostile/slow?ms=3000", &[], Bytes::new());
        let kill = async {
            let busy = busy_node(&mut cluster, "hostile").await;
            cluster.nodes[busy].kill9();
        };
        let (asked, ()) = tokio::join!(asked, kill);
        assert_eq!(asked.unwrap().expect(200).text(), "slept");
        assert_eq!(answers_of_survivors(&mut cluster, "hostile").await, 1);
    }
}

#[tokio::test]
async fn nodes_that_stop_or_drain_leave_the_configuration() {
    let mut cluster = Cluster::builder().start().await;
    let addresses = cluster.apps_addresses();
    let generated =
        async |cluster: &Cluster| generate(Program::Nginx, &cluster.nodes[0], "127.0.0.1:80", "").await;
    let serves = |config: &str, number: usize| {
        config.contains(&format!("\n        server {} max_fails=1 fail_timeout=5s;", addresses[number]))
    };
    let before = generated(&cluster).await;
    assert!((0..3).all(|number| serves(&before, number)), "{before}");
    cluster.nodes[0].cli(["nodes", "drain", "node-1"]).await.expect(0);
    cluster.nodes[2].terminate().await;
    let after = generated(&cluster).await;
    assert_eq!([0, 1, 2].map(|number| serves(&after, number)), [true, false, false], "{after}");
    assert!(after.contains(&format!("server {} down; # node-1 is draining", addresses[1])), "{after}");
    assert!(
        after.contains(&format!("# server {}; # node-2 is left out: it is lost", addresses[2])),
        "{after}"
    );
    cluster.nodes[0].cli(["nodes", "resume", "node-1"]).await.expect(0);
    assert!(serves(&generated(&cluster).await, 1));
}
