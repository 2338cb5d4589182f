//! Numbers of app traffic. Those that each request changes lie side by side, because with many apps every
//! further cache line would have to be fetched from memory.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use typecase_model::AppName;

use super::Ingress;

/// Upper bounds in seconds; from a static asset to a slow guest.
pub const DURATION_BUCKETS_S: [f64; 12] =
    [0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// One app's numbers since the node started; they outlive its releases.
#[derive(Default)]
#[repr(align(64))]
pub struct AppMetrics {
    requests: [AtomicU64; STATUS_CLASSES.len()],
    response_bytes: AtomicU64,
    aborted: AtomicU64,
    duration_ns: AtomicU64,
    /// Requests by their duration; the last counts those beyond the last bound.
    durations: [AtomicU64; DURATION_BUCKETS_S.len() + 1],
}

impl AppMetrics {
    pub(super) fn record(&self, status: u16, bytes: u64, duration: Duration, complete: bool) {
        // Clients treat what is beyond 599 as a server's failure.
        if let Some(count) = self.requests.get(usize::from(status.min(599) / 100).wrapping_sub(1)) {
            count.fetch_add(1, Relaxed);
        }
        self.response_bytes.fetch_add(bytes, Relaxed);
        if !complete {
            self.aborted.fetch_add(1, Relaxed);
        }
        self.duration_ns.fetch_add(duration.as_nanos() as u64, Relaxed);
        let seconds = duration.as_secs_f64();
        let bucket = DURATION_BUCKETS_S.iter().position(|bound| seconds <= *bound);
        self.durations[bucket.unwrap_or(DURATION_BUCKETS_S.len())].fetch_add(1, Relaxed);
    }
}

type Counted = (AppName, Arc<AppMetrics>);

/// The numbers of all apps that this node has served.
#[derive(Default)]
pub struct Metrics(Mutex<BTreeMap<AppName, Arc<AppMetrics>>>);

impl Metrics {
    pub fn of(&self, app: &AppName) -> Arc<AppMetrics> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.entry(app.clone()).or_default().clone()
    }

    fn all(&self) -> Vec<Counted> {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.iter().map(|(app, metrics)| (app.clone(), metrics.clone())).collect()
    }
}

/// All numbers of the data plane in Prometheus' text format 0.0.4.
pub fn text(ingress: &Ingress) -> String {
    let apps = ingress.metrics.all();
    let mut text = Text::default();
    text.family("typecase_requests_total", "counter");
    for (app, metrics) in &apps {
        for (status, count) in STATUS_CLASSES.iter().zip(&metrics.requests) {
            text.sample("", &format!("{{app=\"{app}\",status=\"{status}\"}}"), count.load(Relaxed));
        }
    }
    durations(&mut text, &apps);
    text.family("typecase_response_bytes_total", "counter");
    text.of_each(&apps, |_, metrics| metrics.response_bytes.load(Relaxed));
    text.family("typecase_responses_aborted_total", "counter");
    text.of_each(&apps, |_, metrics| metrics.aborted.load(Relaxed));
    load(&mut text, ingress, &apps);
    text.written
}

fn durations(text: &mut Text, apps: &[Counted]) {
    text.family("typecase_request_duration_seconds", "histogram");
    for (app, metrics) in apps {
        let mut count = 0;
        let bounds = DURATION_BUCKETS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&metrics.durations) {
            count += bucket.load(Relaxed);
            text.sample("_bucket", &format!("{{app=\"{app}\",le=\"{bound}\"}}"), count);
        }
        let labels = format!("{{app=\"{app}\"}}");
        text.sample("_sum", &labels, metrics.duration_ns.load(Relaxed) as f64 / 1e9);
        text.sample("_count", &labels, count);
    }
}

/// What is only worth its cost when someone asks; zero for an app that was withdrawn, not for one that is still to come.
fn load(text: &mut Text, ingress: &Ingress, apps: &[Counted]) {
    if !ingress.lifecycle.is_loaded() {
        return;
    }
    let routes = ingress.routes.load();
    let release = |app: &AppName| routes.app(app).map(|route| &route.release);
    let load = |app: &AppName| {
        let component = release(app).and_then(|release| release.component.as_ref());
        component.map_or((0, 0), |component| component.load())
    };
    text.family("typecase_instances_live", "gauge");
    text.of_each(apps, |app, _| load(app).0.into());
    text.family("typecase_queue_length", "gauge");
    text.of_each(apps, |app, _| load(app).1.into());
    text.family("typecase_active_release", "gauge");
    text.of_each(apps, |app, _| release(app).map_or(0, |release| release.number.0.into()));
}

/// Text in the making.
#[derive(Default)]
struct Text {
    written: String,
    family: &'static str,
}

impl Text {
    /// Begins a metric; its samples have to follow.
    fn family(&mut self, name: &'static str, kind: &str) {
        self.family = name;
        // Writing to memory cannot fail.
        let _ = writeln!(self.written, "# TYPE {name} {kind}");
    }

    fn sample(&mut self, suffix: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.written, "{}{suffix}{labels} {value}", self.family);
    }

    fn of_each(&mut self, apps: &[Counted], value: impl Fn(&AppName, &AppMetrics) -> u64) {
        for (app, metrics) in apps {
            self.sample("", &format!("{{app=\"{app}\"}}"), value(app, metrics));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_holds_it() {
        let app: AppName = "hello".parse().unwrap();
        let metrics = Arc::new(AppMetrics::default());
        for micros in [250, 251, 31_000_000] {
            metrics.record(200, 1, Duration::from_micros(micros), true);
        }
        let mut text = Text::default();
        durations(&mut text, &[(app, metrics)]);
        for line in [
            "# TYPE typecase_request_duration_seconds histogram",
            "typecase_request_duration_seconds_bucket{app=\"hello\",le=\"0.00025\"} 1",
            "typecase_request_duration_seconds_bucket{app=\"hello\",le=\"0.001\"} 2",
            "typecase_request_duration_seconds_bucket{app=\"hello\",le=\"30\"} 2",
            "typecase_request_duration_seconds_bucket{app=\"hello\",le=\"+Inf\"} 3",
            "typecase_request_duration_seconds_sum{app=\"hello\"} 31.000501",
            "typecase_request_duration_seconds_count{app=\"hello\"} 3",
        ] {
            assert!(text.written.lines().any(|found| found == line), "no `{line}` in:\n{}", text.written);
        }
    }
}
