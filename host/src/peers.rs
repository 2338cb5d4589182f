//! Asks other nodes of the cluster over their admin ports. Read-only, signed for one node and one question, and with a
//! deadline on every step: a node that hangs costs its part of an answer and no more.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Response};
use typecase_model::Node;
use typecase_store::PeerKey;

/// The scheme of `Authorization` between nodes.
pub const SCHEME: &str = "Node";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Until the head of the answer; whoever answers reads a few files first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);

/// A stream carries something every few seconds, if only an empty line.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The longest line is an entry of the largest size, with every character escaped.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// The other nodes, for whoever has a question.
#[derive(Debug, Clone)]
pub struct Peers {
    http: Client,
    key: PeerKey,
}

/// The lines of an answer, as they come.
#[derive(Debug)]
pub struct PeerLines {
    response: Response,
    buffer: BytesMut,
}

/// Why a node's answer is missing, as a sentence that reads on from its name.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("does not answer at {address}: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("refused the question: {status}")]
    Refused { status: u16 },
    #[error("stopped in the middle of its answer")]
    BrokenOff,
}

impl Peers {
    pub fn new(key: PeerKey) -> Result<Self, String> {
        let builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // Nodes reach each other directly, whatever proxy the environment names for the world outside.
            .no_proxy();
        Ok(Self { http: builder.build().map_err(|error| error.to_string())?, key })
    }

    /// Asks a node for a path with its query. The answer has one thing on each line.
    pub async fn ask(&self, node: &Node, path: &str) -> Result<PeerLines, PeerError> {
        let unreachable = |reason: String| PeerError::Unreachable { address: node.admin.clone(), reason };
        let signature = self.key.sign(&signed_text(node.id.as_str(), path));
        let mut credential = HeaderValue::try_from(format!("{SCHEME} {signature}"))
            .map_err(|error| unreachable(error.to_string()))?;
        credential.set_sensitive(true);
        let request = self.http.get(format!("http://{}{path}", node.admin)).header(AUTHORIZATION, credential);
        let response = match tokio::time::timeout(HEAD_TIMEOUT, request.send()).await {
            Err(_) => return Err(unreachable(format!("nothing came within {} s", HEAD_TIMEOUT.as_secs()))),
            Ok(Err(error)) => return Err(unreachable(root_cause(&error))),
            Ok(Ok(response)) => response,
        };
        match response.status().as_u16() {
            200 => Ok(PeerLines { response, buffer: BytesMut::new() }),
            status => Err(PeerError::Refused { status }),
        }
    }

    /// Whether a question to this node was signed by a node of its cluster.
    pub fn is_signed(&self, here: &str, path: &str, signature: &str) -> bool {
        self.key.is_signature_of(&signed_text(here, path), signature)
    }
}

/// Only for one node, and for one question to it.
fn signed_text(node: &str, path: &str) -> String {
    format!("GET {path}\n{node}")
}

impl PeerLines {
    /// The next line without its end; none at the end of the answer. Lines that say only that somebody is there are
    /// left out.
    pub async fn next(&mut self) -> Result<Option<Bytes>, PeerError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1).freeze();
                if end > 0 {
                    return Ok(Some(line.slice(..end)));
                }
                continue;
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(PeerError::BrokenOff);
            }
            match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(_)) | Err(_) => return Err(PeerError::BrokenOff),
            }
        }
    }
}

/// The innermost cause; what stands around it repeats the address.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
