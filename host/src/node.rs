//! The composition root: how a node is put together, run and taken down, top to bottom.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use rustix::fs::FlockOperation;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use typecase_bundle::BundlePolicy;
use typecase_cluster::Announcements;
use typecase_model::NodeId;
use typecase_runtime::{CompilePolicy, Runtime, RuntimePolicy, log_queue};
use typecase_store::{ClusterSecret, Store, StoreError};

use crate::admin::{self, Vitals, vitals_router};
use crate::api;
use crate::config::{Config, DATABASE_FILE};
use crate::control::{Control, ControlParts, Identity};
use crate::ingress::{self, AccessLogWriter, DURATION_BUCKETS_S, Ingress};
use crate::lifecycle::Lifecycle;
use crate::logs::LogKeeper;
use crate::peers::Peers;
use crate::reconcile::{
    self, Apps, Attempts, Heartbeat, LocalReleases, Preparer, Registration, SettingsTask, StorageWatch,
};
use crate::settings::{LiveSettings, LogLevel};

/// The control plane waits much and computes little; its threads are not the data plane's.
const CONTROL_THREADS: usize = 2;

/// Files that 10,000 connections, 500 apps and the database need together, with room.
const OPEN_FILES: u64 = 65_536;

/// What an instance's place in the pool can hold; address space is reserved for that much anyway, so that the
/// settings may raise the maximum that holds for apps.
const MEMORY_MB_MAX: u32 = 4_096;

/// How long the start of a node waits for its bundle storage.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long connections without a request are kept after the listeners have closed. A balancer learns from a refused
/// connection that the node is gone; until then it may send a request into one that it has kept.
const PARTING_MAX: Duration = Duration::from_secs(1);

/// How long the end of a node waits for its database.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a node until it is told to stop; returns when everything in flight has ended.
pub fn run(config: Config, log_level: LogLevel) -> anyhow::Result<()> {
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
    let result = control_runtime.block_on(run_in_control(config, log_level));
    // Whatever is still blocked, on a hung storage for example, must not hold up the exit.
    control_runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn run_in_control(config: Config, log_level: LogLevel) -> anyhow::Result<()> {
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
    // What may change while the node runs; until the database was asked, the configuration.
    let settings = Arc::new(LiveSettings::new(&config, log_level));

    // Clients: the system of record, the doorbell, the bundle storage.
    let (store, announcements) = connect(&config).await?;
    let storage = StorageWatch::default();
    // If it is only away, what was unpacked here before still serves; the node says what it lacks.
    let looked = tokio::time::timeout(STORAGE_TIMEOUT, storage.look(&store)).await;
    if let Ok(Err(error @ StoreError::Refused(_))) = looked {
        return Err(error.into());
    }

    // The sandboxes.
    let limits = &config.limits;
    let policy = RuntimePolicy {
        instances_max: limits.instances_max,
        memory_mb_max: MEMORY_MB_MAX,
        compile: CompilePolicy {
            memory_mb: limits.compile_memory_mb,
            timeout_ms: limits.compile_timeout_ms,
            concurrency: limits.compile_concurrency,
            effort: limits.compile_effort,
        },
        cache: data.join("cache/code"),
        before_guest: ingress::before_guest,
    };
    let (log_sink, log_queue) = log_queue();
    let runtime = Runtime::new(policy, log_sink.clone());
    let runtime = Arc::new(runtime.map_err(|error| {
        anyhow!(
            "starting the sandboxes: {error}; if memory is what lacks, see `typecase doctor` on memory maps"
        )
    })?);
    let app_logs = LogKeeper::start(&config.log, &data.join("log"), &config.node.name, log_sink, log_queue)
        .context("starting the logs of apps")?;

    // Listeners: a port that is taken ends the node here, before it is announced anywhere.
    let admin_listener = TcpListener::bind(config.node.admin)
        .await
        .with_context(|| format!("listening on {} (node.admin, or --admin)", config.node.admin))?;
    let admin_address = admin_listener.local_addr()?;
    let access_log =
        AccessLogWriter::start(&config.log, &data.join("log")).context("opening the access log")?;
    let lifecycle = Arc::new(Lifecycle::default());
    let ingress = Ingress::new(&config.ingress, limits, &access_log, lifecycle.clone(), settings.clone());
    let ingress = Arc::new(ingress);
    let shards = match config.ingress.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count as usize,
    };
    let mut shards = ingress::serve(&ingress, config.node.listen, shards)
        .with_context(|| format!("listening on {} (node.listen, or --listen)", config.node.listen))?;

    // The control plane's use cases.
    let password = config.setup.admin_password.as_ref().map(|password| password.expose());
    let identity = Identity::start(store.clone(), &node_id, data, password)
        .await
        .context("starting the identity service")?;
    let control = Control::new(ControlParts {
        node: node_id.clone(),
        node_name: config.node.name.clone(),
        logs: app_logs.logs.clone(),
        peers: Peers::new(store.peer_key().clone())
            .map_err(|error| anyhow!("asking other nodes: {error}"))?,
        store: store.clone(),
        announcements: announcements.clone(),
        base_domain: config.ingress.base_domain.clone(),
        compiler: runtime.compiler(),
        identity: identity.identity,
        settings: settings.clone(),
        uploads_dir: data.join("uploads"),
    })
    .await
    .context("opening the folder for uploads")?;

    // The faces: everything that is asked for on the admin port.
    let vitals = Vitals { lifecycle: lifecycle.clone(), ingress: ingress.clone(), metrics: metrics.clone() };
    let router = vitals_router(vitals).merge(api::router(control.clone()));
    tokio::spawn(admin::serve(admin_listener, router));

    // Reconcile: register, load what is active, then follow the database.
    let registration = Registration {
        id: node_id.clone(),
        name: config.node.name.clone(),
        admin: with_port(&config.node.advertise, admin_address.port()),
        apps: with_port(&config.node.advertise_apps, shards.address.port()),
    };
    let mut tasks = JoinSet::new();
    let heartbeat = Heartbeat {
        store: store.clone(),
        announcements: announcements.clone(),
        lifecycle: lifecycle.clone(),
        registration,
        storage: storage.clone(),
    };
    heartbeat.begin().await.context("registering the node")?;
    tasks.spawn(heartbeat.run());
    tasks.spawn(storage.run(store.clone()));
    let local = LocalReleases::open(data.join("cache/bundles"), accepted_bundles())
        .context("opening the local cache")?;
    let preparer = Preparer::new(
        store.clone(),
        announcements.clone(),
        runtime.clone(),
        local.clone(),
        Attempts::open(data.join("cache/attempts")).context("opening the local cache")?,
        settings.clone(),
        shards.handles.clone(),
    );
    let mut settings_task = SettingsTask::new(store.clone(), settings.clone(), node_id.clone());
    if let Err(error) = settings_task.look().await {
        tracing::warn!("the cluster's settings cannot be read yet; the configuration holds: {error}");
    }
    tasks.spawn(settings_task.run(announcements.clone()));
    let apps =
        Apps::new(store.clone(), control, announcements.clone(), preparer, ingress.clone(), node_id.clone());
    // From here on a stop is orderly; before, there is nothing to finish.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        loaded = apps.load_all() => loaded.context("reading what should run")?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    shards.open().with_context(|| format!("listening on {} (node.listen, or --listen)", shards.address))?;
    lifecycle.set_loaded();
    tasks.spawn(apps.run());
    tasks.spawn(reconcile::heal_forever(store.clone(), local.clone(), announcements.clone()));
    tasks.spawn(reconcile::collect_forever(store.clone(), node_id.clone(), local, runtime, settings.clone()));
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
    let drain = settings.load().effective.drain.clone();
    tracing::info!(delay_ms = drain.delay_ms, grace_ms = drain.grace_ms, "draining");
    lifecycle.start_draining();
    tokio::time::sleep(Duration::from_millis(u64::from(drain.delay_ms))).await;
    lifecycle.closing.cancel();
    let parting = Instant::now() + PARTING_MAX.min(Duration::from_millis(u64::from(drain.delay_ms)));
    while !shards.are_finished() && Instant::now() < parting {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    lifecycle.parting.cancel();
    let grace_ends = Instant::now() + Duration::from_millis(u64::from(drain.grace_ms));
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
    announcements.close().await;
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
    drop(access_log);
    drop(app_logs);
    tracing::info!("stopped");
    Ok(())
}

/// What was published is unpacked, though the limit for uploads may be lower by now.
fn accepted_bundles() -> BundlePolicy {
    BundlePolicy { bundle_bytes_max: u64::from(u32::MAX), ..BundlePolicy::default() }
}

/// Port 0 asks the system for one; others must be told which it was.
fn with_port(advertised: &str, port: u16) -> String {
    match advertised.strip_suffix(":0") {
        Some(host) => format!("{host}:{port}"),
        None => advertised.to_owned(),
    }
}

/// The services that a cluster shares, or what takes their place on a single node.
async fn connect(config: &Config) -> anyhow::Result<(Store, Announcements)> {
    let Some(cluster) = &config.cluster else {
        let database = config.node.data.join(DATABASE_FILE);
        let secret = node_secret(&config.node.data)?;
        let store = Store::open_alone(&database, &config.storage.path, config.storage.durable, &secret).await;
        return Ok((store.context("opening the database")?, Announcements::in_process()));
    };
    let store = Store::open_cluster(&cluster.database, &cluster.storage, &cluster.secret)
        .await
        .context("joining the cluster")?;
    let id = store.cluster_id().unwrap_or_default();
    let announcements = Announcements::redis(cluster.redis.clone(), id);
    Ok((store, announcements))
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

/// What a node without a cluster seals apps' secrets with; made at the first start. Whoever restores a database
/// without it has to set those secrets again.
fn node_secret(data: &Path) -> anyhow::Result<ClusterSecret> {
    let path = data.join("secret");
    if !path.exists() {
        let mut random = [0; 32];
        OsRng.try_fill_bytes(&mut random).context("asking the system for random numbers")?;
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        // Whole or not at all: half a secret after a power cut would stop the next start.
        let unfinished = data.join("secret.unfinished");
        let write = || -> std::io::Result<()> {
            let options = &mut File::options();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(data)?.sync_all()
        };
        write().with_context(|| format!("writing {}", path.display()))?;
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    ClusterSecret::new(text.trim()).map_err(|problem| anyhow!("{}: {problem}", path.display()))
}

fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".into()), &DURATION_BUCKETS_S)
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
