//! From a request to what answers it.

use std::borrow::Cow;

use super::handshake::{self, Upgrade};
use super::pages::{Asset, Depth};
use super::refusal::Refusal;
use super::site::{EchoService, Health, Site};
use crate::chat::RoomName;
use crate::chat::visit::{Verbosity, Visit};
use crate::gate::Credentials;
use crate::gate::credentials::ME_HEADER;
use crate::http::{Head, Response, Status};

/// What a WebSocket connection is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A chat room.
    Room(Visit, Credentials),
    /// Every message comes back as it is.
    Echo,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Route {
    /// It is answered, and that is all.
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
        // RFC 9110 section 9.3.7: a question about the server, or about any address. All of them have one answer.
        if head.method() == "OPTIONS" && !handshake::is_attempt(head) {
            return if head.has_body()? { Err(Refusal::BodyNotWanted) } else { Ok(Route::Answer(Response::options())) };
        }
        let (path, query) = path_and_query(head.local_target())?;
        if handshake::is_attempt(head) {
            if head.method() != "GET" {
                return Err(Refusal::UpgradeNeedsGet);
            }
            let upgrade = Upgrade::from_head(head)?;
            let endpoint = endpoint(path, query, head, site.echo)?;
            site.origins.check(head)?;
            return Ok(Route::Upgrade(upgrade, endpoint));
        }
        if !matches!(head.method(), "GET" | "HEAD") {
            return Err(Refusal::Method);
        }
        if head.has_body()? {
            return Err(Refusal::BodyNotWanted);
        }
        Ok(Route::Answer(match origin_to_check(query) {
            Some(origin) => check(path, query, &origin, head, site)?,
            None => answer(path, head, site)?,
        }))
    }
}

fn endpoint(path: &str, query: &str, head: &Head<'_>, echo: EchoService) -> Result<Endpoint, Refusal> {
    match path {
        "/echo" if echo == EchoService::On => Ok(Endpoint::Echo),
        _ => {
            let (visit, me) = visit(room(path)?, query);
            let credentials = Credentials::new(me.as_deref(), head.all(ME_HEADER), head.all("cookie"));
            Ok(Endpoint::Room(visit, credentials))
        }
    }
}

/// The room that a path names: the root is the lobby.
fn room(path: &str) -> Result<RoomName, Refusal> {
    if path == "/" {
        return Ok(RoomName::lobby());
    }
    let segment = path.strip_prefix("/r/").ok_or(Refusal::NotFound)?;
    RoomName::from_path_segment(segment).map_err(Refusal::NoSuchRoom)
}

/// What a client asks for, and the secret that it shows there. If a key is there more than once, the first counts.
fn visit(room: RoomName, query: &str) -> (Visit, Option<Cow<'_, str>>) {
    let mut visit = Visit { room, verbosity: Verbosity::Everything, name: None, since: None };
    let mut me = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "quiet" if value == "1" => visit.verbosity = Verbosity::MessagesOnly,
            "name" => {
                visit.name.get_or_insert_with(|| value.into());
            }
            "since" => {
                visit.since.get_or_insert_with(|| value.into());
            }
            "me" => {
                me.get_or_insert(value);
            }
            _ => {}
        }
    }
    (visit, me)
}

/// `?check=ORIGIN`: whether a page from there could connect.
fn origin_to_check(query: &str) -> Option<Cow<'_, str>> {
    form_urlencoded::parse(query.as_bytes()).find_map(|(key, origin)| (key == "check").then_some(origin))
}

/// Answers as a handshake from a page of `origin` would be answered. A browser tells a page only that its handshake has
/// failed; what a plain request is answered, the page can read. It says its origin in the query, since browsers send no
/// `Origin` with a GET to the page's own host, and let no page write one.
///
/// # Errors
/// The [`Refusal`] that the handshake would get.
fn check(path: &str, query: &str, origin: &str, head: &Head<'_>, site: &Site) -> Result<Response, Refusal> {
    endpoint(path, query, head, site.echo)?;
    site.origins.judge(origin, head)?;
    Ok(Response::text(Status::Ok, "A page from there may connect here.\n"))
}

fn answer(path: &str, head: &Head<'_>, site: &Site) -> Result<Response, Refusal> {
    if let Some(asset) = Asset::at(path) {
        return site.pages.file(asset, head);
    }
    match path {
        // Answered from inside the turn: when the loop stands still, so does this.
        "/healthz" => Ok(health(site.health)),
        "/echo" if site.echo == EchoService::On => Err(Refusal::WebSocketOnly),
        "/" => site.pages.index(Depth::Root, head),
        _ => room(path).and_then(|_| site.pages.index(Depth::Room, head)),
    }
}

fn health(health: Health) -> Response {
    match health {
        Health::Good => Response::text(Status::Ok, "ok\n"),
        Health::PastIsDamaged => Response::text(
            Status::Ok,
            "ok\nhistory: damaged; the log says what was found, and `roomd check` finds all of it\n",
        ),
        Health::CannotKeep => Response::text(
            Status::Unavailable,
            "history: what is said cannot be kept, and is refused; the log says why\n",
        ),
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
        let verbosity = |query| visit(RoomName::lobby(), query).0.verbosity;
        assert_eq!(verbosity("name=x&quiet=1"), Verbosity::MessagesOnly);
        assert_eq!(verbosity("quiet=%31"), Verbosity::MessagesOnly);
        for query in ["", "quiet", "quiet=0", "quiet=11", "unquiet=1"] {
            assert_eq!(verbosity(query), Verbosity::Everything, "{query}");
        }
    }

    #[test]
    fn a_name_and_the_last_message_are_taken_as_they_are_written() {
        let (visit, me) = visit(RoomName::lobby(), "me=one&name=%E7%8E%8B+2&since=17&name=other&since=&me=two");
        assert_eq!((visit.name.as_deref(), visit.since.as_deref()), (Some("王 2"), Some("17")));
        assert_eq!(me.as_deref(), Some("one"));
    }

    #[test]
    fn a_room_is_what_stands_behind_the_r_in_any_script() {
        assert_eq!(room("/"), Ok(RoomName::lobby()));
        assert_eq!(room("/r/lobby"), Ok(RoomName::lobby()));
        assert_eq!(room("/r/%E6%B1%89").map(|name| name.to_string()).as_deref(), Ok("汉"));
        assert_eq!(room("/x"), Err(Refusal::NotFound));
        for path in [
            "/r/",
            "/r/a/b",
            "/r/%00",
            "/r/%ff",
            "/r/%zz",
            "/r/a%",
            "/r/%4",
            "/r/%C3",
            "/r/%C0%AF",
            "/r/%ED%A0%80",
            &format!("/r/{}", "x".repeat(65)),
        ] {
            assert!(matches!(room(path), Err(Refusal::NoSuchRoom(_))), "{path}");
        }
    }
}
