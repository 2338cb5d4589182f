//! Takes an answer apart into lines, as they come.

use std::time::Duration;

use reqwest::Response;

/// The server sends an empty line every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// The largest entry, with every character escaped, and room for a newer server's.
const LINE_BYTES_MAX: usize = 1 << 20;

pub struct Lines {
    response: Response,
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("{0}")]
    Broken(String),
    #[error("nothing came for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("a line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
}

impl Lines {
    pub fn of(response: Response) -> Self {
        Self { response, buffer: Vec::new(), start: 0 }
    }

    /// The next line that says something; none at the end.
    pub async fn next(&mut self) -> Result<Option<String>, LineError> {
        loop {
            if let Some(length) = self.buffer[self.start..].iter().position(|byte| *byte == b'\n') {
                let line = &self.buffer[self.start..self.start + length];
                self.start += length + 1;
                if !line.is_empty() {
                    return Ok(Some(String::from_utf8_lossy(line).into_owned()));
                }
                continue;
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(LineError::TooLong);
            }
            match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Err(_) => return Err(LineError::Silent),
                Ok(Err(error)) => return Err(LineError::Broken(super::super::client::root_cause(&error))),
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
            }
        }
    }
}
