//! A folder that is shared with one node only, and can be taken away from that node alone.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that shows another one, as a mounted volume does; unmounted in the end.
#[derive(Debug)]
pub struct Mount {
    shared: PathBuf,
    at: PathBuf,
    is_mounted: bool,
}

impl Mount {
    /// None when this user may not mount.
    pub fn of(shared: &Path, at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("the mount's folder is made");
        let mut mount = Self { shared: shared.to_path_buf(), at: at.to_path_buf(), is_mounted: false };
        mount.mount().then_some(mount)
    }

    /// Whether this user may mount; a test that needs it is skipped otherwise.
    pub fn is_allowed() -> bool {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::of(folder.path(), &folder.path().join("mount")).is_some()
    }

    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Leaves an empty folder behind, as a volume does that is gone.
    pub fn unmount(&mut self) {
        if std::mem::take(&mut self.is_mounted) {
            // Lazily: files that are open do not hold it.
            let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        }
    }

    /// Shows the shared folder again.
    pub fn mount_again(&mut self) {
        assert!(self.is_mounted || self.mount(), "{} is mounted again", self.at.display());
    }

    /// From now on nothing can be written through it.
    pub fn make_read_only(&mut self) {
        let options = ["-o", "remount,bind,ro"];
        let output = Command::new("mount").args(options).arg(&self.at).output().expect("mount runs");
        assert!(output.status.success(), "{output:?}");
    }

    fn mount(&mut self) -> bool {
        let mounting = Command::new("mount").arg("--bind").arg(&self.shared).arg(&self.at).output();
        self.is_mounted = mounting.is_ok_and(|output| output.status.success());
        self.is_mounted
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unmount();
    }
}
