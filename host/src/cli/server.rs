//! Which server the commands talk to.

use std::net::IpAddr;

use super::GlobalArguments;
use super::failure::{Exit, Failure};

/// Where a node is that nobody has said anything about.
pub const USUAL_SERVER: &str = "http://127.0.0.1:22345";

/// In the data folder of a node whose ports are not the usual ones: `typecase dev` runs such a node.
pub const ADMIN_ADDRESS_FILE: &str = "admin-address";

/// A node's admin address: scheme, host and port, nothing else.
#[derive(Debug, Clone)]
pub struct Server {
    /// Without a slash at the end.
    pub url: String,
    host: String,
}

impl Server {
    /// The server that was given; or else the one whose data folder was.
    pub fn of(global: &GlobalArguments) -> Result<Self, Failure> {
        let beside = global.data.as_ref().filter(|_| global.server == USUAL_SERVER);
        let address = beside.and_then(|data| std::fs::read_to_string(data.join(ADMIN_ADDRESS_FILE)).ok());
        match address {
            Some(address) => Self::parse(address.trim()),
            None => Self::parse(&global.server),
        }
    }

    pub fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| {
            let detail = format!("--server {text}: {why}; write it like http://127.0.0.1:22345");
            Failure::local(Exit::Usage, "server-url", detail)
        };
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = reqwest::Url::parse(&with_scheme).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("the scheme must be http or https"));
        }
        let Some(host) = url.host_str() else { return Err(refuse("the host is missing")) };
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(refuse("it must have neither user, query nor fragment"));
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), host })
    }

    /// Whether it is a node of this machine: only such a one is given its `cli-token` unasked.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let url = |text: &str| Server::parse(text).map(|server| server.url).map_err(|failure| failure.exit);
        assert_eq!(url("http://127.0.0.1:22345/"), Ok("http://127.0.0.1:22345".to_owned()));
        assert_eq!(url("node-a:22345"), Ok("http://node-a:22345".to_owned()));
        for bad in ["ftp://x", "http://u:p@x", "http://", "http://x/?a"] {
            assert_eq!(url(bad), Err(Exit::Usage), "{bad}");
        }
        for (text, loopback) in
            [("[::1]:1", true), ("127.0.0.9:1", true), ("localhost", true), ("10.0.0.1:1", false)]
        {
            assert_eq!(Server::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
