//! What is told to browsers: which release serves, and what is wrong with the newest source.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use typecase_model::AppName;

use super::build_text::{self, Span};

/// Failed requests whose pages may ask why; the page of a request asks within seconds.
const CRASHES_MAX: usize = 16;
/// More than a page shows.
const CRASH_BYTES_MAX: usize = 64 << 10;

/// The state as it is now; everybody who has one sees all changes.
#[derive(Debug, Clone)]
pub struct SharedState(Arc<watch::Sender<DevState>>);

#[derive(Debug, Clone)]
pub struct DevState {
    /// Another one for each run of the command: pages may be older than that.
    pub run: String,
    pub app: AppName,
    /// Host names that lead to the app without a prefix.
    pub hosts: Vec<String>,
    /// Where the node serves; none while there is no node.
    pub node: Option<SocketAddr>,
    /// Where its API is.
    pub admin: Option<SocketAddr>,
    pub serving: Option<Serving>,
    pub is_building: bool,
    /// Why the newest source does not serve.
    pub trouble: Option<Arc<Trouble>>,
    /// Requests that failed lately.
    crashes: VecDeque<Arc<Crash>>,
}

#[derive(Debug, Clone)]
struct Crash {
    request_id: String,
    said: String,
}

/// The release that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    pub release: u32,
    /// A page of that release needs only new style sheets.
    pub styles_since: Option<u32>,
}

/// What went wrong, in a form that pages can show.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A few words.
    pub title: String,
    /// What to do, or where.
    pub hint: String,
    pub text: Vec<Span>,
}

impl Trouble {
    /// `text` may hold terminal escapes.
    pub fn new(title: &str, hint: &str, text: &str) -> Self {
        let (title, hint) = (title.to_owned(), hint.to_owned());
        Self { title, hint, text: build_text::spans(text.trim_end()) }
    }

    fn document(&self, note: &str) -> Value {
        json!({ "title": self.title, "hint": self.hint, "note": note, "text": self.text })
    }
}

impl SharedState {
    pub fn new(app: AppName, hosts: Vec<String>) -> Self {
        let run = uuid::Uuid::now_v7().simple().to_string();
        let state = DevState {
            run,
            app,
            hosts,
            node: None,
            admin: None,
            serving: None,
            is_building: false,
            trouble: None,
            crashes: VecDeque::new(),
        };
        Self(Arc::new(watch::Sender::new(state)))
    }

    pub fn change(&self, change: impl FnOnce(&mut DevState)) {
        self.0.send_modify(change);
    }

    /// Notes what was said about a request that failed, for the page that it was answered with.
    pub fn crashed(&self, request_id: &str, said: &str) {
        self.change(|state| {
            let known = state.crashes.iter_mut().find(|crash| crash.request_id == request_id);
            if let Some(known) = known {
                let before = &mut Arc::make_mut(known).said;
                if before.len() + said.len() < CRASH_BYTES_MAX {
                    before.push('\n');
                    before.push_str(said);
                }
                return;
            }
            if state.crashes.len() == CRASHES_MAX {
                state.crashes.pop_front();
            }
            let crash = Crash { request_id: request_id.to_owned(), said: said.to_owned() };
            state.crashes.push_back(Arc::new(crash));
        });
    }

    pub fn now(&self) -> DevState {
        self.0.borrow().clone()
    }

    pub fn changes(&self) -> watch::Receiver<DevState> {
        self.0.subscribe()
    }
}

impl DevState {
    /// Names a release across runs; what pages compare.
    pub fn mark(&self) -> String {
        self.mark_of(self.serving.map(|serving| serving.release))
    }

    fn mark_of(&self, release: Option<u32>) -> String {
        let release = release.map_or_else(|| "none".to_owned(), |release| release.to_string());
        format!("{}.{release}", self.run)
    }

    /// What still serves, for people.
    pub fn what_serves(&self) -> String {
        match self.serving {
            Some(Serving { release, .. }) => format!("release {release} still serves"),
            None => "nothing serves yet".to_owned(),
        }
    }

    /// For the script in a page; in one that says that a request failed, with the reason.
    pub fn document(&self, request_id: Option<&str>) -> Value {
        let styles_since = self.serving.and_then(|serving| serving.styles_since);
        let crash = self.crashes.iter().find(|crash| Some(crash.request_id.as_str()) == request_id);
        let crash = crash.map(|crash| {
            let Crash { request_id, said } = &**crash;
            let trouble = Trouble::new("The app failed", &format!("request {request_id}"), said);
            trouble.document("the terminal shows what else the request wrote")
        });
        json!({
            "serving": self.mark(),
            "stylesSince": styles_since.map(|release| self.mark_of(Some(release))),
            "building": self.is_building,
            "trouble": self.shown_trouble().map(|trouble| trouble.document(&self.what_serves())),
            "crash": crash,
        })
    }

    /// A node that is gone comes before whatever is wrong with the source.
    pub fn shown_trouble(&self) -> Option<Arc<Trouble>> {
        match self.node {
            None if self.serving.is_some() => {
                let hint = "This page comes back by itself as soon as it answers.";
                Some(Arc::new(Trouble::new("The development node is being started again", hint, "")))
            }
            _ => self.trouble.clone(),
        }
    }
}
