//! The server as /proc knows it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A process that is measured from outside.
pub(crate) struct Server {
    pid: u32,
}

/// Clock ticks of /proc in a second: 100 on every Linux that matters.
const TICKS: f64 = 100.0;

impl Server {
    /// By its process id.
    pub(crate) fn by_pid(pid: u32) -> io::Result<Server> {
        if fs::metadata(format!("/proc/{pid}")).is_err() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no process {pid}")));
        }
        Ok(Server { pid })
    }

    /// By the address of this machine that it listens on. This reads what every process has open, which takes a tenth
    /// of a second and more: not while anything is measured.
    pub(crate) fn by_address(address: SocketAddr) -> io::Result<Server> {
        let mut inodes = Vec::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                // 0A is LISTEN.
                if let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields[..]
                    && listens_on(local, address)
                {
                    inodes.push(format!("socket:[{inode}]"));
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
        Err(io::Error::new(io::ErrorKind::NotFound, format!("no process of mine listens on {address}; give --pid")))
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
            // One may have ended since it was listed.
            let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
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

/// Whether a listener at `local`, as /proc/net/tcp and tcp6 write it, is reached by this address.
fn listens_on(local: &str, address: SocketAddr) -> bool {
    let Some((ip, port)) = local.split_once(':') else { return false };
    // In words of four bytes, each written as this machine's number.
    let words = (0..ip.len() / 8).filter_map(|nth| u32::from_str_radix(&ip[nth * 8..][..8], 16).ok());
    let bytes: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
    let ip = match bytes[..] {
        [a, b, c, d] => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        _ => <[u8; 16]>::try_from(bytes).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from).to_canonical(),
    };
    let is_for_all = ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4());
    let is_ours = is_for_all || ip == address.ip().to_canonical() || address.ip().is_unspecified();
    is_ours && u16::from_str_radix(port, 16) == Ok(address.port())
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
