//! The naive model: a room is one list of messages, and what a client hears of it is a slice of that list.

use std::collections::BTreeMap;

use roomd::chat::message::DAMAGED;
use roomd::chat::name::DAEMON;
use roomd::limits::Limits;

use super::client::{Client, Kind};
use super::recorder::{List, Record, Visit};
use super::slow_log::Damaged;
use super::transcript::{Heed, Page, Session};
use super::vocabulary;

pub(crate) struct Model<'a> {
    pub(crate) record: &'a Record,
    pub(crate) limits: &'a Limits,
    /// Messages of the store may be gone.
    pub(crate) is_forgetful: bool,
    pub(crate) is_late: bool,
    pub(crate) damaged: Damaged,
}

impl Model<'_> {
    /// Everybody has read all there is. Those who are still there have heard everything; the others, up to some point.
    pub(crate) fn check(&self, clients: &[Client]) {
        for client in clients.iter().filter(|client| client.is_guest()) {
            let none = Vec::new();
            let visits = self.record.visits.get(&client.id).unwrap_or(&none);
            if client.kind == Kind::Full {
                self.check_sessions(client, visits);
            } else {
                self.check_quiet(client, visits);
            }
            for page in &client.heard.pages {
                self.check_page(client, visits, page);
            }
            if client.is_open() {
                self.check_answers(client, visits);
            }
        }
        self.check_order_of_speech();
        check_privates(clients);
    }

    fn check_sessions(&self, client: &Client, visits: &[Visit]) {
        let who = client.number;
        let sessions = &client.heard.sessions;
        assert!(sessions.len() <= visits.len(), "client {who}: a welcome to a room that it never came to");
        for (nth, (session, visit)) in sessions.iter().zip(visits).enumerate() {
            let since = if nth == 0 { client.wish.since.as_deref().and_then(|since| since.parse().ok()) } else { None };
            if session.is_catch_up {
                let has_all = nth + 1 < sessions.len() || has_heard_all(client);
                self.check_catch_up(client, visit, since.expect("a long past, and it has not asked for one"), has_all);
                continue;
            }
            let visit = &Visit { seated: self.seat(visit, since, session.last), ..visit.clone() };
            let last = self.list(visit).id(visit.seated);
            assert_eq!((&session.room, session.last), (&visit.room, last), "client {who}: its welcome");
            let (past, present) = session.messages.split_at(session.messages.partition_point(|m| m.id <= session.last));
            let has_all = nth + 1 < sessions.len() || has_heard_all(client);
            if session.is_reset {
                let since = since.unwrap_or_else(|| panic!("client {who}: a reset for no reason"));
                self.check_reset(client, visit, since);
            }
            let expected = match since.filter(|_| !session.is_reset) {
                None if self.has_damage(&visit.room) => self.some_of_the_newest(visit, past.first()),
                None => self.newest(visit),
                Some(since) => self.missed(client, visit, since, has_all || !session.messages.is_empty()),
            };
            self.check_slice(client, visit, past, expected, has_all || !present.is_empty());
            self.check_slice(client, visit, present, self.present(visit), has_all);
        }
        assert!(!client.is_open() || sessions.len() == visits.len(), "client {who}: a welcome is missing");
    }

    /// Where it took its seat. With a `since` it may have waited in line for the past: its welcome says how long.
    fn seat(&self, visit: &Visit, since: Option<u64>, last: u64) -> usize {
        let may_have_waited = since.is_some() && visit.page.is_none();
        let mut later = visit.seated..=self.end(visit);
        later.find(|place| may_have_waited && self.list(visit).id(*place) == last).unwrap_or(visit.seated)
    }

    /// How many messages there were at the end of a visit.
    fn end(&self, visit: &Visit) -> usize {
        visit.went.unwrap_or_else(|| self.list(visit).messages.len())
    }

    /// A long past goes over into the present without a gap, unless something in the middle of it could not be had.
    fn check_catch_up(&self, client: &Client, visit: &Visit, since: u64, has_all: bool) {
        let (list, session) = (self.list(visit), &client.heard.sessions[0]);
        let who = client.number;
        assert_eq!(session.room, visit.room, "client {who}: its welcome");
        let end = self.end(visit);
        let lasts = list.id(visit.came)..=list.id(end);
        assert!(lasts.contains(&session.last), "client {who}: {} is not in {lasts:?}", session.last);
        let place = list.place(since, end).unwrap_or_else(|| panic!("client {who}: {since} is taken for an id"));
        if !session.is_reset {
            return self.check_slice(client, visit, &session.messages, place + 1..=end, has_all);
        }
        let (before, behind) = session.messages.split_at(session.heard_before_reset);
        self.check_slice(client, visit, before, place + 1..=end, false);
        let first = behind.first().and_then(|first| list.place(first.id, end)).unwrap_or(end + 1);
        self.check_slice(client, visit, behind, first..=end, has_all);
        self.check_reset_amid(client, visit, before.last().map_or(since, |message| message.id));
    }

    /// A reset in the middle of a long past, of which it has heard all up to `reached`. A room that keeps its newest messages
    /// alone lets go of older ones while the client reads: what it let go of is gone at the end of the visit as well.
    fn check_reset_amid(&self, client: &Client, visit: &Visit, reached: u64) {
        let end = self.end(visit);
        let place = self.list(visit).place(reached, end).expect("an id of this room");
        let may_be_gone = if self.is_late {
            self.is_forgetful || visit.page.as_ref().is_some_and(|page| page.is_none())
        } else {
            end - place > self.kept_at(visit, end)
        };
        assert!(may_be_gone, "client {}: a reset for no reason: {visit:?}", client.number);
    }

    /// It cannot know when it changes rooms; so all that it hears is the slices of all its visits, one behind another.
    fn check_quiet(&self, client: &Client, visits: &[Visit]) {
        let Session { is_reset, messages, heard_before_reset, .. } = &client.heard.sessions[0];
        let since: Option<u64> = client.wish.since.as_deref().and_then(|since| since.parse().ok());
        let (before, mut rest) = messages.split_at(*heard_before_reset);
        // Nothing tells when it had its turn in the line for the past: at the end of its visit at the latest.
        let first = visits.first().map(|visit| Visit { seated: self.end(visit), ..visit.clone() });
        if let (Some(since), Some(visit)) = (since.filter(|_| !before.is_empty()), &first) {
            self.check_slice(client, visit, before, self.missed(client, visit, since, true), false);
        }
        for (nth, visit) in visits.iter().enumerate() {
            let mut present = self.present(visit);
            // When it has joined the present, it knows itself if it was told to start afresh in the middle of a long past.
            if nth == 0
                && *is_reset
                && let Some(first) = rest.first()
                && let Some(place) = self.list(visit).place(first.id, *present.end())
                && first.room == visit.room
            {
                present = place.max(*present.start())..=*present.end();
            }
            let expected = match since {
                Some(since) if nth == 0 && !is_reset => {
                    let is_in = has_heard_all(client) || !messages.is_empty();
                    let visit = first.as_ref().unwrap_or(visit);
                    *self.missed(client, visit, since, is_in).start()..=*present.end()
                }
                _ => present,
            };
            let has_all = nth + 1 < visits.len() && rest.len() > expected.clone().count();
            let (slice, behind) = rest.split_at(expected.clone().count().min(rest.len()));
            self.check_slice(client, visit, slice, expected, has_all || has_heard_all(client));
            rest = behind;
        }
        assert!(rest.is_empty(), "client {}: it hears of rooms where it is not", client.number);
        if let (true, Some(visit)) = (*is_reset, &first) {
            match before.last() {
                Some(reached) => self.check_reset_amid(client, visit, reached.id),
                None => {
                    let since = since.expect("a reset for no reason");
                    // Later it may have known more of the room.
                    let mut seats = visits[0].seated..=visit.seated;
                    let is_right = |seated| self.is_reset_right(&Visit { seated, ..visit.clone() }, since);
                    assert!(seats.any(is_right), "client {}: a reset for no reason: {visit:?}", client.number);
                }
            }
        }
    }

    fn check_slice(
        &self,
        client: &Client,
        visit: &Visit,
        heard: &[Heed],
        expected: std::ops::RangeInclusive<usize>,
        is_whole: bool,
    ) {
        let ids: Vec<u64> = heard.iter().map(|message| message.id).collect();
        let who = format!("client {} ({:?}) in {visit:?}", client.number, client.kind);
        let expected: Vec<u64> = expected.map(|place| self.list(visit).id(place)).collect();
        assert!(expected.starts_with(&ids), "{who}: {ids:?} and not {expected:?}");
        assert!(!is_whole || ids.len() == expected.len(), "{who}: only {ids:?} of {expected:?}");
        self.check_content(visit, heard);
    }

    /// The same id, the same message.
    fn check_content(&self, visit: &Visit, heard: &[Heed]) {
        for Heed { room, id, unix_ms, kind, name, text, .. } in heard {
            let list = self.list(visit);
            let said = list.at(list.place(*id, list.messages.len()).expect("an id of this room"));
            // The rooms keep their newest messages themselves, so one that is damaged in the store may still be seen whole.
            let is_damaged = (name.as_str(), text.as_str()) == (DAEMON, DAMAGED);
            if is_damaged && self.damaged.borrow().contains(&(room.clone(), *id)) {
                assert_eq!(&**kind, "message");
                continue;
            }
            let expected = (said.kind, &said.name, &said.text, said.unix_ms);
            assert_eq!((&**kind, name, text, *unix_ms), expected, "message {id} of {room}");
            assert_eq!(*room, visit.room);
        }
    }

    fn present(&self, visit: &Visit) -> std::ops::RangeInclusive<usize> {
        visit.seated + 1..=self.end(visit)
    }

    /// What somebody is sent of the past who comes back and is not told to start afresh: not for an id that this room
    /// has never come to, as soon as anything is known of what it was sent.
    fn missed(&self, client: &Client, visit: &Visit, since: u64, is_in: bool) -> std::ops::RangeInclusive<usize> {
        let place = self.list(visit).place(since, visit.seated);
        assert!(place.is_some() || !is_in, "client {}: {since} is taken for an id of {visit:?}", client.number);
        place.unwrap_or(visit.seated) + 1..=visit.seated
    }

    /// What a newcomer is sent of the past.
    fn newest(&self, visit: &Visit) -> std::ops::RangeInclusive<usize> {
        let most = self.kept(visit).min(self.limits.replay_messages);
        let mut bytes = 0;
        let fitting = (0..most).take_while(|nth| {
            bytes += self.json_bytes(visit, visit.seated - nth);
            bytes <= self.limits.past_bytes()
        });
        visit.seated + 1 - fitting.count()..=visit.seated
    }

    /// A damaged message is of another size than it was, and so there may be more or fewer of them. They are the newest all
    /// the same, without a gap.
    fn some_of_the_newest(&self, visit: &Visit, first: Option<&Heed>) -> std::ops::RangeInclusive<usize> {
        let place = first.and_then(|first| self.list(visit).place(first.id, visit.seated));
        place.unwrap_or(visit.seated + 1)..=visit.seated
    }

    fn has_damage(&self, room: &str) -> bool {
        self.damaged.borrow().iter().any(|(damaged, _)| damaged == room)
    }

    /// How many messages the room knew of itself when this visitor came.
    fn kept(&self, visit: &Visit) -> usize {
        self.kept_at(visit, visit.seated)
    }

    /// How many messages the room knew of itself when the newest was the one at that place.
    fn kept_at(&self, visit: &Visit, newest: usize) -> usize {
        let kept = self.limits.kept;
        let mut bytes = 0;
        let fitting = (0..kept.messages.min(newest - visit.unknown)).take_while(|nth| {
            bytes += self.json_bytes(visit, newest - nth);
            *nth == 0 || bytes <= kept.bytes
        });
        fitting.count()
    }

    /// A reset is for those whose messages cannot be had.
    fn check_reset(&self, client: &Client, visit: &Visit, since: u64) {
        assert!(self.is_reset_right(visit, since), "client {}: a reset for no reason: {visit:?}", client.number);
    }

    fn is_reset_right(&self, visit: &Visit, since: u64) -> bool {
        let Some(place) = self.list(visit).place(since, visit.seated) else { return true };
        if !self.is_late {
            return visit.seated - place > self.kept(visit);
        }
        let first = self.list(visit).id(place + 1);
        visit.page.as_ref().is_some_and(|page| page.as_ref().is_none_or(|page| page.first() != Some(&first)))
    }

    fn json_bytes(&self, visit: &Visit, place: usize) -> usize {
        let list = self.list(visit);
        list.at(place).json_bytes(list.id(place), &visit.room)
    }

    fn list(&self, visit: &Visit) -> &List {
        &self.record.lists[visit.list]
    }

    fn check_page(&self, client: &Client, visits: &[Visit], page: &Page) {
        let Page { before, more, messages, .. } = page;
        let ids: Vec<u64> = messages.iter().map(|message| message.id).collect();
        let who = format!("client {}: before {before}: {ids:?}", client.number);
        assert!(ids.is_sorted_by(|a, b| a + 1 == *b) && ids.len() <= 50, "{who}");
        assert!(ids.iter().all(|id| id < before), "{who}");
        // Where it was when it asked; one who is quiet cannot say.
        if client.kind == Kind::Quiet {
            return;
        }
        let visit = &visits[page.session];
        self.check_content(visit, messages);
        let newest = page.heard.min(before.saturating_sub(1));
        match (ids.first(), ids.last()) {
            (Some(first), Some(last)) => {
                assert!(*last >= newest, "{who}: {newest} is missing");
                assert!(
                    *more || *first == self.list(visit).id(1) || !self.is_late || self.is_forgetful,
                    "{who}: that is not all"
                );
            }
            _ => assert!(newest == 0 || !self.is_late || self.is_forgetful, "{who}: there is {newest}"),
        }
    }

    /// Each line of somebody who is still there has had its one answer.
    fn check_answers(&self, client: &Client, visits: &[Visit]) {
        let heard = &client.heard;
        let count = |map: &BTreeMap<_, usize>| map.get(&client.id).copied().unwrap_or(0);
        let unavailable = heard.errors.iter().filter(|code| *code == "history-unavailable").count();
        let who = format!("client {} ({:?})", client.number, client.kind);
        assert_eq!(unavailable, count(&self.record.unavailable), "{who}: what was refused");
        let tag = format!("{}:", client.number);
        let messages = self.record.lists.iter().flat_map(|list| &list.messages);
        let kept = messages.filter(|said| said.text.starts_with(&tag)).count();
        assert_eq!(client.said, kept + count(&self.record.refused), "{who}: each message is kept or refused");
        if client.kind == Kind::Quiet {
            return;
        }
        let wish = &client.wish;
        let mut unasked = heard.lost_names;
        let first = &heard.sessions[0];
        if let Some(since) = &wish.since {
            unasked += usize::from(since.parse::<u64>().map_or(true, |since| since > first.last));
        }
        let first_name = heard.names.first().map(|name| &**name);
        unasked += usize::from(wish.name.is_some_and(|name| vocabulary::is_bad_name(name) || Some(name) != first_name));
        assert_eq!(
            heard.answers + heard.errors.len(),
            client.lines + unasked,
            "{who}: an answer to each line: {:?} in {} visits",
            heard.errors,
            visits.len()
        );
    }

    /// What one has said in one room was said in that order.
    fn check_order_of_speech(&self) {
        for list in &self.record.lists {
            let mut said: BTreeMap<&str, usize> = BTreeMap::new();
            for message in &list.messages {
                let (speaker, rest) = message.text.split_once(':').expect("number:count");
                let count = rest.split(' ').next().and_then(|count| count.parse().ok()).expect("a count");
                let before = said.insert(speaker, count).unwrap_or(0);
                assert!(before < count, "{} said {count} after {before}", message.name);
            }
        }
    }
}

/// It is still there; or it said goodbye first, and was answered just that.
fn has_heard_all(client: &Client) -> bool {
    client.is_open() || (client.goodbye.is_some() && client.close_code == client.goodbye)
}

/// What is said to one is heard by that one, and the speaker has a receipt.
fn check_privates(clients: &[Client]) {
    let mut privates: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for client in clients {
        for private in &client.heard.privates {
            privates.entry(&private.text).or_default().push((client.number, &private.to));
        }
    }
    for (text, hearers) in privates {
        let (speaker, _) = text.split_once(':').expect("number:count");
        let speaker: usize = speaker.parse().expect("a number");
        let receipts = hearers.iter().filter(|(hearer, _)| *hearer == speaker).count();
        let to = hearers[0].1;
        assert!(hearers.iter().all(|hearer| hearer.1 == to), "{text} to {hearers:?}");
        assert!(receipts <= 1 && hearers.len() <= receipts + 1, "{text} was heard by {hearers:?}");
        assert!(receipts == 1 || !clients[speaker].is_open(), "{text} without a receipt");
        let is_to = |client: &Client| client.heard.names.iter().any(|name| name == to) || client.kind == Kind::Quiet;
        let may_have_missed = |client: &Client| is_to(client) && (client.number == speaker || !has_heard_all(client));
        assert!(hearers.len() > receipts || clients.iter().any(may_have_missed), "{text} has not reached {to}");
    }
}
