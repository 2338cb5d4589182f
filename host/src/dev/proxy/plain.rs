//! Answers without markup, in a window of their own: text, JSON, and nothing at all. Browsers show them on a page that they
//! make themselves, where no script can be; in its place comes one of ours that looks the same and follows the source.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;

use super::{BoxError, ProxyBody, page};

/// Marks what is not as the app sent it, and says what that was.
const X_TYPECASE_DEV_WRAPPED: HeaderName = HeaderName::from_static("x-typecase-dev-wrapped");

const HEAD: &str = "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
     <meta name=\"color-scheme\" content=\"light dark\">";
/// The parser takes the line end away that follows the tag, and leaves those of the text.
const BEFORE_TEXT: &str = "<pre style=\"white-space: pre-wrap; overflow-wrap: anywhere\">\n";
const AFTER_TEXT: &str = "</pre>\n";

/// The same answer as a page of the release `mark`, with the script. What browsers do not show as text is what it would be
/// anywhere else.
pub fn in_window(response: Response<ProxyBody>, mark: &str) -> Response<ProxyBody> {
    if !page::is_whole(&response) {
        return page::with_script(response, mark);
    }
    let told = response.headers().get(CONTENT_TYPE).cloned();
    let is_empty = response.headers().get(CONTENT_LENGTH).is_some_and(|length| length == "0");
    let Some(shown_as) = shown_as(told.as_ref(), is_empty) else {
        return page::with_script(response, mark);
    };
    let (mut head, body) = response.into_parts();
    // In front of the text, which may go on for ever.
    let tag = page::tag(&head, mark);
    let (before, body, after) = if is_empty {
        let note = format!(
            "{HEAD}{tag}<p style=\"font: 1rem system-ui; opacity: .6\">{} without a body</p>\n",
            head.status
        );
        (note, body, "")
    } else {
        (format!("{HEAD}{tag}{BEFORE_TEXT}"), body, AFTER_TEXT)
    };
    page::forget_copies(&mut head.headers);
    head.headers.remove(CONTENT_LENGTH);
    // Nothing of the app can run on this page, and a policy for data lets nothing run at all.
    head.headers.remove(CONTENT_SECURITY_POLICY);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(shown_as));
    // A script that asks for the same address must not get this.
    head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.headers.insert(X_TYPECASE_DEV_WRAPPED, told.unwrap_or(HeaderValue::from_static("no content type")));
    let [before, after] = [before, after.to_owned()].map(|text| Some(Bytes::from(text)));
    Response::from_parts(head, Escaped { before, body, after }.boxed_unsync())
}

/// The type of our page: in the encoding that the browser would have taken for the text.
fn shown_as(told: Option<&HeaderValue>, is_empty: bool) -> Option<&'static str> {
    let Some(told) = told else { return is_empty.then_some("text/html") };
    let told = told.to_str().ok()?.to_ascii_lowercase();
    let (kind, parameters) = told.split_once(';').unwrap_or((&told, ""));
    let kind = kind.trim();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    if !(is_json || kind == "text/plain" || is_empty && kind.starts_with("text/")) {
        return None;
    }
    let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None if is_json => Some("text/html; charset=utf-8"),
        None => Some("text/html"),
        Some("utf-8" | "utf8" | "us-ascii") => Some("text/html; charset=utf-8"),
        // Rare, and some of them have other bytes for our markup.
        Some(_) => None,
    }
}

/// A body as text within HTML.
struct Escaped {
    before: Option<Bytes>,
    body: ProxyBody,
    after: Option<Bytes>,
}

impl Body for Escaped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(before) = self.before.take() {
            return Poll::Ready(Some(Ok(Frame::data(before))));
        }
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match next {
            None => self.after.take().map(|after| Ok(Frame::data(after))),
            Some(frame) => Some(frame.map(|frame| frame.map_data(|data| escaped(&data)))),
        })
    }
}

/// Byte by byte, as a character may continue in the next piece.
fn escaped(text: &[u8]) -> Bytes {
    let mut escaped = Vec::with_capacity(text.len() + text.len() / 8);
    for byte in text {
        match byte {
            b'&' => escaped.extend_from_slice(b"&amp;"),
            b'<' => escaped.extend_from_slice(b"&lt;"),
            byte => escaped.push(*byte),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::Full;

    use super::*;

    async fn shown(headers: &[(&'static str, &'static str)], text: &'static str) -> (HeaderMap, String) {
        let mut response = Response::builder().header("content-length", text.len());
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {});
        let response = in_window(response.body(body.boxed_unsync()).unwrap(), "run.1");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn text_and_json_become_a_page_that_says_what_they_were() {
        let strict = ("content-security-policy", "default-src 'none'");
        for (kind, page) in [
            ("text/plain", "text/html"),
            ("text/plain;charset=UTF-8", "text/html; charset=utf-8"),
            ("application/problem+json", "text/html; charset=utf-8"),
        ] {
            let (headers, text) = shown(&[("content-type", kind), strict], "\n<b> & ä").await;
            assert_eq!(
                (&headers["content-type"], &headers["x-typecase-dev-wrapped"]),
                (&page.parse().unwrap(), &kind.parse().unwrap())
            );
            assert!(
                text.contains("client.js?serving=run.1") && text.contains("\n\n&lt;b> &amp; ä</pre>"),
                "{text}"
            );
            assert!(
                !headers.contains_key("content-length") && !headers.contains_key("content-security-policy")
            );
        }
        assert!(shown(&[], "").await.1.contains("200 OK without a body"));
    }

    #[tokio::test]
    async fn everything_else_stays() {
        for headers in [
            &[("content-type", "text/csv")][..],
            &[("content-type", "text/event-stream")],
            &[("content-type", "text/plain; charset=utf-16")],
            &[("content-type", "text/plain"), ("content-disposition", "attachment")],
            &[("content-type", "text/plain"), ("content-encoding", "gzip")],
            &[],
        ] {
            let (after, text) = shown(headers, "<b>").await;
            assert_eq!(
                (text.as_str(), &after["content-length"]),
                ("<b>", &"3".parse().unwrap()),
                "{headers:?}"
            );
        }
    }
}
