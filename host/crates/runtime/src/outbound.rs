//! Outgoing HTTP requests of guests: refused, because no release can be granted them yet.
//!
//! Sockets are refused by the WASI context itself, whose default allows no address.

use std::sync::Arc;

use typecase_model::{EntryLevel, EntrySource};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::log_sink::{AppLog, Words};

/// What `wasi:http` asks the host about; one per instance and without state.
pub(crate) struct Hooks {
    pub(crate) log: Arc<AppLog>,
    /// Of the request that is being answered.
    pub(crate) request_id: Arc<str>,
    /// One entry for each instance: guests must not fill the log.
    pub(crate) told: bool,
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    // The provided method makes a closure per header, on the path of every request.
    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send> {
        if !std::mem::replace(&mut self.told, true) {
            let host = request.uri().host().unwrap_or_default();
            let message =
                format!("outgoing request to `{host}` refused: this server grants no outbound hosts");
            self.log.write(
                &self.request_id,
                &Words {
                    level: EntryLevel::Warn,
                    source: EntrySource::Host,
                    message: &message,
                    context: None,
                    error_code: None,
                },
            );
        }
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
