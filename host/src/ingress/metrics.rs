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
    let mut text = Text(String::new());
    text.family("typecase_requests_total", "counter");
    for (app, metrics) in &apps {
        for (status, count) in STATUS_CLASSES.iter().zip(&metrics.requests) {
            let labels = format!("{{app=\"{app}\",status=\"{status}\"}}");
            text.sample("typecase_requests_total", &labels, count.load(Relaxed));
        }
    }
    counter(&mut text, "typecase_response_bytes_total", &apps, |metrics| &metrics.response_bytes);
    counter(&mut text, "typecase_responses_aborted_total", &apps, |metrics| &metrics.aborted);
    durations(&mut text, &apps);
    load(&mut text, &apps, ingress);
    text.0
}

fn counter(text: &mut Text, name: &str, apps: &[Counted], count: fn(&AppMetrics) -> &AtomicU64) {
    text.family(name, "counter");
    for (app, metrics) in apps {
        text.sample(name, &format!("{{app=\"{app}\"}}"), count(metrics).load(Relaxed));
    }
}

fn durations(text: &mut Text, apps: &[Counted]) {
    text.family("typecase_request_duration_seconds", "histogram");
    for (app, metrics) in apps {
        let mut count = 0;
        let bounds = DURATION_BUCKETS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&metrics.durations) {
            count += bucket.load(Relaxed);
            let labels = format!("{{app=\"{app}\",le=\"{bound}\"}}");
            text.sample("typecase_request_duration_seconds_bucket", &labels, count);
        }
        let labels = format!("{{app=\"{app}\"}}");
        let seconds = metrics.duration_ns.load(Relaxed) as f64 / 1e9;
        text.sample("typecase_request_duration_seconds_sum", &labels, seconds);
        text.sample("typecase_request_duration_seconds_count", &labels, count);
    }
}

/// What is only worth its cost when someone asks; zero for an app that was withdrawn.
fn load(text: &mut Text, apps: &[Counted], ingress: &Ingress) {
    let routes = ingress.routes.load();
    let [mut running, mut waiting, mut active] = [const { Vec::new() }; 3];
    for (app, _) in apps {
        let release = routes.app(app).map(|route| &route.release);
        let component = release.and_then(|release| release.component.as_ref());
        let (runs, waits) = component.map_or((0, 0), |component| component.load());
        running.push(runs);
        waiting.push(waits);
        active.push(release.map_or(0, |release| release.number.0));
    }
    for (name, values) in [
        ("typecase_instances_live", running),
        ("typecase_queue_length", waiting),
        ("typecase_active_release", active),
    ] {
        text.family(name, "gauge");
        for ((app, _), value) in apps.iter().zip(values) {
            text.sample(name, &format!("{{app=\"{app}\"}}"), value);
        }
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str) {
        // Writing to memory cannot fail.
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
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
        let mut text = Text(String::new());
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
            assert!(text.0.lines().any(|found| found == line), "no `{line}` in:\n{}", text.0);
        }
    }
}
