//! Who really asks, when a proxy stands in front, and what the app is told about it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use ipnet::IpNet;

use crate::settings::LiveSettings;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Proxies between the client and us that are followed; longer lists are forged.
const HOPS_MAX: usize = 20;

/// What is added to a request at most, so that its headers grow once.
const HEADERS_ADDED: usize = 5;

/// Whom the operator trusts to say where a request came from.
pub struct Forwarding {
    settings: Arc<LiveSettings>,
}

/// One TCP connection's peer, with its address as a header value made once.
#[derive(Debug)]
pub struct Peer {
    ip: IpAddr,
    text: HeaderValue,
}

/// The client of one request.
#[derive(Debug)]
pub struct Client {
    pub ip: IpAddr,
    pub https: bool,
}

impl Forwarding {
    pub fn new(settings: Arc<LiveSettings>) -> Self {
        Self { settings }
    }

    pub fn peer(&self, address: SocketAddr) -> Peer {
        let ip = address.ip().to_canonical();
        let text =
            HeaderValue::from_str(&ip.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Peer { ip, text }
    }

    /// Finds the client and rewrites the forwarding headers. What an untrusted peer claims is dropped.
    pub fn apply<B>(&self, peer: &Peer, prefix: Option<&HeaderValue>, request: &mut Request<B>) -> Client {
        let authority = request.uri().authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
        let headers = request.headers_mut();
        headers.reserve(HEADERS_ADDED);
        let mut client = Client { ip: peer.ip, https: false };
        // Asked for each request: connections of balancers outlast changes of the settings.
        let settings = self.settings.load();
        let trusted = &settings.effective.trusted_proxies;
        if trusts(trusted, peer.ip) {
            client.ip = client_ip(trusted, peer, headers);
            client.https = last_item(headers, &X_FORWARDED_PROTO)
                .is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
            append_hop(headers, &peer.text);
        } else {
            // Most requests carry none of these, and then removing costs as much as looking.
            headers.remove(&FORWARDED);
            headers.remove(&X_REAL_IP);
            headers.insert(X_FORWARDED_FOR, peer.text.clone());
            headers.remove(&X_FORWARDED_HOST);
            headers.remove(&X_FORWARDED_PORT);
        }
        let proto = if client.https { "https" } else { "http" };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
        if !headers.contains_key(&X_FORWARDED_HOST)
            && let Some(host) = authority.or_else(|| headers.get(HOST).cloned())
        {
            headers.insert(X_FORWARDED_HOST, host);
        }
        match prefix {
            Some(prefix) => headers.insert(X_FORWARDED_PREFIX, prefix.clone()),
            None => headers.remove(&X_FORWARDED_PREFIX),
        };
        client
    }
}

fn trusts(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// The last address in the chain that is not one of our own proxies.
fn client_ip(trusted: &[IpNet], peer: &Peer, headers: &HeaderMap) -> IpAddr {
    let mut client = peer.ip;
    let hops = headers
        .get_all(&X_FORWARDED_FOR)
        .iter()
        .rev()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    for hop in hops.take(HOPS_MAX) {
        let Ok(ip) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = ip.to_canonical();
        if !trusts(trusted, client) {
            break;
        }
    }
    client
}

/// What the nearest proxy said; those before it may only repeat what a client made up.
fn last_item<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next().map(str::trim)
}

fn append_hop(headers: &mut HeaderMap, peer: &HeaderValue) {
    let chain: Vec<&[u8]> =
        headers.get_all(&X_FORWARDED_FOR).iter().chain([peer]).map(HeaderValue::as_bytes).collect();
    if let Ok(chain) = HeaderValue::from_bytes(&chain.join(&b", "[..])) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(peer: &str, headers: &[(&'static str, &'static str)]) -> (Client, HeaderMap) {
        let set = serde_json::json!({ "ingress.trusted_proxies": ["10.0.0.0/8"] });
        let forwarding = Forwarding::new(LiveSettings::for_test(set));
        let mut request = Request::new(());
        request.headers_mut().insert(HOST, HeaderValue::from_static("apps.example"));
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        let peer = forwarding.peer(format!("{peer}:1").parse().unwrap());
        let client = forwarding.apply(&peer, Some(&HeaderValue::from_static("/hello")), &mut request);
        (client, request.headers().clone())
    }

    #[test]
    fn an_untrusted_peer_cannot_choose_its_address() {
        let (client, headers) = applied(
            "192.0.2.7",
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-port", "443"),
                ("forwarded", "for=1.2.3.4"),
                ("x-forwarded-prefix", "/admin"),
            ],
        );
        assert_eq!(client.ip.to_string(), "192.0.2.7");
        assert!(!client.https);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "apps.example");
        assert_eq!(headers["x-forwarded-prefix"], "/hello");
        assert!(!headers.contains_key("forwarded"));
        assert!(!headers.contains_key("x-forwarded-port"));
    }

    #[test]
    fn behind_a_trusted_proxy_the_last_foreign_hop_is_the_client() {
        let (client, headers) = applied(
            "10.0.0.1",
            &[
                ("x-forwarded-for", "6.6.6.6, 198.51.100.9, 10.9.9.9"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "shop.example"),
            ],
        );
        assert_eq!(client.ip.to_string(), "198.51.100.9");
        assert!(client.https);
        assert_eq!(headers["x-forwarded-for"], "6.6.6.6, 198.51.100.9, 10.9.9.9, 10.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "shop.example");
    }
}
