//! What guests write to stdout and stderr: log lines of their app, within a budget.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::labels::ComponentLabels;

/// A longer line is cut into several.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// What one request may write before the rest is dropped: a guest that writes forever must not fill the
/// operator's disk or slow down others' logs.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// One stream of one instance. Clones share the line under construction and the budget.
#[derive(Clone)]
pub(crate) struct GuestOutput(Arc<Mutex<Lines>>);

struct Lines {
    labels: Arc<ComponentLabels>,
    request_id: Arc<str>,
    stream: &'static str,
    line: Vec<u8>,
    written_bytes: usize,
}

impl GuestOutput {
    pub(crate) fn new(labels: Arc<ComponentLabels>, request_id: Arc<str>, stream: &'static str) -> Self {
        Self(Arc::new(Mutex::new(Lines { labels, request_id, stream, line: Vec::new(), written_bytes: 0 })))
    }

    /// The lines and the budget of the next request of a reused instance.
    pub(crate) fn begin_request(&self, request_id: Arc<str>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.emit();
        lines.written_bytes = 0;
        lines.request_id = request_id;
    }

    fn append(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(bytes);
    }
}

impl Lines {
    fn append(&mut self, bytes: &[u8]) {
        if self.written_bytes > OUTPUT_BYTES_MAX {
            return;
        }
        self.written_bytes += bytes.len();
        if self.written_bytes > OUTPUT_BYTES_MAX {
            self.emit();
            self.line.extend_from_slice(
                format!("(output beyond {OUTPUT_BYTES_MAX} bytes per request is dropped)").as_bytes(),
            );
            self.emit();
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(LINE_BYTES_MAX) {
                self.line.extend_from_slice(part);
                if part.ends_with(b"\n") || self.line.len() >= LINE_BYTES_MAX {
                    self.emit();
                }
            }
        }
    }

    fn emit(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end();
        if !text.is_empty() {
            tracing::info!(
                target: "guest",
                {
                    app.name = %self.labels.app,
                    release.number = self.labels.release,
                    request.id = %self.request_id,
                    stream = self.stream,
                },
                "{text}"
            );
        }
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.emit();
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}

impl Pollable for GuestOutput {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(()))
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
