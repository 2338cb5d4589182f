//! One run over one project: what is built and served, turn by turn.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use typecase_model::AppName;

use super::overtaken::{Overtaken, Verdict};
use super::publish::{self, Published};
use super::source::Source;
use super::terminal::{Served, Terminal};
use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::project::{BuildFailed, BuildOutput, Built, Project};
use crate::dev::{Changes, Serving, SharedState, Trouble, Watcher, Watching};

/// A node that was started again is there within seconds.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);

/// What takes longest between a build and its release.
const PREPARING: &str = "compiling for this machine";

pub struct Session {
    source: Source,
    project: Project,
    data: PathBuf,
    state: SharedState,
    terminal: Terminal,
    watcher: Watcher,
    /// The last build failed: what lies there is not what the source says.
    is_broken: bool,
    /// What serves is an app of another name.
    renamed: bool,
    overtaken: Overtaken,
    /// The way to the node at this address.
    client: Option<(SocketAddr, Arc<Client>)>,
}

/// How a turn ended.
enum Turn {
    Done,
    /// More has changed meanwhile; what is to be done about it may have to wait.
    Again(Changes, Duration),
}

impl Session {
    pub fn new(
        source: Source,
        project: Project,
        data: PathBuf,
        state: SharedState,
        terminal: Terminal,
    ) -> Result<Self, Failure> {
        let watcher = Watcher::new(&watching(&project, data.clone())).map_err(|error| not_watched(&error))?;
        let overtaken = Overtaken::default();
        Ok(Self {
            source,
            project,
            data,
            state,
            terminal,
            watcher,
            is_broken: false,
            renamed: false,
            overtaken,
            client: None,
        })
    }

    pub fn app(&self) -> &AppName {
        &self.project.manifest().app.name
    }

    pub fn state(&self) -> &SharedState {
        &self.state
    }

    /// The first build: without it there is nothing to serve, so its failure is the end.
    pub async fn build_first(&mut self) -> Result<(), Failure> {
        self.terminal.building(&self.project);
        match self.project.build(self.output()).await {
            Ok(built) => {
                if self.project.manifest().build.is_some() {
                    self.terminal.built(&built);
                }
                Ok(())
            }
            Err(BuildFailed { mut failure, output }) => {
                if self.output() == BuildOutput::Captured && !output.is_empty() {
                    failure.document["output"] = crate::dev::without_escapes(&output).into();
                }
                Err(failure)
            }
        }
    }

    /// Sets what was given on the command line; ends what served under another name.
    pub async fn configure(&mut self, values: &[(String, String)]) -> Result<(), Failure> {
        let client = self.client().await?;
        publish::keep_few_releases(&client).await?;
        publish::withdraw_others(&client, self.app()).await?;
        publish::configure(&client, self.app(), values).await
    }

    pub async fn publish_first(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        let client = self.client().await?;
        let published = self.terminal.counted(PREPARING, publish::publish(&client, &self.project)).await;
        let published = published.map_err(|failure| self.advised(failure))?;
        self.serves(published, false);
        self.terminal.served(&Served {
            release: published.release,
            took: started.elapsed(),
            ..Served::default()
        });
        Ok(())
    }

    /// Follows the source for ever; only a watcher that fails ends it.
    pub async fn follow(&mut self) -> Failure {
        let mut pending = Changes::default();
        loop {
            if pending.is_empty() {
                match self.watcher.next().await {
                    Ok(changes) => pending = changes,
                    Err(error) => return not_watched(&error),
                }
            }
            let (changes, pause) = match self.turn(pending).await {
                Ok(Turn::Done) => (Changes::default(), Duration::ZERO),
                Ok(Turn::Again(changes, pause)) => (changes, pause),
                Err(failure) => return failure,
            };
            pending = changes;
            self.state.change(|state| state.is_building = false);
            if !pause.is_zero()
                && let Ok(more) = tokio::time::timeout(pause, self.watcher.next()).await
            {
                match more {
                    Ok(more) => pending.merge(more),
                    Err(error) => return not_watched(&error),
                }
                // Nothing was built, so somebody is at work.
                self.overtaken.forget();
            }
        }
    }

    /// Takes one set of changes to what serves, or says why not.
    async fn turn(&mut self, mut changes: Changes) -> Result<Turn, Failure> {
        if changes.manifest()
            && let Err(failure) = self.reopen()
        {
            self.terminal.changed(&changes);
            self.is_broken = true;
            self.report("The manifest has an error", &failure, "");
            return Ok(Turn::Done);
        }
        let builds = self.project.manifest().build.is_some() && changes.need_build();
        if self.is_broken && !changes.need_build() {
            self.terminal.waits(&changes, &self.state.now());
            return Ok(Turn::Done);
        }
        let mut built = None;
        let mut late = Changes::default();
        if builds {
            self.terminal.changed(&changes);
            self.state.change(|state| state.is_building = true);
            match self.build_unless_overtaken(&mut changes, &mut late).await? {
                None => return Ok(Turn::Again(changes, Duration::ZERO)),
                Some(Ok(done)) => built = Some(done),
                Some(Err(BuildFailed { failure, output })) => {
                    self.is_broken = true;
                    self.report("The build failed", &failure, &output);
                    return Ok(self.after_build(late));
                }
            }
        }
        self.is_broken = false;
        // What is packed now needs no turn of its own.
        late.merge(self.watcher.changes_so_far().map_err(|error| not_watched(&error))?);
        self.publish(&changes, built).await;
        Ok(self.after_build(late))
    }

    /// Runs the build, unless sources change meanwhile: then what it makes is of no use any more.
    async fn build_unless_overtaken(
        &mut self,
        changes: &mut Changes,
        late: &mut Changes,
    ) -> Result<Option<Result<Built, BuildFailed>>, Failure> {
        let project = self.project.clone();
        let build = project.build(self.output());
        tokio::pin!(build);
        loop {
            let more = tokio::select! {
                built = &mut build => return Ok(Some(built)),
                more = self.watcher.next() => more.map_err(|error| not_watched(&error))?,
            };
            if more.need_build() && self.overtaken.ends_builds() {
                self.overtaken.add(&more);
                changes.merge(more);
                return Ok(None);
            }
            late.merge(more);
        }
    }

    /// What is left to do for changes that came while a build ran. What is packed as it is has been.
    fn after_build(&mut self, late: Changes) -> Turn {
        if !late.need_build() || self.project.manifest().build.is_none() {
            self.overtaken.forget();
            return Turn::Done;
        }
        match self.overtaken.add(&late) {
            Verdict::Again(pause) => Turn::Again(late, pause),
            Verdict::ByBuild => {
                let paths: Vec<&str> = late.paths().collect();
                self.terminal.note(&format!(
                    "{} changes in the course of each build, which seems to write it: it is not watched any more; say what is, with `watch` in [build]",
                    paths.join(", ")
                ));
                self.watcher.ignore(&late);
                self.overtaken.forget();
                Turn::Done
            }
        }
    }

    async fn publish(&mut self, changes: &Changes, built: Option<Built>) {
        let started = Instant::now();
        let published = self.publish_now().await;
        match published {
            Ok(published) => {
                self.serves(published, changes.only_styles());
                self.terminal.served(&Served {
                    changes: built.is_none().then(|| changes.clone()),
                    built,
                    release: published.release,
                    unchanged: published.unchanged,
                    took: started.elapsed(),
                });
            }
            Err(failure) => {
                if built.is_none() {
                    self.terminal.changed(changes);
                }
                let failure = self.advised(failure);
                self.report("The release was refused", &failure, "");
            }
        }
    }

    async fn publish_now(&mut self) -> Result<Published, Failure> {
        let client = self.client().await?;
        if self.renamed {
            publish::withdraw_others(&client, self.app()).await?;
            self.renamed = false;
            self.state.change(|state| state.serving = None);
        }
        self.terminal.counted(PREPARING, publish::publish(&client, &self.project)).await
    }

    /// Reads the manifest again, and what it says about everything else.
    fn reopen(&mut self) -> Result<(), Failure> {
        let project = self.source.open()?;
        self.watcher.follow(&watching(&project, self.data.clone())).map_err(|error| not_watched(&error))?;
        let (app, hosts) = (project.manifest().app.name.clone(), hosts(&project));
        self.renamed |= app != *self.app();
        self.state.change(|state| (state.app, state.hosts) = (app, hosts));
        self.project = project;
        Ok(())
    }

    fn serves(&self, published: Published, only_styles: bool) {
        self.state.change(|state| {
            let before = state.serving.map(|serving| serving.release);
            state.trouble = None;
            state.is_building = false;
            if before != Some(published.release) {
                let styles_since = before.filter(|_| only_styles);
                state.serving = Some(Serving { release: published.release, styles_since });
            }
        });
    }

    /// Tells terminal and browsers what is wrong; what serves goes on serving.
    fn report(&self, title: &str, failure: &Failure, output: &str) {
        let text = failure.text();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let trouble = match output.trim().is_empty() {
            // The failure is all there is to read.
            true => Trouble::new(title, "", text),
            false => Trouble::new(title, text.strip_prefix("the build failed: ").unwrap_or(text), output),
        };
        self.state.change(|state| {
            state.is_building = false;
            state.trouble = Some(Arc::new(trouble));
        });
        self.terminal.trouble(failure, output, &self.state.now());
    }

    /// What the server says about `typecase config set` is meant for its own node; here there is a shorter way.
    fn advised(&self, failure: Failure) -> Failure {
        match failure.code() {
            "config-incomplete" => failure.advise(
                "start with `typecase dev --config NAME=VALUE`: what is set once stays set for this project"
                    .to_owned(),
            ),
            _ => failure,
        }
    }

    /// At a terminal compilers are seen at work; everywhere else only what went wrong is shown.
    fn output(&self) -> BuildOutput {
        if self.terminal.shows_builds() { BuildOutput::Copied } else { BuildOutput::Captured }
    }

    /// Waits for the node, should it be starting again.
    async fn client(&mut self) -> Result<Arc<Client>, Failure> {
        let mut changes = self.state.changes();
        let there = tokio::time::timeout(NODE_TIMEOUT, changes.wait_for(|state| state.admin.is_some())).await;
        drop(there);
        let state = self.state.now();
        if let (Some(admin), Some((known, client))) = (state.admin, &self.client)
            && admin == *known
        {
            return Ok(client.clone());
        }
        let client = Arc::new(publish::client(&state, &self.data)?);
        self.client = state.admin.map(|admin| (admin, client.clone()));
        Ok(client)
    }
}

/// Host names that lead to the app: its own, and one that browsers take to this machine.
pub fn hosts(project: &Project) -> Vec<String> {
    let app = &project.manifest().app;
    app.hosts.iter().cloned().chain([format!("{}.localhost", app.name)]).collect()
}

fn watching(project: &Project, data: PathBuf) -> Watching {
    let watched = project.watched();
    Watching {
        folder: project.folder().to_owned(),
        manifest_file: watched.manifest_file,
        sources: project.manifest().build.is_some().then_some(watched.sources),
        patterns: watched.patterns,
        component: watched.component,
        assets: watched.assets,
        data,
    }
}

fn not_watched(error: &std::io::Error) -> Failure {
    Failure::local(Exit::Failed, "not-watched", format!("cannot watch the project's files: {error}"))
}
