//! Sockets of the operating system: listening on an address, and the streams that are accepted there.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Type};

use crate::gate::PeerAddress;
use crate::hub::Socket;
use crate::limits::fixed::{LISTEN_BACKLOG, RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, TCP_USER_TIMEOUT};
use crate::listen_address::{ListenAddress, SocketMode};

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// On an address and port.
    Tcp(TcpListener),
    /// On a path, which is removed again at the end.
    Unix(UnixListener, SocketFile),
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    address: String,
    error: io::Error,
}

impl Listener {
    /// Listens on every address that the name stands for: `localhost` may be one of IPv4 and one of IPv6.
    ///
    /// # Errors
    /// [`ListenError`] if there is none on which it is possible.
    pub fn bind(address: &ListenAddress) -> Result<Vec<Listener>, ListenError> {
        let cannot = |error| ListenError { address: address.to_string(), error };
        match address {
            ListenAddress::Unix { path, mode } => bind_unix(path, *mode).map(|listener| vec![listener]).map_err(cannot),
            ListenAddress::Tcp(name) => {
                let mut listeners = Vec::new();
                let mut first_error = None;
                for resolved in name.to_socket_addrs().map_err(cannot)? {
                    match bind_tcp(resolved) {
                        Ok(listener) => listeners.push(listener),
                        // A machine without IPv6 has a `localhost` of IPv6 all the same.
                        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                            first_error.get_or_insert(error);
                        }
                        Err(error) => return Err(cannot(error)),
                    }
                }
                if listeners.is_empty() {
                    return Err(cannot(first_error.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into())));
                }
                Ok(listeners)
            }
        }
    }

    /// Takes the next connection, and says where it comes from.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` when nobody is waiting.
    pub fn accept(&self) -> io::Result<(Stream, PeerAddress)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((Stream::Tcp(stream), PeerAddress::Ip(address)))
            }
            Listener::Unix(listener, _) => Ok((Stream::Unix(listener.accept()?.0), PeerAddress::Unix)),
        }
    }

    /// As a [`Source`] to be registered.
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Tcp(listener) => listener,
            Listener::Unix(listener, _) => listener,
        }
    }
}

/// As it can be opened in a browser, or named to a client.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "http://{address}/"),
                Err(_) => f.write_str("an address of its own"),
            },
            Listener::Unix(_, file) => write!(f, "unix:{}", file.path.display()),
        }
    }
}

/// A socket in the file system, told from another that may stand at its path later.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> SocketFile {
        SocketFile { path: path.to_owned(), device_and_inode: SocketFile::identity(path) }
    }

    fn identity(path: &Path) -> Option<(u64, u64)> {
        std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.device_and_inode.is_some() && SocketFile::identity(&self.path) == self.device_and_inode {
            // If it cannot be removed, the next start finds it abandoned and does.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// One sentence, with what to do about the usual causes.
impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListenError { address, error } = self;
        match error.kind() {
            ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: it is in use already; choose another with --listen")
            }
            ErrorKind::AlreadyExists => write!(f, "cannot listen on {address}: it exists and is not a socket"),
            ErrorKind::NotFound => write!(f, "cannot listen on {address}: there is no such directory"),
            ErrorKind::PermissionDenied => write!(f, "cannot listen on {address}: permission denied"),
            ErrorKind::AddrNotAvailable => write!(f, "cannot listen on {address}: this machine has no such address"),
            _ => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for ListenError {}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted daemon shall not wait for the old one's connections to be forgotten.
    socket.set_reuse_address(true)?;
    // `[::]:8000` is IPv6 only, so that it can stand beside `0.0.0.0:8000`, whatever the system's default is.
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit this on Linux, which spares a call for each. A turn's messages leave in one write: to
    // hold that back in the hope of more could only delay it.
    socket.set_tcp_nodelay(true)?;
    // This one is inherited, too.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
    // And so are these, if they are set before it listens. The window that a peer is offered at first follows from them.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
}

fn bind_unix(path: &Path, mode: Option<SocketMode>) -> io::Result<Listener> {
    remove_if_abandoned(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    // From here on the file is there, and goes again if something fails.
    let file = SocketFile::at(path);
    // Before it listens: until then the system refuses everybody, so there is no moment in which the umask counts.
    if let Some(mode) = mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode.bits()))?;
    }
    socket.listen(LISTEN_BACKLOG)?;
    Ok(Listener::Unix(UnixListener::from_std(socket.into()), file))
}

/// A daemon that was killed leaves its socket behind. Only a socket that nobody answers on is removed.
fn remove_if_abandoned(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
        // Nothing there, or nothing to be seen: binding will tell.
        Err(_) => return Ok(()),
    }
    // Not blocking: its owner may be there and busy.
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

/// A connection's socket.
#[derive(Debug)]
pub enum Stream {
    /// Accepted on an address.
    Tcp(TcpStream),
    /// Accepted on a path.
    Unix(UnixStream),
}

impl Stream {
    /// Registers for both directions, once and for all. Edges cost nothing while nothing changes, and asking for
    /// writability only when it is missed would cost two calls each time.
    ///
    /// # Errors
    /// What the system says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => registry.register(stream, token, interest),
            Stream::Unix(stream) => registry.register(stream, token, interest),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Stream {
    fn shut_down_writing(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn failure(&mut self) -> ErrorKind {
        let error = match self {
            Stream::Tcp(stream) => stream.take_error(),
            Stream::Unix(stream) => stream.take_error(),
        };
        error.ok().flatten().map_or(ErrorKind::ConnectionReset, |error| error.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole latency of a chat hangs on it, and it is set in a place where one would not look for it.
    #[test]
    fn an_accepted_socket_sends_at_once_does_not_wait_for_ever_and_leaves_little_in_the_kernel()
    -> Result<(), Box<dyn std::error::Error>> {
        let listeners = Listener::bind(&ListenAddress::Tcp("127.0.0.1:0".into()))?;
        let Listener::Tcp(listener) = &listeners[0] else { return Err("not a TCP listener".into()) };
        let _client = std::net::TcpStream::connect(listener.local_addr()?)?;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        };
        assert!(stream.nodelay()?);
        let socket = socket2::SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout()?, Some(TCP_USER_TIMEOUT));
        // Linux says how much it reserves, which is twice that.
        let factor = if cfg!(target_os = "linux") { 2 } else { 1 };
        assert_eq!(socket.send_buffer_size()?, factor * SEND_BUFFER_BYTES);
        assert_eq!(socket.recv_buffer_size()?, factor * RECEIVE_BUFFER_BYTES);
        Ok(())
    }
}
