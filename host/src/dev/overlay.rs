//! What `typecase dev` adds to pages: a script that reloads them and shows what is wrong, and a page for when there is
//! nothing else to show.

use std::fmt::Write as _;

use super::build_text::Span;
use super::state::{DevState, Trouble};

pub const CLIENT_PATH: &str = "/.well-known/typecase/dev/client.js";
pub const EVENTS_PATH: &str = "/.well-known/typecase/dev/events";

const CLIENT: &str = include_str!("overlay/client.js");
const STYLE: &str = include_str!("overlay/style.css");

/// The script: pages load it, so that it works under a policy of `script-src 'self'`.
pub fn client() -> String {
    let style = serde_json::Value::from(STYLE);
    format!("(() => {{\nconst STYLE = {style};\nconst EVENTS = \"{EVENTS_PATH}\";\n{CLIENT}}})();\n")
}

/// What is added to a page. It names the release that the page is of, so that a page which missed a change knows it.
pub fn script_tag(mark: &str, request_id: Option<&str>, nonce: Option<&str>) -> String {
    let nonce = nonce.map(|nonce| format!(" nonce=\"{}\"", escaped(nonce))).unwrap_or_default();
    let request = request_id.map(|id| format!("&amp;request={id}")).unwrap_or_default();
    format!("\n<script src=\"{CLIENT_PATH}?serving={mark}{request}\" async{nonce}></script>\n")
}

/// The answer to a browser where the app has none to give.
pub fn page(state: &DevState) -> String {
    let trouble = match state.shown_trouble() {
        Some(trouble) => trouble,
        None => {
            Trouble::new("Building", "This page comes back by itself as soon as the app serves.", "").into()
        }
    };
    let (title, hint, app) = (escaped(&trouble.title), escaped(&trouble.hint), escaped(state.app.as_str()));
    let said = match trouble.text.is_empty() {
        true => String::new(),
        false => format!("<pre>{}</pre>", html(&trouble.text)),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · {app}</title><style>{STYLE}</style></head>\
         <body class=\"typecase-dev\"><div class=\"sheet\"><section class=\"card\">\
         <header><h1>{title}</h1><p>{hint}</p></header>{said}\
         <footer><span>typecase dev · {app}</span></footer></section></div>\
         <script src=\"{CLIENT_PATH}?serving={mark}&amp;page=1\" async></script></body></html>\n",
        mark = state.mark(),
    )
}

fn html(spans: &[Span]) -> String {
    let mut html = String::new();
    for span in spans {
        let text = escaped(&span.text);
        // Writing to a string does not fail.
        let _ = match span.style.as_str() {
            "" => write!(html, "{text}"),
            style => write!(html, "<span class=\"{style}\">{text}</span>"),
        };
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::SharedState;

    #[test]
    fn what_a_compiler_says_stays_text() {
        let state = SharedState::new("hello".parse().unwrap(), Vec::new());
        state.change(|state| {
            let said = "\u{1b}[31merror\u{1b}[0m: <script>alert(\"1\")</script> & more";
            state.trouble = Some(Trouble::new("The build failed", "<b>", said).into());
        });
        let page = page(&state.now());
        assert!(page.contains("<span class=\"red\">error</span>: &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; more"), "{page}");
        assert!(!page.contains("<script>alert") && !page.contains("<b>"));
    }

    #[test]
    fn the_tag_carries_the_pages_nonce() {
        let tag = script_tag("run.3", Some("a-1"), Some("abc+/="));
        assert_eq!(
            tag.trim(),
            "<script src=\"/.well-known/typecase/dev/client.js?serving=run.3&amp;request=a-1\" async nonce=\"abc+/=\"></script>"
        );
    }
}
