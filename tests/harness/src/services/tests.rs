//! The services themselves: that they come up, go down, hang and fail as the tests of the cluster rely on.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Announcements, FaultProxy, Haproxy, Link, MariaDb, Nginx, Port, Redis, S3, S3Fault};
use crate::client::{get, send_once};
use crate::{Output, command, eventually, files};

/// What nodes do, as the account of the nodes.
async fn as_node(address: SocketAddr, sql: &str) -> Output {
    let mut client = super::process::command("mariadb", "mariadb-client");
    client.args([
        "--no-defaults",
        "--user=typecase",
        "--password=a-password-for-tests",
        "--connect-timeout=1",
    ]);
    client.args(["--host=127.0.0.1", &format!("--port={}", address.port()), "--skip-column-names"]);
    client.args(["--execute", sql]);
    command::run_command(client).await
}

#[tokio::test]
async fn a_database_keeps_its_data_and_its_port_and_counts_what_others_do() {
    let mut mariadb = MariaDb::start().await;
    mariadb.create_database("one").await;
    let address = mariadb.address();
    as_node(address, "CREATE TABLE one.t (id INT PRIMARY KEY); INSERT INTO one.t VALUES (7)").await.expect(0);
    assert_eq!(mariadb.query("SELECT id FROM one.t").await, "7\n");

    let before = mariadb.statements().await;
    mariadb.execute("SELECT 1; SELECT 2").await;
    assert_eq!(mariadb.statements().await, before, "what a test asks is not counted");
    as_node(address, "SELECT 1").await.expect(0);
    assert!(mariadb.statements().await > before);

    // The nodes' account is bound by what binds a node.
    assert_ne!(as_node(address, "CREATE DATABASE two").await.code, 0);
    mariadb.execute("SET GLOBAL read_only = 1").await;
    let refused = as_node(address, "INSERT INTO one.t VALUES (8)").await;
    assert!(refused.stderr.contains("1290"), "{refused:?}");
    mariadb.execute("SET GLOBAL read_only = 0").await;

    mariadb.pause().await;
    let hung = as_node(address, "SELECT 1").await;
    assert_ne!(hung.code, 0);
    mariadb.resume();
    as_node(address, "SELECT 1").await.expect(0);

    mariadb.kill9();
    assert_ne!(as_node(address, "SELECT 1").await.code, 0);
    mariadb.start_again().await;
    assert_eq!(mariadb.query("SELECT id FROM one.t").await, "7\n");
    mariadb.stop().await;
    mariadb.start_again().await;
    assert_eq!(as_node(address, "SELECT id FROM one.t").await.expect(0).stdout, "7\n");
    assert!(mariadb.url("one").ends_with(&format!("@{address}/one")));
}

#[tokio::test]
async fn connections_to_a_database_can_be_cut() {
    let mariadb = MariaDb::start().await;
    let sleeping = as_node(mariadb.address(), "SELECT SLEEP(600)");
    let cut = async {
        eventually("the sleeping statement", async || {
            let running = mariadb.query("SHOW PROCESSLIST").await;
            running.contains("SLEEP").then_some(())
        })
        .await;
        mariadb.cut_connections().await;
    };
    let (output, ()) = tokio::join!(sleeping, cut);
    assert_ne!(output.code, 0, "{output:?}");
}

#[tokio::test]
async fn redis_comes_back_empty() {
    let mut redis = Redis::start_with_password("secret").await;
    assert_eq!(redis.command(&["SET", "key", "value"]).await, "OK\n");
    assert_eq!(redis.command(&["GET", "key"]).await, "value\n");
    assert_eq!(redis.commands().await, 0, "what a test does is not counted");
    redis.stop().await;
    TcpStream::connect(redis.address()).await.unwrap_err();
    redis.start_again().await;
    assert_eq!(redis.command(&["DBSIZE"]).await, "0\n");
    assert_eq!(redis.commands().await, 0);
    assert_eq!(redis.url(), format!("redis://:secret@{}", redis.address()));

    let open = Redis::start().await;
    open.command(&["SET", "key", "value"]).await;
    assert_eq!(open.commands().await, 0);
    inline(open.address(), "GET key").await;
    assert_eq!(open.commands().await, 1);
}

/// Sends one line and gives back a line of the answer.
async fn inline(address: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    read(&mut stream, 1).await
}

/// What has come until there are this many line ends.
async fn read(stream: &mut TcpStream, lines: usize) -> String {
    let mut text = String::new();
    while text.matches("\r\n").count() < lines {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text
}

#[tokio::test]
async fn a_wire_can_be_cut_blocked_and_mended() {
    let redis = Redis::start().await;
    let wire = FaultProxy::to(redis.address()).await;
    let mut stream = TcpStream::connect(wire.address()).await.unwrap();
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).await.map(|_| answer)
    };
    assert_eq!(ask(&mut stream).await.unwrap(), *b"+PONG\r\n");
    assert_eq!((wire.accepted(), wire.open()), (1, 1));

    wire.set(Link::Hang).await;
    let mut late = TcpStream::connect(wire.address()).await.unwrap();
    let (down, up) = (wire.bytes_from_service(), wire.bytes_to_service());
    late.write_all(b"PING\r\n").await.unwrap();
    tokio::time::timeout(Duration::from_millis(50), late.read_u8()).await.unwrap_err();
    assert_eq!((wire.bytes_from_service(), wire.bytes_to_service()), (down, up));
    wire.set(Link::DelayMs(5)).await;
    assert_eq!(read(&mut late, 1).await, "+PONG\r\n");

    wire.set(Link::Cut).await;
    assert_eq!(wire.open(), 0);
    ask(&mut late).await.unwrap_err();
    let mut cut = TcpStream::connect(wire.address()).await.unwrap();
    ask(&mut cut).await.unwrap_err();
    wire.set(Link::Refuse).await;
    TcpStream::connect(wire.address()).await.unwrap_err();
    wire.set(Link::Pass).await;
    ask(&mut TcpStream::connect(wire.address()).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn announcements_can_be_lost_doubled_and_reordered() {
    let redis = Redis::start().await;
    let wire = FaultProxy::to_redis(redis.address()).await;
    let mut subscriber = TcpStream::connect(wire.address()).await.unwrap();
    subscriber.write_all(b"SUBSCRIBE news\r\n").await.unwrap();
    assert!(read(&mut subscriber, 6).await.contains("subscribe"));
    let mut heard = async |text: &str, count: usize| {
        assert_eq!(redis.command(&["PUBLISH", "news", text]).await, "1\n");
        let lines = read(&mut subscriber, 7 * count).await;
        lines
            .split("\r\n")
            .filter(|line| line.len() == 2 && !line.starts_with(['*', '$']))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(heard("m1", 1).await, "m1");
    wire.set(Link::Announcements(Announcements::Dropped)).await;
    assert_eq!(heard("m2", 0).await, "");
    eventually("the dropped one has come", async || (wire.announcements() == 2).then_some(())).await;
    // Answers pass meanwhile.
    assert_eq!(inline(wire.address(), "PING").await, "+PONG\r\n");
    wire.set(Link::Announcements(Announcements::Duplicated)).await;
    assert_eq!(heard("m3", 2).await, "m3 m3");
    // Counted from the first one, it is the third that is overtaken.
    wire.set(Link::Announcements(Announcements::EveryOtherLateMs(1_000))).await;
    assert_eq!(heard("m4", 1).await, "m4");
    assert_eq!(heard("m5", 0).await, "");
    assert_eq!(heard("m6", 2).await, "m6 m5");
}

/// A request signed as a node signs it; the status with the body, or what went wrong.
async fn signed(s3: &S3, address: SocketAddr, arguments: &[&str]) -> Result<String, String> {
    let variables = s3.environment(address);
    let value = |name: &str| variables.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let mut curl = super::process::command("curl", "curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--max-time",
        "2",
        "--write-out",
        " %{http_code}",
    ]);
    curl.args(["--aws-sigv4", &format!("aws:amz:{}:s3", value("AWS_REGION"))]);
    curl.args(["--user", &format!("{}:{}", value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"))]);
    curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
    curl.args(arguments);
    curl.arg(format!("{}/{}/nodes/some/object", value("AWS_ENDPOINT_URL"), s3.bucket()));
    let output = command::run_command(curl).await;
    if output.code == 0 { Ok(output.stdout) } else { Err(output.stdout + &output.stderr) }
}

#[tokio::test]
async fn an_object_store_stores_and_fails_as_told() {
    let mut s3 = S3::start();
    let put = async |s3: &S3, text: &str| {
        signed(s3, s3.address(), &["--request", "PUT", "--data-binary", text]).await
    };
    let read = async |s3: &S3| signed(s3, s3.address(), &[]).await;
    put(&s3, "0123456789").await.unwrap();
    assert_eq!(read(&s3).await.unwrap(), "0123456789 200");
    let stored = s3.bucket_folder().join("nodes/some/object");
    assert_eq!(std::fs::read(&stored).unwrap(), b"0123456789");
    let anonymous = send_once(s3.address(), get(s3.address(), "/typecase/nodes/some/object")).await.unwrap();
    assert_eq!(anonymous.status, 403);

    s3.fail_next(1, S3Fault::Status(503));
    let error = read(&s3).await.unwrap_err();
    assert!(error.contains("SlowDown") && error.contains(" 503"), "{error}");
    read(&s3).await.unwrap();
    s3.fail_method(Method::PUT, S3Fault::Status(500));
    read(&s3).await.unwrap();
    put(&s3, "other").await.unwrap_err();
    s3.fail(S3Fault::BrokenBody);
    read(&s3).await.unwrap_err();
    s3.fail(S3Fault::HalfBody);
    assert_eq!(read(&s3).await.unwrap(), "01234 200");
    s3.fail(S3Fault::Hang);
    read(&s3).await.unwrap_err();
    s3.fail(S3Fault::AnswerLost);
    put(&s3, "9876543210").await.unwrap_err();
    s3.heal();
    assert_eq!(read(&s3).await.unwrap(), "9876543210 200");

    s3.stop();
    read(&s3).await.unwrap_err();
    s3.start_again();
    files::damage(&stored);
    assert_ne!(read(&s3).await.unwrap(), "9876543210 200");
    let wire = FaultProxy::to(s3.address()).await;
    signed(&s3, wire.address(), &["--head"]).await.unwrap();
    assert!(wire.bytes_from_service() > 0 && s3.requests() > 0);
}

#[tokio::test]
async fn balancers_take_another_configuration_without_a_break() {
    let text = async |address: SocketAddr| send_once(address, get(address, "/")).await.unwrap().text();

    let port = Port::claim();
    let config = |port: &Port, says: &str| {
        format!("server {{ listen {}; location / {{ return 200 '{says}'; }} }}", port.address())
    };
    let (one, two) = (config(&port, "one"), config(&port, "two"));
    let mut nginx = Nginx::start(port, &one).await;
    assert_eq!(text(nginx.address()).await, "one");
    nginx.reload(&two).await;
    assert_eq!(text(nginx.address()).await, "two", "{}", nginx.log());

    let port = Port::claim();
    let config = |port: &Port, says: &str| {
        let answer = format!("http-request return status 200 content-type text/plain string {says}");
        let timeouts = "timeout connect 1s\n timeout client 5s\n timeout server 5s";
        format!("defaults\n mode http\n {timeouts}\nfrontend f\n bind {}\n {answer}\n", port.address())
    };
    let (one, two) = (config(&port, "one"), config(&port, "two"));
    let mut haproxy = Haproxy::start(port, &one).await;
    assert_eq!(text(haproxy.address()).await, "one");
    haproxy.reload(&two).await;
    assert_eq!(text(haproxy.address()).await, "two", "{}", haproxy.log());
}
