//! One GET, enough to see that an example answers without asking for curl.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// An endless stream is read this far.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long an answer that goes on is listened to, once its first piece is there.
const MORE_TIMEOUT: Duration = Duration::from_millis(200);
const SHOWN_CHARACTERS: usize = 80;

pub struct Answer {
    pub status: u16,
    pub first_line: String,
}

/// HTTP/1.0, so that the body comes without chunks and ends with the connection.
pub fn get(address: &str, path: &str, timeout: Duration) -> Result<Answer> {
    let address: SocketAddr = address.parse()?;
    let deadline = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    while received.len() < ANSWER_BYTES_MAX && Instant::now() < deadline {
        let patience = if body(&received).is_some_and(|body| !body.is_empty()) {
            MORE_TIMEOUT
        } else {
            deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
        };
        stream.set_read_timeout(Some(patience))?;
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(length) => received.extend_from_slice(&piece[..length]),
        }
    }
    let status = received
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .context("no answer of HTTP came back")?;
    let text = String::from_utf8_lossy(body(&received).unwrap_or_default()).into_owned();
    let first_line = text.lines().next().unwrap_or_default().chars().take(SHOWN_CHARACTERS).collect();
    Ok(Answer { status, first_line })
}

fn body(received: &[u8]) -> Option<&[u8]> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(&received[end + 4..])
}
