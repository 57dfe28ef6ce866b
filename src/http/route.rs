//! From a request to what answers it.

use super::head::Head;
use super::origin::OriginPolicy;
use super::page::{Asset, Pages};
use super::refusal::Refusal;
use super::response::{Response, Status};
use crate::websocket::handshake::{self, Upgrade};

/// What this daemon serves, besides the chat itself.
#[derive(Debug)]
pub struct Site {
    /// The files of the chat page.
    pub pages: Pages,
    /// Which pages of other sites may connect.
    pub origins: OriginPolicy,
    /// Whether `/echo` exists.
    pub echo: EchoService,
}

/// `/echo` is for conformance suites and raw speed tests, and off unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoService {
    /// `--echo` was given.
    On,
    /// It was not: `/echo` is not found.
    Off,
}

/// What a WebSocket connection is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The chat room.
    Room(Audience),
    /// Every message comes back as it is.
    Echo,
}

/// How much of a room's stream a member is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Welcome, history, presence and messages.
    Everything,
    /// `?quiet=1`: messages, and errors of one's own.
    MessagesOnly,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Route {
    /// One answer, then the connection closes.
    Answer(Response),
    /// The connection becomes a WebSocket.
    Upgrade(Upgrade, Endpoint),
}

impl Route {
    /// Routes a request.
    ///
    /// The checks of section 4.2.1 come before the path, so that a broken client learns what is wrong with it wherever
    /// it knocks; the origin comes last, for it is the one refusal that a proper client may get.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub fn of(head: &Head<'_>, site: &Site) -> Result<Route, Refusal> {
        let (path, query) = path_and_query(head.local_target())?;
        if handshake::is_attempt(head) {
            if head.method() != "GET" {
                return Err(Refusal::UpgradeNeedsGet);
            }
            let upgrade = Upgrade::from_head(head)?;
            let endpoint = endpoint(path, query, site.echo)?;
            site.origins.check(head)?;
            return Ok(Route::Upgrade(upgrade, endpoint));
        }
        if !matches!(head.method(), "GET" | "HEAD") {
            return Err(Refusal::Method);
        }
        if head.has_body()? {
            return Err(Refusal::BodyNotWanted);
        }
        Ok(Route::Answer(answer(path, head, site)?))
    }
}

fn endpoint(path: &str, query: &str, echo: EchoService) -> Result<Endpoint, Refusal> {
    match path {
        "/" | "/r/lobby" => Ok(Endpoint::Room(audience(query))),
        "/echo" if echo == EchoService::On => Ok(Endpoint::Echo),
        _ => Err(Refusal::NotFound),
    }
}

fn audience(query: &str) -> Audience {
    let quiet = form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == "quiet" && value == "1");
    if quiet { Audience::MessagesOnly } else { Audience::Everything }
}

fn answer(path: &str, head: &Head<'_>, site: &Site) -> Result<Response, Refusal> {
    match path {
        "/" | "/r/lobby" => site.pages.response(Asset::Index, head),
        "/chat.js" => site.pages.response(Asset::Script, head),
        "/style.css" => site.pages.response(Asset::Style, head),
        "/icon.svg" => site.pages.response(Asset::Icon, head),
        // Answered from inside the turn: when the loop stands still, so does this.
        "/healthz" => Ok(Response::text(Status::Ok, "ok\n")),
        "/echo" if site.echo == EchoService::On => Err(Refusal::WebSocketOnly),
        _ => Err(Refusal::NotFound),
    }
}

fn path_and_query(local_target: &str) -> Result<(&str, &str), Refusal> {
    match local_target.split_once('?').unwrap_or((local_target, "")) {
        // `http://host?query` has an empty path, which means the root.
        ("", query) => Ok(("/", query)),
        (path, query) if path.starts_with('/') => Ok((path, query)),
        _ => Err(Refusal::MalformedTarget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_target_is_a_path_with_or_without_a_query() {
        let rows = [
            ("/", Ok(("/", ""))),
            ("/?quiet=1", Ok(("/", "quiet=1"))),
            ("/r/lobby?a=b?c", Ok(("/r/lobby", "a=b?c"))),
            ("", Ok(("/", ""))),
            ("?quiet=1", Ok(("/", "quiet=1"))),
            ("/a://b", Ok(("/a://b", ""))),
            ("*", Err(Refusal::MalformedTarget)),
            ("x:80", Err(Refusal::MalformedTarget)),
            ("ftp://x/", Err(Refusal::MalformedTarget)),
        ];
        for (target, expected) in rows {
            assert_eq!(path_and_query(target), expected, "{target}");
        }
    }

    #[test]
    fn quiet_is_asked_for_by_its_value_1_anywhere_in_the_query() {
        assert_eq!(audience("name=x&quiet=1"), Audience::MessagesOnly);
        assert_eq!(audience("quiet=%31"), Audience::MessagesOnly);
        for query in ["", "quiet", "quiet=0", "quiet=11", "unquiet=1"] {
            assert_eq!(audience(query), Audience::Everything, "{query}");
        }
    }
}
