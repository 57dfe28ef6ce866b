//! What a client hears of rooms: a strict reader of events, which keeps its own idea of who is there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::vocabulary::person;

/// Whether the rooms of a run tell each of each, or only how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Told,
    Counted,
}

pub(crate) struct Transcript {
    number: usize,
    is_quiet: bool,
    presence: Presence,
    /// What it is called, as far as it knows.
    pub(crate) name: Option<String>,
    /// All that it was ever called; the first of them at the welcome.
    pub(crate) names: Vec<String>,
    /// One for each welcome. A quiet client is told of none, and has one for all.
    pub(crate) sessions: Vec<Session>,
    pub(crate) privates: Vec<Private>,
    pub(crate) pages: Vec<Page>,
    pub(crate) errors: Vec<String>,
    /// What it was told because it had asked, errors aside.
    pub(crate) answers: usize,
    /// New rooms in which it could not keep its name. It is told so without having asked.
    pub(crate) lost_names: usize,
}

#[derive(Default)]
pub(crate) struct Session {
    pub(crate) room: String,
    pub(crate) last: u64,
    pub(crate) is_reset: bool,
    pub(crate) reset_reason: String,
    /// It was welcome before it was in: a long past came first.
    pub(crate) is_catch_up: bool,
    /// Until it is told who is there now.
    is_catching_up: bool,
    /// Messages that it had heard when it was told to start afresh.
    pub(crate) heard_before_reset: usize,
    pub(crate) messages: Vec<Heed>,
    /// Who is there, where each is told of each.
    members: Vec<String>,
}

/// A message that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heed {
    pub(crate) room: String,
    pub(crate) id: u64,
    pub(crate) unix_ms: u64,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) text: String,
    /// Of its whole frame.
    pub(crate) bytes: usize,
}

pub(crate) struct Private {
    pub(crate) to: String,
    pub(crate) text: String,
}

/// An answer to `/history`.
pub(crate) struct Page {
    /// In which session it was asked for, and the newest id heard by then.
    pub(crate) session: usize,
    pub(crate) heard: u64,
    pub(crate) before: u64,
    pub(crate) more: bool,
    pub(crate) messages: Vec<Heed>,
}

impl Transcript {
    pub(crate) fn new(number: usize, is_quiet: bool, presence: Presence) -> Transcript {
        Transcript {
            number,
            is_quiet,
            presence,
            name: None,
            names: Vec::new(),
            sessions: if is_quiet { vec![Session::default()] } else { Vec::new() },
            privates: Vec::new(),
            pages: Vec::new(),
            errors: Vec::new(),
            answers: 0,
            lost_names: 0,
        }
    }

    pub(crate) fn hear(&mut self, text: &str) {
        let event: Value = serde_json::from_str(text).expect("an event is JSON");
        let word = |key: &str| event[key].as_str().map(str::to_owned).unwrap_or_default();
        let (kind, name, mess) = (word("type"), word("name"), word("mess"));
        assert!(event["name"].is_string() && event["mess"].is_string(), "{text}");
        if kind == "welcome" {
            return self.welcome(&event, name);
        }
        let is_own = self.name.as_ref() == Some(&name);
        let session = self.sessions.last_mut().expect("the welcome comes first");
        if !self.is_quiet && event["room"].is_string() {
            assert_eq!(word("room"), session.room, "client {}: of another room: {text}", self.number);
        }
        match kind.as_str() {
            "message" | "action" => {
                let heed = heed(&event, text.len());
                let is_mine = heed.text.starts_with(&format!("{}:", self.number));
                let is_present = !self.is_quiet && heed.id > session.last;
                assert!(!is_mine || !is_present || is_own, "client {}: its own under {name}: {text}", self.number);
                self.answers += usize::from(is_mine && !self.is_quiet && heed.id > session.last);
                session.messages.push(heed);
            }
            "reset" => {
                let last = event["last"].as_u64().expect("a number");
                let is_first = self.is_quiet || session.is_catching_up || session.messages.is_empty();
                assert!(
                    is_first && !session.is_reset,
                    "a reset comes before the past, or in the middle of a long one: {text}"
                );
                assert!(self.is_quiet || last == session.last || session.is_catching_up, "{text}");
                assert!(["gone", "unknown", "epoch", "unreadable"].contains(&&*word("reason")), "{text}");
                session.is_reset = true;
                session.reset_reason = word("reason");
                session.heard_before_reset = session.messages.len();
            }
            "private" => {
                let to = word("to");
                let is_mine = mess.starts_with(&format!("{}:", self.number));
                let own_name = if is_mine { name } else { to.clone() };
                assert!(self.is_quiet || self.name == Some(own_name), "client {}: not for it: {text}", self.number);
                self.answers += usize::from(is_mine);
                self.privates.push(Private { to, text: mess });
            }
            "rename" => {
                let from = word("from");
                if self.is_quiet || self.name.as_ref() == Some(&from) {
                    self.answers += 1;
                    self.name = Some(name.clone());
                    self.names.push(name.clone());
                }
                if self.presence == Presence::Told && !self.is_quiet {
                    session.goes(&from, text);
                    session.comes(name, text);
                }
            }
            "join" | "leave" => {
                assert!(!session.is_catching_up, "client {}: not in yet: {text}", self.number);
                assert!(!self.is_quiet && !is_own, "client {}: not for it: {text}", self.number);
                if self.presence == Presence::Told {
                    if kind == "join" {
                        session.comes(name, text)
                    } else {
                        session.goes(&name, text)
                    }
                    assert_eq!(event["online"].as_u64(), Some(session.members.len() as u64), "{text}");
                }
            }
            "online" => assert!(!self.is_quiet && self.presence == Presence::Counted, "{text}"),
            "users" if event["unasked"] == true => {
                assert!(session.is_catching_up, "client {}: {text}", self.number);
                let users = names(&event["users"]);
                assert!(self.name.as_ref().is_some_and(|name| users.contains(name)), "now it is in: {text}");
                assert_eq!(event["online"].as_u64(), Some(users.len() as u64), "{text}");
                (session.is_catching_up, session.members) = (false, users);
            }
            "users" => {
                self.answers += 1;
                let users = names(&event["users"]);
                assert_eq!(event["online"].as_u64(), Some(users.len() as u64), "{text}");
                if self.presence == Presence::Told && !self.is_quiet {
                    let there: BTreeSet<&String> = session.members.iter().collect();
                    assert_eq!(users.iter().collect::<BTreeSet<_>>(), there, "client {}: who is there", self.number);
                }
            }
            "help" | "pong" => self.answers += 1,
            "history" => {
                self.answers += 1;
                let messages = event["messages"].as_array().expect("a page is a list");
                self.pages.push(Page {
                    session: self.sessions.len() - 1,
                    heard: self.newest_id(),
                    before: event["before"].as_u64().expect("a number"),
                    more: event["more"].as_bool().expect("a bool"),
                    messages: messages.iter().map(|message| heed(message, message.to_string().len())).collect(),
                });
            }
            "error" => {
                assert!(ERRORS.contains(&&*word("code")), "not promised: {text}");
                self.errors.push(word("code"));
            }
            _ => panic!("an event of no known type: {text}"),
        }
    }

    fn welcome(&mut self, event: &Value, name: String) {
        assert!(!self.is_quiet, "who is quiet hears no welcome");
        if let Some(before) = &self.name {
            self.answers += 1;
            self.lost_names += usize::from(*before != name);
        }
        let mut session = Session {
            room: event["room"].as_str().expect("a room").to_owned(),
            last: event["last"].as_u64().expect("a number"),
            ..Session::default()
        };
        let users = names(&event["users"]);
        session.is_catch_up = !users.contains(&name);
        session.is_catching_up = session.is_catch_up;
        let online = users.len() + usize::from(session.is_catch_up);
        assert_eq!(event["online"].as_u64(), Some(online as u64));
        for user in users {
            session.comes(user, "the welcome");
        }
        self.names.push(name.clone());
        self.name = Some(name);
        self.sessions.push(session);
    }

    /// The newest message that it has heard in the room where it is.
    pub(crate) fn newest_id(&self) -> u64 {
        let Some(session) = self.sessions.last() else { return 0 };
        session.messages.last().map_or(session.last, |message| message.id)
    }

    /// The same, with the room.
    pub(crate) fn newest(&self) -> Option<(&str, u64)> {
        let message = self.sessions.last()?.messages.last()?;
        Some((&message.room, message.id))
    }
}

impl Session {
    fn comes(&mut self, name: String, text: &str) {
        let is_other = |member: &String| person(member) != person(&name);
        assert!(self.members.iter().all(is_other), "{:?} has {name} or its double: {text}", self.members);
        self.members.push(name);
    }

    fn goes(&mut self, name: &str, text: &str) {
        let at = self.members.iter().position(|member| member == name);
        let at = at.unwrap_or_else(|| panic!("{name} is not in {:?}: {text}", self.members));
        self.members.remove(at);
    }
}

fn heed(event: &Value, payload_bytes: usize) -> Heed {
    let word = |key: &str| event[key].as_str().expect("a string").to_owned();
    Heed {
        room: word("room"),
        id: event["id"].as_u64().expect("an id"),
        unix_ms: event["time"].as_u64().expect("a time"),
        kind: word("type"),
        name: word("name"),
        text: word("mess"),
        bytes: payload_bytes + if payload_bytes < 126 { 2 } else { 4 },
    }
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// The errors that were promised.
pub(crate) const ERRORS: &[&str] = &[
    "bad-arguments",
    "bad-name",
    "bad-room",
    "bad-since",
    "binary-not-accepted",
    "history-unavailable",
    "message-too-big",
    "mistyped-command",
    "name-taken",
    "name-too-similar",
    "no-such-name",
    "receiver-busy",
    "since-in-future",
    "slow-down",
    "too-many-rooms",
    "unknown-command",
];
