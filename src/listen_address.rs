//! Where to listen, as people write it: `--listen` and `ROOMD_LISTEN`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// One place to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A host or address with a port, to be resolved.
    Tcp(String),
    /// A socket in the file system.
    Unix {
        /// Where the file is made.
        path: PathBuf,
        /// Its permissions; without them, the umask decides.
        mode: Option<SocketMode>,
    },
}

/// The permissions of a socket file, which somebody besides root can use: to connect, one must be allowed to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// The nine bits, as chmod(2) takes them.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// One value of the flag: addresses with commas between them. A `mode=` belongs to the address before it. So a path
/// cannot have a comma in it, and never could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddresses(pub Vec<ListenAddress>);

impl FromStr for ListenAddresses {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddresses, String> {
        let mut addresses: Vec<ListenAddress> = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.strip_prefix("mode=") {
                Some(mode) => set_mode(addresses.last_mut(), mode.parse()?)?,
                None if part == text => addresses.push(part.parse()?),
                // Of several, the value that clap quotes does not say which.
                None => addresses.push(part.parse().map_err(|why| format!("'{part}' is no address: {why}"))?),
            }
        }
        Ok(ListenAddresses(addresses))
    }
}

fn set_mode(address: Option<&mut ListenAddress>, new: SocketMode) -> Result<(), String> {
    match address {
        Some(ListenAddress::Unix { mode: Some(_), .. }) => Err("a socket file has one mode".into()),
        Some(ListenAddress::Unix { mode, .. }) => {
            *mode = Some(new);
            Ok(())
        }
        Some(ListenAddress::Tcp(_)) | None => Err("a mode is for a socket file, as in unix:PATH,mode=0660".into()),
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("the path is missing".into())
            } else {
                Ok(ListenAddress::Unix { path: path.into(), mode: None })
            };
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(ListenAddress::Tcp(text.to_owned()))
            }
            _ => Err("an address looks like 127.0.0.1:8000, [::1]:8000 or unix:/run/roomd.sock".into()),
        }
    }
}

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<SocketMode, String> {
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            Ok(bits) if is_octal && bits <= 0o777 => {
                if bits & 0o222 == 0 {
                    return Err(format!("with mode {text} nobody could connect: that takes permission to write"));
                }
                Ok(SocketMode(bits))
            }
            _ => Err("a mode is three octal digits with or without a 0 before them, as for chmod: 0660".into()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => f.write_str(address),
            ListenAddress::Unix { path, mode: None } => write!(f, "unix:{}", path.display()),
            ListenAddress::Unix { path, mode: Some(mode) } => {
                write!(f, "unix:{},mode={:04o}", path.display(), mode.bits())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        Ok(text.parse::<ListenAddresses>()?.0.iter().map(ListenAddress::to_string).collect())
    }

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_path() {
        for good in ["127.0.0.1:0", "[::1]:8000", "localhost:8000", "unix:/tmp/x", "unix:/tmp/x=y", "unix:mode=0660"] {
            assert_eq!(read(good), Ok(vec![good.to_owned()]));
        }
        for bad in ["", "8000", ":8000", "localhost", "localhost:", "localhost:65536", "unix:", "127.0.0.1:0,"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mode_belongs_to_the_socket_file_before_it() {
        let list = read("unix:/a,mode=0660, 127.0.0.1:0 ,unix:/b,unix:/c,mode=600");
        let each = ["unix:/a,mode=0660", "127.0.0.1:0", "unix:/b", "unix:/c,mode=0600"];
        assert_eq!(list, Ok(each.map(str::to_owned).to_vec()));
        for bad in ["mode=0660", "127.0.0.1:0,mode=0660", "unix:/a,mode=0660,mode=0600", "unix:/a,group=www-data"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_lets_somebody_connect() {
        for good in ["0660", "660", "0666", "777", "0600", "0020"] {
            assert!(good.parse::<SocketMode>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "0",
            "66",
            "0o660",
            "0x1b0",
            "0680",
            "rw-rw----",
            "+660",
            "-660",
            " 660",
            "1777",
            "4755",
            "00660",
            "7777777777777777777",
            "0000",
            "0444",
            "０６６０",
        ] {
            assert!(bad.parse::<SocketMode>().is_err(), "{bad}");
        }
    }
}
