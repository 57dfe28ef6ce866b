//! The files of the chat page: embedded in the binary, or read from a directory while somebody edits them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

use sha1::{Digest as _, Sha1};

use super::refusal::Refusal;
use crate::http::{Head, Response, Status};

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name in `web/`, in a `--web` directory, and in its address.
    file_name: &'static str,
    media_type: &'static str,
    embedded: &'static [u8],
    /// The tag of the embedded bytes, made when it is asked for first.
    tag: OnceLock<String>,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! assets {
    ($name:ident = $($file_name:literal $media_type:ident),*) => {
        static $name: [Asset; [$($file_name),*].len()] = [$(Asset {
            file_name: $file_name,
            media_type: $media_type,
            embedded: include_bytes!(concat!("../../web/", $file_name)),
            tag: OnceLock::new(),
        }),*];
    };
}

/// `index.html`, which every room has at its own address.
static INDEX: Asset = Asset {
    file_name: "index.html",
    media_type: HTML,
    embedded: include_bytes!("../../web/index.html"),
    tag: OnceLock::new(),
};

// All other files of `web/`, each at the address of its name.
assets! { FILES =
    "address.js" SCRIPT,
    "arrival.js" SCRIPT,
    "chat.js" SCRIPT,
    "commands.js" SCRIPT,
    "composer.js" SCRIPT,
    "drafts.js" SCRIPT,
    "elements.js" SCRIPT,
    "emoji.js" SCRIPT,
    "events.js" SCRIPT,
    "link.js" SCRIPT,
    "notify.js" SCRIPT,
    "outbox.js" SCRIPT,
    "people.js" SCRIPT,
    "room.js" SCRIPT,
    "secret.js" SCRIPT,
    "settings.js" SCRIPT,
    "storage.js" SCRIPT,
    "text.js" SCRIPT,
    "timeline.js" SCRIPT,
    "timers.js" SCRIPT,
    "title.js" SCRIPT,
    "trouble.js" SCRIPT,
    "words.js" SCRIPT,
    "style.css" STYLE,
    "icon.svg" PICTURE
}

impl Asset {
    /// The file that lives at a path, `index.html` apart.
    #[must_use]
    pub fn at(path: &str) -> Option<&'static Asset> {
        let name = path.strip_prefix('/')?;
        FILES.iter().find(|asset| asset.file_name == name)
    }
}

/// At how deep an address `index.html` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// `/`: the files lie beside it.
    Root,
    /// `/r/ROOM`: the files lie one level up.
    Room,
}

/// Where the page comes from.
#[derive(Debug, Clone)]
pub enum Pages {
    /// From the binary: nothing to install, nothing to lose.
    Embedded,
    /// From disk at every request, for those who edit the page. The loop waits for that disk: not for a busy daemon.
    Directory(PathBuf),
}

impl Pages {
    /// Answers a request for a file other than `index.html`, with 304 when the client has it already.
    ///
    /// # Errors
    /// [`Refusal::PageUnreadable`].
    pub fn file(&self, asset: &'static Asset, head: &Head<'_>) -> Result<Response, Refusal> {
        let (bytes, tag) = self.read(asset)?;
        Ok(respond(asset, bytes, &tag, head))
    }

    /// The same for `index.html`. All addresses in it are relative, so that a proxy can serve the room under any path; it
    /// names them from the root, and for a room, which is one level deeper, `./` becomes `../`.
    ///
    /// (A `<base>` would do the same, but the policy forbids one, so that no message can ever bring one in.)
    ///
    /// # Errors
    /// [`Refusal::PageUnreadable`].
    pub fn index(&self, depth: Depth, head: &Head<'_>) -> Result<Response, Refusal> {
        let (html, tag) = self.read(&INDEX)?;
        let html = match depth {
            Depth::Root => html,
            Depth::Room => one_level_deeper(&html).into(),
        };
        Ok(respond(&INDEX, html, &tag, head))
    }

    /// The bytes of a file, and their tag.
    fn read(&self, asset: &'static Asset) -> Result<(Cow<'static, [u8]>, Cow<'static, str>), Refusal> {
        match self {
            Pages::Embedded => {
                let tag = asset.tag.get_or_init(|| tag_of(asset.embedded));
                Ok((asset.embedded.into(), tag.into()))
            }
            Pages::Directory(directory) => match read_regular(&directory.join(asset.file_name)) {
                Ok(bytes) => {
                    let tag = tag_of(&bytes);
                    Ok((bytes.into(), tag.into()))
                }
                Err(_) => Err(Refusal::PageUnreadable),
            },
        }
    }
}

/// An entity tag (RFC 9110 section 8.8.3): it changes with the bytes.
fn tag_of(bytes: &[u8]) -> String {
    let hash = Sha1::digest(bytes).iter().take(8).fold(0, |hash: u64, byte| hash << 8 | u64::from(*byte));
    format!("\"{hash:016x}\"")
}

fn respond(asset: &Asset, bytes: Cow<'_, [u8]>, etag: &str, head: &Head<'_>) -> Response {
    let mut response = if client_has(etag, head) {
        Response::new(Status::NotModified, asset.media_type, Vec::new())
    } else {
        Response::new(Status::Ok, asset.media_type, bytes.into_owned())
    };
    response.header("ETag", etag);
    // Ask each time: a new version of the daemon and an old script in the cache do not fit together.
    response.header("Cache-Control", "no-cache");
    response.header("Referrer-Policy", "no-referrer");
    response.header("Content-Security-Policy", &content_security_policy(head));
    response
}

/// Every attribute that begins with `./` begins with `../` then.
fn one_level_deeper(html: &[u8]) -> Vec<u8> {
    let mut deeper = Vec::with_capacity(html.len() + 64);
    for (at, &byte) in html.iter().enumerate() {
        deeper.push(byte);
        if byte == b'"' && html[at + 1..].starts_with(b"./") {
            deeper.push(b'.');
        }
    }
    deeper
}

/// A pipe at that place could be waited for without end, and a device be read without end.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() { fs::read(path) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// RFC 9110 section 13.1.2: a list of tags, or `*`; `W/` before a tag does not matter here.
fn client_has(etag: &str, head: &Head<'_>) -> bool {
    head.all("If-None-Match").flat_map(|value| value.split(|&byte| byte == b',')).any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
    })
}

/// Nothing but our own files and our own socket: whatever a message holds, the browser runs none of it.
///
/// `'self'` covers the WebSocket of the same host in current browsers; older ones (Safari before 15.4) want it named.
fn content_security_policy(head: &Head<'_>) -> String {
    let mut connect = String::from("'self'");
    if let Some(host) = head.host()
        && !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    {
        connect.push_str(&format!(" ws://{host} wss://{host}"));
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {connect}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{BodyWanted, Persistence};

    fn get(pages: &Pages, path: &str, lines: &str) -> String {
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let response = Head::parse(request.as_bytes()).map_err(Refusal::from).and_then(|head| match Asset::at(path) {
            Some(asset) => pages.file(asset, &head),
            None if path == "/" => pages.index(Depth::Root, &head),
            None => pages.index(Depth::Room, &head),
        });
        match response {
            Ok(response) => {
                String::from_utf8_lossy(&response.into_bytes(BodyWanted::Yes, Persistence::Closes)).into_owned()
            }
            Err(refusal) => refusal.to_string(),
        }
    }

    /// Served under a path of a proxy's, an address from the root would miss it.
    #[test]
    fn no_address_in_the_page_begins_at_the_root() {
        for asset in FILES.iter().chain([&INDEX]) {
            let text = String::from_utf8_lossy(asset.embedded);
            for root in ["src=\"/", "href=\"/", "from '/", "import('/", "icon: '/", "url(/", "url('/", "url(\"/"] {
                assert!(!text.contains(root), "{} has {root}", asset.file_name);
            }
        }
    }

    #[test]
    fn a_room_s_page_has_its_files_one_level_up() {
        let (root, room) = (get(&Pages::Embedded, "/", "Host: x\r\n"), get(&Pages::Embedded, "/r/x", "Host: x\r\n"));
        let (at_root, in_room) = ("src=\"./chat.js\"", "src=\"../chat.js\"");
        assert!(root.contains(at_root) && !root.contains("\"../"));
        assert!(room.contains(in_room) && !room.contains("\"./"));
        assert_eq!(
            one_level_deeper(br#"<a href="./x"> "." './y' ".." "./"#),
            br#"<a href="../x"> "." './y' ".." "../"#
        );
    }

    #[test]
    fn every_file_of_web_is_served_and_no_other() {
        let mut there: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut served: Vec<_> = FILES.iter().chain([&INDEX]).map(|asset| asset.file_name.to_owned()).collect();
        there.sort();
        served.sort();
        assert_eq!(there, served);
        assert_eq!(Asset::at("/index.html"), None);
        assert_eq!(Asset::at("//chat.js"), None);
    }

    #[test]
    fn a_page_comes_with_headers_that_let_nothing_foreign_run() {
        let answer = get(&Pages::Embedded, "/", "Host: chat.example:8000\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\n"));
        for line in [
            "X-Content-Type-Options: nosniff\r\n",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; ",
            "connect-src 'self' ws://chat.example:8000 wss://chat.example:8000; ",
            "frame-ancestors 'none'\r\n",
        ] {
            assert!(answer.contains(line), "{line}");
        }
    }

    #[test]
    fn a_strange_host_does_not_get_into_the_policy() {
        let answer = get(&Pages::Embedded, "/", "Host: x;script-src*\r\n");
        assert!(answer.contains("connect-src 'self'; base-uri"));
    }

    #[test]
    fn a_client_that_has_the_page_is_told_so_and_one_with_another_gets_it() {
        let answer = get(&Pages::Embedded, "/chat.js", "Host: x\r\n");
        let etag = answer.split("ETag: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
        assert!(etag.len() > 10);
        for same in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let answer = get(&Pages::Embedded, "/chat.js", &format!("Host: x\r\nIf-None-Match: {same}\r\n"));
            assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"), "{same}");
            assert!(!answer.contains("Content-Length"));
        }
        let answer = get(&Pages::Embedded, "/chat.js", "Host: x\r\nIf-None-Match: \"other\"\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn a_missing_file_of_the_web_directory_is_said_so() {
        let pages = Pages::Directory(PathBuf::from("/nonexistent"));
        assert_eq!(get(&pages, "/", "Host: x\r\n"), Refusal::PageUnreadable.to_string());
    }
}
