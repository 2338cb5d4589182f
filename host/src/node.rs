//! The composition root: how a node is put together, run and taken down, top to bottom.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rustix::fs::FlockOperation;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use typecase_bundle::BundlePolicy;
use typecase_cluster::Announcements;
use typecase_model::NodeId;
use typecase_runtime::{CompilePolicy, Runtime, RuntimePolicy};
use typecase_store::Store;

use crate::admin::{self, Vitals, vitals_router};
use crate::api;
use crate::config::{Config, DATABASE_FILE, LimitsConfig};
use crate::control::{Control, ControlParts, Identity};
use crate::ingress::{self, AccessLogWriter, Ingress};
use crate::lifecycle::Lifecycle;
use crate::reconcile::{self, Apps, LocalReleases, Preparer, Registration};

/// The control plane waits much and computes little; its threads are not the data plane's.
const CONTROL_THREADS: usize = 2;

/// Files that 10,000 connections, 500 apps and the database need together, with room.
const OPEN_FILES: u64 = 65_536;

/// How long the end of a node waits for its database.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Seconds; from a static asset to a slow guest.
const DURATION_BUCKETS: [f64; 12] =
    [0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Runs a node until it is told to stop; returns when everything in flight has ended.
pub fn run(config: Config) -> anyhow::Result<()> {
    // What a node writes, secrets among it, is for its own user, also in a folder that somebody else made.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    raise_open_files();
    // Huge pages would give each app megabytes of memory for the kilobytes that it needs.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let control_runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("starting the control plane's threads")?;
    let result = control_runtime.block_on(run_in_control(config));
    // Whatever is still blocked, on a hung storage for example, must not hold up the exit.
    control_runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn run_in_control(config: Config) -> anyhow::Result<()> {
    let started = Instant::now();

    // The data folder, and nobody else in it.
    let data = &config.node.data;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("making the data folder {}", data.display()))?;
    let _lock = lock(data)?;
    let node_id = node_id(data)?;
    let metrics = install_metrics()?;

    // Clients: the system of record, the doorbell, the bundle storage.
    let store = Store::open_sqlite(&data.join(DATABASE_FILE), &config.storage.path)
        .await
        .context("opening the database")?;
    let announcements = Announcements::in_process();

    // The sandboxes.
    let limits = &config.limits;
    let runtime = Runtime::new(RuntimePolicy {
        instances_max: limits.instances_max,
        memory_mb_max: limits.policy.max.memory_mb,
        compile: CompilePolicy {
            memory_mb: limits.compile_memory_mb,
            timeout_ms: limits.compile_timeout_ms,
            concurrency: limits.compile_concurrency,
        },
        cache: data.join("cache/code"),
    });
    let runtime = Arc::new(runtime.map_err(|error| anyhow!("starting the sandboxes: {error}"))?);

    // Listeners: a port that is taken ends the node here, before it is announced anywhere.
    let admin_listener = TcpListener::bind(config.node.admin)
        .await
        .with_context(|| format!("listening on {} (node.admin, or --admin)", config.node.admin))?;
    let admin_address = admin_listener.local_addr()?;
    let access_log =
        AccessLogWriter::start(&config.log, &data.join("log")).context("opening the access log")?;
    let lifecycle = Arc::new(Lifecycle::default());
    let ingress = Arc::new(Ingress::new(&config.ingress, limits, &access_log, lifecycle.clone()));
    let shards = match config.ingress.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count as usize,
    };
    let shards = ingress::serve(&ingress, config.node.listen, shards)
        .with_context(|| format!("listening on {} (node.listen, or --listen)", config.node.listen))?;

    // The control plane's use cases.
    let password = config.setup.admin_password.as_ref().map(|password| password.expose());
    let identity =
        Identity::start(store.clone(), data, password).await.context("starting the identity service")?;
    let control = Control::new(ControlParts {
        store: store.clone(),
        announcements: announcements.clone(),
        identity: identity.identity,
        limits: limits.policy,
        bundle_policy: bundle_policy(limits),
        uploads_dir: data.join("uploads"),
        rollout_timeout: Duration::from_millis(u64::from(limits.rollout_timeout_ms)),
    })
    .await
    .context("opening the folder for uploads")?;

    // The faces: everything that is asked for on the admin port.
    let vitals = Vitals {
        lifecycle: lifecycle.clone(),
        ingress: ingress.clone(),
        runtime: runtime.clone(),
        metrics: metrics.clone(),
    };
    let router = vitals_router(vitals).merge(api::router(control.clone()));
    tokio::spawn(admin::serve(admin_listener, router));

    // Reconcile: register, load what is active, then follow the database.
    let registration = Registration {
        id: node_id.clone(),
        name: config.node.name.clone(),
        admin: config.node.advertise.clone(),
    };
    registration.register(&store).await.context("registering the node")?;
    let mut tasks = JoinSet::new();
    tasks.spawn(reconcile::heartbeat_forever(store.clone(), registration));
    let local = LocalReleases::open(data.join("cache/bundles"), bundle_policy(limits))
        .context("opening the local cache")?;
    let preparer =
        Preparer::new(store.clone(), runtime.clone(), local.clone(), limits.policy, shards.handles.clone());
    let apps = Apps::new(store.clone(), control, announcements, preparer, ingress.clone(), node_id.clone());
    // From here on a stop is orderly; before, there is nothing to finish.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        loaded = apps.load_all() => loaded.context("reading what should run")?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    lifecycle.set_loaded();
    tasks.spawn(apps.run());
    tasks.spawn(reconcile::collect_forever(store.clone(), local, runtime));
    tasks.spawn(keep_metrics(metrics));
    tracing::info!(
        node.id = %node_id, node.name = %config.node.name, apps.address = %shards.address, admin.address = %admin_address,
        duration_ms = started.elapsed().as_millis() as u64, "ready"
    );
    if let Some(token) = identity.setup_token {
        print_setup_link(&admin_address.to_string(), token.expose());
    }

    // Serve until told to stop, then hand over: fail readiness, wait, close, finish.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("second signal: exiting now");
        std::process::exit(130);
    });
    tracing::info!(delay_ms = config.drain.delay_ms, grace_ms = config.drain.grace_ms, "draining");
    lifecycle.start_draining();
    tokio::time::sleep(Duration::from_millis(u64::from(config.drain.delay_ms))).await;
    lifecycle.closing.cancel();
    let grace_ends = Instant::now() + Duration::from_millis(u64::from(config.drain.grace_ms));
    while !shards.are_finished() && Instant::now() < grace_ends {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if !shards.are_finished() {
        tracing::warn!("the grace period is over; requests in flight are cut off");
    }
    // Whoever still asks the database would only log that it is closed.
    tasks.shutdown().await;
    if let Err(error) = store.sign_off(&node_id).await {
        tracing::warn!("the node could not sign off: {error}");
    }
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
    drop(access_log);
    tracing::info!("stopped");
    Ok(())
}

fn bundle_policy(limits: &LimitsConfig) -> BundlePolicy {
    BundlePolicy { bundle_bytes_max: u64::from(limits.bundle_mb) * 1024 * 1024, ..BundlePolicy::default() }
}

/// Two nodes in one folder would overwrite each other's caches and share an identity.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("another node runs in {}: give this one a folder of its own (--data)", data.display());
    }
    Ok(file)
}

/// The node's lasting identity; made at the first start.
fn node_id(data: &Path) -> anyhow::Result<NodeId> {
    let path = data.join("node-id");
    if let Ok(text) = fs::read_to_string(&path) {
        return text.trim().parse().with_context(|| format!("reading {}", path.display()));
    }
    let id: NodeId = format!("node-{}", uuid::Uuid::now_v7().simple()).parse()?;
    fs::write(&path, id.as_str()).with_context(|| format!("writing {}", path.display()))?;
    Ok(id)
}

fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".into()), &DURATION_BUCKETS)
        .and_then(|builder| builder.install_recorder())
        .context("starting the metrics")
}

/// Folds recorded durations into their buckets, which otherwise happens only when someone scrapes.
async fn keep_metrics(metrics: PrometheusHandle) {
    let mut timer = tokio::time::interval(Duration::from_secs(5));
    loop {
        timer.tick().await;
        metrics.run_upkeep();
    }
}

/// Raises this process's limit of open files as far as it may.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

/// Not a log line: a secret for whoever started the node, shown once.
fn print_setup_link(admin: &str, token: &str) {
    let host = admin.replace("0.0.0.0", "127.0.0.1").replace("[::]", "localhost");
    eprintln!(
        "\n  No account exists yet. Open this link once to set the password of `admin`:\n\n    http://{host}/setup?token={token}\n"
    );
}
