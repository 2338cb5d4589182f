//! The checks of this machine: disk, kernel, and the limits that a busy node runs into.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::{Finding, State};
use crate::cli::credentials::CLI_TOKEN_FILE;
use crate::config::Config;

/// Below this a few bundles of the largest size fill the disk.
const DISK_FREE_BYTES_MIN: u64 = 2 << 30;
/// The first kernel with the PAGEMAP_SCAN ioctl, which makes cleaning a used instance cheap.
const KERNEL_PAGEMAP_SCAN: (u32, u32) = (6, 7);
/// A stack and its guard in each of the four pools, from the start.
const STACK_MAPS_PER_INSTANCE: u64 = 8;
/// The parts of a memory that was used: before its data, the data, after it, and what is not accessible yet.
const MAPS_PER_MEMORY: u64 = 4;
/// Pools whose memories have that many.
const MAPPED_POOLS: u64 = 2;
/// Maps of everything else: threads, libraries, the allocator, and four for each mapped release of 1,000 apps.
const MAPS_BESIDES: u64 = 6_000;
/// Descriptors of everything but connections: listeners, database, mapped releases, open assets.
const FILES_BESIDES: u64 = 1_000;
/// The part of an access mode that lets others than the owner in.
const MODE_OTHERS: u32 = 0o077;

pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![data_folder(&config.node.data), disk_free(&config.node.data)];
    findings.extend(cli_token(&config.node.data.join(CLI_TOKEN_FILE)));
    findings.push(kernel());
    findings.push(swap(typecase_runtime::may_be_swapped()));
    findings.extend(map_count(config.limits.instances_max));
    findings.push(open_files(config.limits.connections_max));
    findings
}

fn data_folder(data: &Path) -> Finding {
    let shown = data.display();
    if !data.exists() {
        return Finding::new(
            "data",
            State::Good,
            format!("{shown} does not exist yet; the first start makes it"),
        );
    }
    match tempfile::NamedTempFile::new_in(data) {
        Ok(_) => Finding::new("data", State::Good, format!("{shown} can be written")),
        Err(error) => Finding::new(
            "data",
            State::Bad,
            format!("{shown} cannot be written: {error}; give it to the node's user, or set node.data"),
        ),
    }
}

fn disk_free(data: &Path) -> Finding {
    let existing = data.ancestors().find(|path| path.exists()).unwrap_or(data);
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let state = if free < DISK_FREE_BYTES_MIN { State::Warning } else { State::Good };
            Finding::new("disk", state, format!("{} MiB free for {}", free >> 20, data.display()))
        }
        Err(error) => Finding::new("disk", State::Warning, format!("{}: {error}", existing.display())),
    }
}

fn cli_token(path: &Path) -> Option<Finding> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        // Before the first start there is none.
        Err(_) => return None,
    };
    let mode = meta.permissions().mode() & 0o777;
    let shown = path.display();
    Some(match mode & MODE_OTHERS {
        0 => Finding::new("cli-token", State::Good, format!("{shown} is readable by its owner alone")),
        _ => Finding::new(
            "cli-token",
            State::Bad,
            format!(
                "{shown} has mode {mode:04o}, and whoever reads it is admin: chmod 600 it, then restart the node"
            ),
        ),
    })
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let (major, minor) = KERNEL_PAGEMAP_SCAN;
    match kernel_version(release) {
        Some(version) if version >= KERNEL_PAGEMAP_SCAN => {
            Finding::new("kernel", State::Good, format!("Linux {release}"))
        }
        _ => Finding::new(
            "kernel",
            State::Warning,
            format!(
                "Linux {release}: works, but a fresh instance for each request costs more before {major}.{minor}"
            ),
        ),
    }
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn swap(may_be_swapped: bool) -> Finding {
    match may_be_swapped {
        false => Finding::new("swap", State::Good, "nothing of this process is swapped out".to_owned()),
        true => Finding::new(
            "swap",
            State::Warning,
            "there is swap: a node that may use it cleans sandboxes the slow way. Forbid it with `MemorySwapMax=0` in its \
             systemd unit (memory.swap.max of its cgroup), or `swapoff -a`"
                .to_owned(),
        ),
    }
}

fn map_count(instances_max: u32) -> Option<Finding> {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").ok()?;
    Some(maps(instances_max, text.trim().parse().ok()?))
}

fn maps(instances_max: u32, allowed: u64) -> Finding {
    // Those that wait for a request are a quarter more.
    let instances = u64::from(instances_max + instances_max / 4 + 1);
    let memories = (instances * 2).min(u64::from(typecase_runtime::MEMORIES_MAX));
    let at_start = instances * STACK_MAPS_PER_INSTANCE + MAPS_BESIDES;
    let needed = at_start + memories * MAPPED_POOLS * MAPS_PER_MEMORY;
    let (state, verb) = match allowed {
        _ if needed <= allowed => {
            return Finding::new("memory maps", State::Good, format!("vm.max_map_count is {allowed}"));
        }
        _ if at_start <= allowed => (State::Warning, "may need"),
        _ => (State::Bad, "needs"),
    };
    let text = format!(
        "vm.max_map_count is {allowed}, limits.instances_max = {instances_max} {verb} {needed}: \
         `sysctl -w vm.max_map_count={needed}`, or lower instances_max"
    );
    Finding::new("memory maps", state, text)
}

fn open_files(connections_max: u32) -> Finding {
    let needed = u64::from(connections_max) + FILES_BESIDES;
    let limit = getrlimit(Resource::Nofile);
    // The node raises the soft limit itself, up to the hard one.
    match limit.maximum {
        Some(hard) if hard < needed => Finding::new(
            "open files",
            State::Warning,
            format!(
                "at most {hard} open files, limits.connections_max = {connections_max} may need {needed}: \
                 raise `ulimit -Hn` (LimitNOFILE= in systemd), or lower connections_max"
            ),
        ),
        hard => {
            let hard = hard.map_or_else(|| "unlimited".to_owned(), |hard| hard.to_string());
            Finding::new("open files", State::Good, format!("at most {hard}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        assert_eq!(kernel_version("6.8.0-45-generic"), Some((6, 8)));
        assert_eq!(kernel_version("5.15.167.4-microsoft"), Some((5, 15)));
        assert_eq!(kernel_version(""), None);
    }

    #[test]
    fn a_token_that_others_can_read_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CLI_TOKEN_FILE);
        assert!(cli_token(&path).is_none());
        fs::write(&path, "secret").unwrap();
        for (mode, state) in [(0o600, State::Good), (0o644, State::Bad)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(cli_token(&path).unwrap().state, state);
        }
    }
}
