//! A request to the node and its answer, both streamed, with nothing changed but what belongs to a connection.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{BoxError, ProxyBody};

/// The node closes idle connections after 75 s; ours must not be the one that it is about to close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Of one connection, not of the message (RFC 9110, 7.6.1). `TE` and `Trailer` stay: trailers are passed on.
const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, KEEP_ALIVE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE];

pub struct Forwarder(Client<HttpConnector, Incoming>);

impl Forwarder {
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self(client)
    }

    /// Asks the node; an error means that it gave no answer.
    pub async fn forward(
        &self,
        mut request: Request<Incoming>,
        node: SocketAddr,
    ) -> Result<Response<ProxyBody>, BoxError> {
        let authority = request.uri().authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() =
            Uri::builder().scheme("http").authority(node.to_string()).path_and_query(path).build()?;
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers);
        // HTTP/2 has the name in its target.
        if let (false, Some(authority)) = (headers.contains_key(HOST), authority) {
            headers.insert(HOST, authority);
        }
        let mut response = self.0.request(request).await?;
        remove_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}
