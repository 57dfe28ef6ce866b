//! The server as /proc knows it.

use std::fs;
use std::io;

/// A process that is measured from outside.
pub(crate) struct Server {
    pid: u32,
}

/// Clock ticks of /proc in a second: 100 on every Linux that matters.
const TICKS: f64 = 100.0;

impl Server {
    /// By its process id.
    pub(crate) fn by_pid(pid: u32) -> Server {
        Server { pid }
    }

    /// By the TCP port of the loopback interface that it listens on.
    pub(crate) fn by_port(port: u16) -> io::Result<Server> {
        let wanted = format!(":{port:04X}");
        let mut inodes = Vec::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                // 0A is LISTEN.
                if fields[1].ends_with(&wanted) && fields[3] == "0A" {
                    inodes.push(format!("socket:[{}]", fields[9]));
                }
            }
        }
        for process in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            for file in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
                let link = fs::read_link(file.path()).unwrap_or_default();
                if inodes.iter().any(|inode| link.as_os_str() == inode.as_str()) {
                    return Ok(Server { pid });
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("no process of mine listens on port {port}; give --pid")))
    }

    /// User and system time so far, in seconds, of all its threads.
    pub(crate) fn cpu_seconds(&self) -> io::Result<f64> {
        cpu_seconds(&format!("/proc/{}/stat", self.pid))
    }

    /// How long its threads ran so far, in seconds. It counts in nanoseconds, and forgets threads that have ended: for
    /// what [`Server::cpu_seconds`] is too coarse for.
    pub(crate) fn fine_cpu_seconds(&self) -> io::Result<f64> {
        let mut nanoseconds = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += schedstat.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0.0);
        }
        Ok(nanoseconds / 1e9)
    }

    /// Resident memory now, in bytes.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        Ok(kib.unwrap_or(0u64) * 1024)
    }
}

/// This process's own CPU time, in seconds.
pub(crate) fn own_cpu_seconds() -> io::Result<f64> {
    cpu_seconds("/proc/self/stat")
}

fn cpu_seconds(path: &str) -> io::Result<f64> {
    let stat = fs::read_to_string(path)?;
    // The second field is the name, in parentheses, and may hold blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / TICKS)
}
