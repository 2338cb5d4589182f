//! An object store that speaks S3, in the test's own process, with faults on demand.

mod faults;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::Port;
use super::background::Background;

use faults::Faults;
pub use faults::S3Fault;

const ACCESS_KEY: &str = "access-key-for-tests";
const SECRET_KEY: &str = "secret-key-for-tests";
const REGION: &str = "test-region-1";
const BUCKET: &str = "typecase";

/// The server, which keeps objects as files; ended when it is dropped.
pub struct S3 {
    folder: TempDir,
    port: Port,
    shared: Arc<Shared>,
    server: Option<Background>,
}

struct Shared {
    service: S3Service,
    faults: Faults,
    requests: AtomicU64,
}

impl S3 {
    /// A server with one empty bucket.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("the bucket is made");
        let files = FileSystem::new(folder.path()).expect("objects can be kept in a folder");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let shared =
            Shared { service: builder.build(), faults: Faults::default(), requests: AtomicU64::new(0) };
        let mut s3 = Self { folder, port: Port::claim(), shared: Arc::new(shared), server: None };
        s3.start_again();
        s3
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// Where each object of the bucket is a file, named by its key.
    pub fn bucket_folder(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// The variables that tell a node of this server, or of a proxy in front of it.
    pub fn environment(&self, address: SocketAddr) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{address}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
    }

    /// Closes all connections and stops listening; the objects stay.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Listens again on the same port.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the S3 server runs already");
        let listener = TcpListener::bind(self.address()).expect("the port is ours");
        listener.set_nonblocking(true).expect("the listener is made asynchronous");
        let shared = self.shared.clone();
        self.server = Some(Background::start("s3", move || serve(listener, shared)));
    }

    /// Answers every request with a fault until [`S3::heal`].
    pub fn fail(&self, fault: S3Fault) {
        self.shared.faults.set(fault, None, u64::MAX);
    }

    /// Answers only the next requests with a fault.
    pub fn fail_next(&self, count: u64, fault: S3Fault) {
        self.shared.faults.set(fault, None, count);
    }

    /// Answers every request of one method with a fault: `GET` reads, `PUT` writes.
    pub fn fail_method(&self, method: Method, fault: S3Fault) {
        self.shared.faults.set(fault, Some(method), u64::MAX);
    }

    /// No more faults; requests that hang are dropped.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Requests that have come so far, those answered with a fault included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the listener joins the runtime");
    loop {
        // An error is one connection's, given up before it was taken.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(stream, shared.clone()));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(async |request: Request<Incoming>| {
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let request = request.map(s3s::Body::from);
        faults::answer(&shared.faults, &shared.service, request).await
    });
    // Whoever closes a connection early has a reason; tests look at what the client makes of it.
    let _ =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}
