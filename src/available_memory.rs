//! How much memory there is for this process: of the machine, of its control group, or as its limits say.
//!
//! Read once, at the start, out of the files that the kernel offers. Whatever cannot be read or understood limits nothing:
//! the least of what is known counts.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What there is, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableMemory {
    /// How much.
    pub bytes: u64,
    /// Whose number that is.
    pub source: Source,
}

/// Where a number of bytes comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// All that the machine has.
    Machine,
    /// A control group that the process is in, or one above it: this file.
    ControlGroup(PathBuf),
    /// The limit on address space (`ulimit -v`).
    AddressSpace,
    /// The limit on data (`ulimit -d`).
    Data,
}

impl AvailableMemory {
    /// What there is for this process; `None` if the system says nothing about it.
    #[must_use]
    pub fn of_this_process() -> Option<AvailableMemory> {
        let limits = [(rlimit::Resource::AS, Source::AddressSpace), (rlimit::Resource::DATA, Source::Data)];
        let limits = limits.into_iter().filter_map(|(resource, source)| {
            let (bytes, _) = rlimit::getrlimit(resource).ok()?;
            (bytes != rlimit::INFINITY).then_some(AvailableMemory { bytes, source })
        });
        limits.chain(of_system(Path::new("/"))).min_by_key(|available| available.bytes)
    }
}

/// What the files under `root` say.
fn of_system(root: &Path) -> impl Iterator<Item = AvailableMemory> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let files: Vec<PathBuf> = groups.lines().flat_map(|line| files_of_group(root, line)).collect();
    let of_groups = files.into_iter().filter_map(|file| {
        // "max" is no number, and no limit.
        let bytes = fs::read_to_string(&file).ok()?.trim().parse().ok()?;
        Some(AvailableMemory { bytes, source: Source::ControlGroup(file) })
    });
    let of_machine = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| total_of(&text));
    of_groups.chain(of_machine.map(|bytes| AvailableMemory { bytes, source: Source::Machine }))
}

/// The files that may limit a group and those above it (cgroups(7), "/proc files"). A line is the number of a hierarchy,
/// its controllers and the path of the group in it; version 2 has the number 0 and names no controllers.
fn files_of_group(root: &Path, line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':');
    let (Some(number), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (mount, names): (_, &[&str]) = if number == "0" && controllers.is_empty() {
        ("sys/fs/cgroup", &["memory.max", "memory.high"])
    } else if controllers.split(',').any(|controller| controller == "memory") {
        ("sys/fs/cgroup/memory", &["memory.limit_in_bytes"])
    } else {
        return Vec::new();
    };
    // In a container the path may be that of the host, and what is mounted is the group itself: the topmost is looked at
    // in any case.
    let group = Path::new(group.trim_start_matches('/'));
    let group = if group.components().any(|part| part.as_os_str() == "..") { Path::new("") } else { group };
    let places = group.ancestors().map(|place| root.join(mount).join(place));
    places.flat_map(|place| names.iter().map(move |name| place.join(name))).collect()
}

/// `MemTotal` of proc(5) `/proc/meminfo`, which is in KiB.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The end of a sentence like "half of ...".
impl fmt::Display for AvailableMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes;
        match &self.source {
            Source::Machine => write!(f, "the machine's {bytes}"),
            Source::ControlGroup(file) => write!(f, "the {bytes} in {}", file.display()),
            Source::AddressSpace => write!(f, "the {bytes} of address space that its limit allows (ulimit -v)"),
            Source::Data => write!(f, "the {bytes} of data that its limit allows (ulimit -d)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like the root of a machine.
    struct Root(tempfile::TempDir);

    impl Root {
        fn new(files: &[(&str, &str)]) -> Root {
            let root = tempfile::tempdir().unwrap();
            for (file, text) in files {
                let file = root.path().join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            Root(root)
        }

        fn least(&self) -> Option<(u64, Option<String>)> {
            let least = of_system(self.0.path()).min_by_key(|available| available.bytes)?;
            let file = match &least.source {
                Source::ControlGroup(file) => {
                    Some(file.strip_prefix(self.0.path()).unwrap().to_str().unwrap().to_owned())
                }
                _ => None,
            };
            Some((least.bytes, file))
        }
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        1024 kB\nMemFree:         2 kB\n");

    #[test]
    fn without_groups_it_is_what_the_machine_has() {
        assert_eq!(Root::new(&[MEMINFO]).least(), Some((1024 * 1024, None)));
        assert_eq!(Root::new(&[("proc/meminfo", "MemTotal: much\n")]).least(), None);
    }

    #[test]
    fn the_least_of_a_group_and_of_those_above_it_counts() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/system.slice/roomd.service\n"),
            ("sys/fs/cgroup/system.slice/roomd.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/roomd.service/memory.high", "5000\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "4000\n"),
        ];
        let file = "sys/fs/cgroup/system.slice/memory.max".to_owned();
        assert_eq!(Root::new(&files).least(), Some((4000, Some(file))));
    }

    #[test]
    fn the_older_kind_of_groups_counts_as_well_and_in_a_container_the_one_that_is_mounted() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/../..\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n"),
            ("sys/fs/cgroup/cpu/memory.limit_in_bytes", "1\n"),
        ];
        let file = "sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned();
        assert_eq!(Root::new(&files).least(), Some((3000, Some(file))));
    }
}
