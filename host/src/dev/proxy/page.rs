//! The script in pages: added after the last byte of HTML that a person will look at, whatever its size, without
//! holding the stream up and without reading it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::{BoxError, ProxyBody};
use crate::dev::overlay;

/// Has a page come whole and uncompressed: only then can something be added.
pub fn ask_for_plain(headers: &mut HeaderMap) {
    for name in [ACCEPT_ENCODING, RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE] {
        headers.remove(name);
    }
}

/// Adds the script for a page of the release `mark`, if the answer is a page.
pub fn with_script(response: Response<ProxyBody>, mark: &str) -> Response<ProxyBody> {
    let has_body = response.headers().get(CONTENT_LENGTH).is_none_or(|length| length != "0");
    if !has_body || !is_whole(&response) || !says(response.headers(), CONTENT_TYPE, "text/html") {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let tag = Bytes::from(tag(&head, mark));
    let length =
        head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length + tag.len() as u64));
    }
    forget_copies(&mut head.headers);
    Response::from_parts(head, WithTail { body, tail: Some(tag) }.boxed_unsync())
}

/// The script for the answer that begins with this.
pub fn tag(head: &Parts, mark: &str) -> String {
    // Only pages that say that a request failed have something to ask about it.
    let request_id = head.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let failed = request_id.filter(|id| head.status.is_server_error() && is_id(id));
    overlay::script_tag(mark, failed, nonce(&head.headers))
}

/// A copy that a browser keeps names a release, and would do so for ever if it could be confirmed.
pub fn forget_copies(headers: &mut HeaderMap) {
    headers.remove(ETAG);
    headers.remove(LAST_MODIFIED);
}

/// Whether it is the whole of something that browsers show, and can be read.
pub fn is_whole(response: &Response<ProxyBody>) -> bool {
    let (status, headers) = (response.status(), response.headers());
    let is_shown = status != StatusCode::PARTIAL_CONTENT
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
        && !status.is_redirection()
        && !says(headers, CONTENT_DISPOSITION, "attachment");
    is_shown && (!headers.contains_key(CONTENT_ENCODING) || says(headers, CONTENT_ENCODING, "identity"))
}

fn says(headers: &HeaderMap, name: HeaderName, text: &str) -> bool {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let start = value.and_then(|value| value.get(..text.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(text))
}

fn is_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The nonce that the page's own policy asks of scripts; without it a strict policy keeps the script out.
fn nonce(headers: &HeaderMap) -> Option<&str> {
    let policies = headers.get_all(CONTENT_SECURITY_POLICY);
    let mut sources = policies
        .iter()
        .filter_map(|policy| policy.to_str().ok())
        .flat_map(|policy| policy.split([';', ',']))
        .filter(|directive| {
            directive.trim_start().starts_with("script-src")
                || directive.trim_start().starts_with("default-src")
        })
        .flat_map(|directive| directive.split_ascii_whitespace());
    sources.find_map(|source| source.strip_prefix("'nonce-")?.strip_suffix('\''))
}

/// A body, and something after it.
struct WithTail {
    body: ProxyBody,
    tail: Option<Bytes>,
}

impl Body for WithTail {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match next {
            None => self.tail.take().map(|tail| Ok(Frame::data(tail))),
            frame => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.tail.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let tail = self.tail.as_ref().map_or(0, |tail| tail.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + tail);
        }
        hint.set_lower(hint.lower() + tail);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn page(headers: &[(&'static str, &'static str)]) -> Response<ProxyBody> {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let body = Full::new(Bytes::from_static(b"<p>hi")).map_err(|never| match never {});
        response.body(body.boxed_unsync()).unwrap()
    }

    async fn shown(response: Response<ProxyBody>) -> (HeaderMap, String) {
        let response = with_script(response, "run.1");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn pages_get_the_script_and_everything_else_stays() {
        let html = ("content-type", "text/html; charset=utf-8");
        let (headers, text) = shown(page(&[html, ("content-length", "5"), ("etag", "\"a\"")])).await;
        assert!(
            text.starts_with("<p>hi\n<script src=\"/.well-known/typecase/dev/client.js?serving=run.1\""),
            "{text}"
        );
        assert_eq!(headers["content-length"], text.len().to_string().as_str());
        assert!(!headers.contains_key("etag"));
        for others in [
            &[("content-type", "application/json")][..],
            &[html, ("content-encoding", "br")],
            &[html, ("content-disposition", "attachment; filename=a.html")],
            &[],
        ] {
            assert_eq!(shown(page(others)).await.1, "<p>hi", "{others:?}");
        }
        let policy =
            ("content-security-policy", "default-src 'none'; script-src 'nonce-r4nd0m' 'strict-dynamic'");
        assert!(shown(page(&[html, policy])).await.1.contains("nonce=\"r4nd0m\""));
    }
}
