//! Whether the kernel may move this process's memory to a swap device.
//!
//! To clean a used sandbox, wasmtime asks the kernel which of its pages were written to (PAGEMAP_SCAN), and clears those.
//! As it asks, a page that is swapped out at that moment is not among them: it would keep what its app wrote for the app
//! that is next (wasmtime pull request 14357). So sandboxes keep pages only where none is ever swapped out.

use std::fs;
use std::path::Path;

const CGROUPS: &str = "/sys/fs/cgroup";

/// True if there is a swap device now, and no cgroup forbids this process to use it.
///
/// `memory.swap.max` of cgroup v2 forbids it, which systemd sets by `MemorySwapMax=0` in a service.
pub fn may_be_swapped() -> bool {
    let devices = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    has_device(&devices) && !is_forbidden(&membership, Path::new(CGROUPS))
}

/// The first line is a heading.
fn has_device(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.trim().is_empty())
}

/// A limit holds for all groups below.
fn is_forbidden(membership: &str, root: &Path) -> bool {
    let Some(group) = membership.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return false;
    };
    let group = root.join(group);
    group
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .any(|folder| fs::read_to_string(folder.join("memory.swap.max")).is_ok_and(|max| max.trim() == "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_no_device() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(!has_device("") && !has_device(heading));
        assert!(has_device(&format!("{heading}/swapfile  file  2097148  0  -2\n")));
    }

    #[test]
    fn a_group_above_may_forbid_it() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("system.slice/typecase.service");
        fs::create_dir_all(&service).unwrap();
        let membership = "0::/system.slice/typecase.service\n";
        assert!(!is_forbidden(membership, root.path()));
        fs::write(service.join("memory.swap.max"), "max\n").unwrap();
        assert!(!is_forbidden(membership, root.path()));
        fs::write(root.path().join("system.slice/memory.swap.max"), "0\n").unwrap();
        assert!(is_forbidden(membership, root.path()));
        assert!(!is_forbidden("1:name=systemd:/\n", root.path()));
    }
}
