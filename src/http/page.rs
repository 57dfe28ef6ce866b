//! The files of the chat page: embedded in the binary, or read from a directory while somebody edits them.

use std::borrow::Cow;
use std::path::PathBuf;

use sha1::{Digest as _, Sha1};

use super::head::Head;
use super::refusal::Refusal;
use super::response::{Response, Status};

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asset {
    /// `index.html`.
    Index,
    /// `chat.js`, the one script that the page names; it asks for the others.
    Script,
    /// `composer.js`.
    Composer,
    /// `emoji.js`.
    Emoji,
    /// `memory.js`.
    Memory,
    /// `people.js`.
    People,
    /// `timeline.js`.
    Timeline,
    /// `words.js`.
    Words,
    /// `style.css`.
    Style,
    /// `icon.svg`.
    Icon,
}

impl Asset {
    /// Its name in `web/` and in a `--web` directory.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Asset::Index => "index.html",
            Asset::Script => "chat.js",
            Asset::Composer => "composer.js",
            Asset::Emoji => "emoji.js",
            Asset::Memory => "memory.js",
            Asset::People => "people.js",
            Asset::Timeline => "timeline.js",
            Asset::Words => "words.js",
            Asset::Style => "style.css",
            Asset::Icon => "icon.svg",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Asset::Index => "text/html; charset=utf-8",
            Asset::Script
            | Asset::Composer
            | Asset::Emoji
            | Asset::Memory
            | Asset::People
            | Asset::Timeline
            | Asset::Words => "text/javascript; charset=utf-8",
            Asset::Style => "text/css; charset=utf-8",
            Asset::Icon => "image/svg+xml",
        }
    }

    fn embedded(self) -> &'static [u8] {
        match self {
            Asset::Index => include_bytes!("../../web/index.html"),
            Asset::Script => include_bytes!("../../web/chat.js"),
            Asset::Composer => include_bytes!("../../web/composer.js"),
            Asset::Emoji => include_bytes!("../../web/emoji.js"),
            Asset::Memory => include_bytes!("../../web/memory.js"),
            Asset::People => include_bytes!("../../web/people.js"),
            Asset::Timeline => include_bytes!("../../web/timeline.js"),
            Asset::Words => include_bytes!("../../web/words.js"),
            Asset::Style => include_bytes!("../../web/style.css"),
            Asset::Icon => include_bytes!("../../web/icon.svg"),
        }
    }
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
    /// Answers a request for `asset`, with 304 when the client has it already.
    ///
    /// # Errors
    /// [`Refusal::PageUnreadable`].
    pub fn response(&self, asset: Asset, head: &Head<'_>) -> Result<Response, Refusal> {
        let bytes: Cow<'static, [u8]> = match self {
            Pages::Embedded => asset.embedded().into(),
            Pages::Directory(directory) => {
                std::fs::read(directory.join(asset.file_name())).map_err(|_| Refusal::PageUnreadable)?.into()
            }
        };
        let etag = format!("\"{}\"", hex(&Sha1::digest(&bytes)[..8]));
        let mut response = if client_has(&etag, head) {
            Response::new(Status::NotModified, asset.media_type(), Vec::new())
        } else {
            Response::new(Status::Ok, asset.media_type(), bytes.into_owned())
        };
        response.header("ETag", &etag);
        // Ask each time: a new version of the daemon and an old script in the cache do not fit together.
        response.header("Cache-Control", "no-cache");
        response.header("Referrer-Policy", "no-referrer");
        response.header("Content-Security-Policy", &content_security_policy(head));
        Ok(response)
    }
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::response::BodyWanted;
    use super::*;

    fn get(pages: &Pages, asset: Asset, lines: &str) -> String {
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let response = Head::parse(request.as_bytes()).and_then(|head| pages.response(asset, &head));
        match response {
            Ok(response) => String::from_utf8_lossy(&response.into_bytes(BodyWanted::Yes)).into_owned(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn a_page_comes_with_headers_that_let_nothing_foreign_run() {
        let answer = get(&Pages::Embedded, Asset::Index, "Host: chat.example:8000\r\n");
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
        let answer = get(&Pages::Embedded, Asset::Index, "Host: x;script-src*\r\n");
        assert!(answer.contains("connect-src 'self'; base-uri"));
    }

    #[test]
    fn a_client_that_has_the_page_is_told_so_and_one_with_another_gets_it() {
        let answer = get(&Pages::Embedded, Asset::Script, "Host: x\r\n");
        let etag = answer.split("ETag: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
        assert!(etag.len() > 10);
        for same in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let answer = get(&Pages::Embedded, Asset::Script, &format!("Host: x\r\nIf-None-Match: {same}\r\n"));
            assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"), "{same}");
            assert!(!answer.contains("Content-Length"));
        }
        let answer = get(&Pages::Embedded, Asset::Script, "Host: x\r\nIf-None-Match: \"other\"\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn a_missing_file_of_the_web_directory_is_said_so() {
        let pages = Pages::Directory(PathBuf::from("/nonexistent"));
        assert_eq!(get(&pages, Asset::Index, "Host: x\r\n"), Refusal::PageUnreadable.to_string());
    }
}
