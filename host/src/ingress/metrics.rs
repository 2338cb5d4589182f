//! Counters of app traffic, held as handles so that a request costs a few atomic additions.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, gauge, histogram};
use typecase_model::AppName;

use super::Ingress;

/// One app's numbers; they outlive its releases.
pub struct AppMetrics {
    /// By the status's first digit, 1xx to 5xx.
    requests: [Counter; 5],
    duration: Histogram,
    response_bytes: Counter,
    aborted: Counter,
}

impl AppMetrics {
    pub fn new(app: &AppName) -> Self {
        let name = || app.as_str().to_owned();
        Self {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .map(|status| counter!("typecase_requests_total", "app" => name(), "status" => status)),
            duration: histogram!("typecase_request_duration_seconds", "app" => name()),
            response_bytes: counter!("typecase_response_bytes_total", "app" => name()),
            aborted: counter!("typecase_responses_aborted_total", "app" => name()),
        }
    }

    pub(super) fn record(&self, status: u16, bytes: u64, duration: Duration, complete: bool) {
        // Clients treat what is beyond 599 as a server's failure.
        if let Some(counter) = self.requests.get(usize::from(status.min(599) / 100).wrapping_sub(1)) {
            counter.increment(1);
        }
        self.duration.record(duration.as_secs_f64());
        self.response_bytes.increment(bytes);
        if !complete {
            self.aborted.increment(1);
        }
    }
}

/// Apps whose gauges were shown last: one that was withdrawn goes back to zero.
static SHOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Reads the gauges that are only worth their cost when someone asks.
pub fn observe_load(ingress: &Ingress) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for name in std::mem::take(&mut *shown) {
        show(name, 0, 0, 0);
    }
    for app in ingress.routes.load().apps() {
        let Some(component) = &app.release.component else {
            continue;
        };
        let name = app.release.app.as_str().to_owned();
        let (running, waiting) = component.load();
        show(name.clone(), running, waiting, app.release.number.0);
        shown.push(name);
    }
}

fn show(app: String, running: u32, waiting: u32, release: u32) {
    gauge!("typecase_instances_live", "app" => app.clone()).set(running);
    gauge!("typecase_queue_length", "app" => app.clone()).set(waiting);
    gauge!("typecase_active_release", "app" => app).set(release);
}
