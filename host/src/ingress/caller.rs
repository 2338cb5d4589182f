//! What the requests of one connection share.

use std::sync::Arc;

use super::Ingress;
use super::forwarded::Peer;

/// Has a count of its own: the threads would fight for one that all requests of the node share.
pub struct Caller {
    pub ingress: Arc<Ingress>,
    pub peer: Peer,
}
