//! What can be wrong with Redis, in the words of someone who can put it right.

use fred::error::{Error, ErrorKind};

/// Redis's own words are repeated, but never more of them than a line shows.
const DETAILS_CHARS_MAX: usize = 300;

/// Why Redis cannot be used; the end of the sentence "Redis at ... cannot be used: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no connection has been made yet")]
    Untried,
    #[error("it does not answer in time (is it hung, overloaded or behind a firewall?)")]
    Silent,
    #[error("{0} (is it running, and is the address right?)")]
    Unreachable(String),
    #[error("it closed the connection (is it restarting, or does it expect TLS, rediss://?)")]
    Closed,
    #[error("it refuses the user or password in `cluster.redis`, or asks for one that is not there: {0}")]
    SignIn(String),
    #[error(
        "its user may do too little; allow it the channels typecase:* and the commands \
         ping, publish and subscribe (ACL SETUSER NAME &typecase:* +ping +publish +subscribe): {0}"
    )]
    Permission(String),
    #[error(
        "its TLS certificate is not accepted; add its authority to the system's, \
         or name a file of authorities in SSL_CERT_FILE: {0}"
    )]
    Certificate(String),
    #[error(
        "Sentinel knows no such primary, or none right now; check `sentinelServiceName` in `cluster.redis`"
    )]
    NoPrimary,
    #[error(
        "no Sentinel lets us in; check the addresses in `cluster.redis`, and `sentinelPassword` if they want one"
    )]
    NoSentinel,
    #[error("it is no Redis Cluster; write redis:// or rediss:// into `cluster.redis`")]
    NoCluster,
    #[error("{0}")]
    Other(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let details = message_of(error.details());
        // fred renames the kinds of what happens on the way through Sentinel; the words stay.
        let says = |texts: &[&str]| texts.iter().any(|text| error.details().contains(text));
        match error.kind() {
            _ if says(&["NOAUTH", "WRONGPASS", "invalid password"]) => Self::SignIn(details),
            _ if says(&["NOPERM"]) => Self::Permission(details),
            _ if says(&["InvalidCertificate"]) => Self::Certificate(details),
            _ if says(&["Missing primary address"]) => Self::NoPrimary,
            _ if says(&["Failed to connect to all sentinel nodes"]) => Self::NoSentinel,
            _ if says(&["cluster support disabled"]) => Self::NoCluster,
            _ if says(&["Connection closed", "ConnectionReset", "BrokenPipe", "UnexpectedEof"]) => {
                Self::Closed
            }
            ErrorKind::Auth => Self::SignIn(details),
            ErrorKind::Timeout => Self::Silent,
            ErrorKind::Canceled => Self::Closed,
            ErrorKind::IO => Self::Unreachable(details),
            _ => Self::Other(details),
        }
    }
}

/// fred shows errors of the system as Rust values: `Os { code: 111, ..., message: "Connection refused" }`, and
/// `Custom { ..., error: "failed to lookup address information: ..." }`.
fn message_of(details: &str) -> String {
    let quoted = ["message: \"", "error: \""].iter().find_map(|start| details.split_once(start));
    let text = quoted.and_then(|(_, rest)| rest.split_once('"')).map_or(details, |(message, _)| message);
    text.chars().take(DETAILS_CHARS_MAX).collect()
}
