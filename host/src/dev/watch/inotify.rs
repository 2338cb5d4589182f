//! The kernel's word that something happened in a folder. Linux only, as the server is.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// A tree with more folders than this was named by mistake.
const FOLDERS_MAX: usize = 20_000;
const BUFFER_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub enum Happening {
    File(PathBuf),
    NewFolder(PathBuf),
    GoneFolder(PathBuf),
    /// The kernel lost count.
    TooMuch,
}

#[derive(Debug)]
pub struct Inotify {
    descriptor: AsyncFd<OwnedFd>,
    folders: HashMap<i32, PathBuf>,
    read: VecDeque<Happening>,
}

impl Inotify {
    // The successor of `AsyncFd::new` is unsafe, for descriptors that could be closed or replaced; this one cannot.
    #[allow(deprecated)]
    pub fn new() -> io::Result<Self> {
        let descriptor =
            inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(limit_reached)?;
        Ok(Self { descriptor: AsyncFd::new(descriptor)?, folders: HashMap::new(), read: VecDeque::new() })
    }

    /// Watches a folder, not those below it. False if it is gone.
    pub fn watch(&mut self, folder: &Path) -> io::Result<bool> {
        // A file counts when whoever wrote it has closed it.
        let events = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        if self.folders.len() >= FOLDERS_MAX {
            let message = format!("more than {FOLDERS_MAX} folders: name what matters in `watch` of [build]");
            return Err(io::Error::other(message));
        }
        match inotify::add_watch(&self.descriptor, folder, events) {
            Ok(watch) => {
                self.folders.insert(watch, folder.to_owned());
                Ok(true)
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(false),
            Err(error) => Err(limit_reached(error)),
        }
    }

    pub async fn next(&mut self) -> io::Result<Happening> {
        loop {
            if let Some(happened) = self.try_next()? {
                return Ok(happened);
            }
            // Read until it would block, so that the next event makes it ready again.
            self.descriptor.readable().await?.clear_ready();
        }
    }

    pub fn try_next(&mut self) -> io::Result<Option<Happening>> {
        if self.read.is_empty() {
            self.read_all()?;
        }
        Ok(self.read.pop_front())
    }

    fn read_all(&mut self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut events = Reader::new(self.descriptor.get_ref().as_fd(), &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.read.push_back(Happening::TooMuch);
                continue;
            }
            if flags.contains(ReadFlags::IGNORED) {
                self.folders.remove(&event.wd());
                continue;
            }
            let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) else {
                continue;
            };
            let path = folder.join(OsStr::from_bytes(name.to_bytes()));
            let is_gone = flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM);
            self.read.push_back(match (flags.contains(ReadFlags::ISDIR), is_gone) {
                (true, true) => Happening::GoneFolder(path),
                (true, false) => Happening::NewFolder(path),
                (false, _) => Happening::File(path),
            });
        }
    }
}

/// The two limits that developers meet, in words that help.
fn limit_reached(error: Errno) -> io::Error {
    let (what, key) = match error {
        Errno::NOSPC => ("watched folders", "fs.inotify.max_user_watches"),
        Errno::MFILE => ("watchers", "fs.inotify.max_user_instances"),
        other => return other.into(),
    };
    let advice =
        format!("this machine allows no more {what}: raise {key}, for example with `sysctl {key}=524288`");
    io::Error::other(advice)
}
