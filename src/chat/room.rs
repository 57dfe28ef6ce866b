//! Who is in a room, and when their coming and going is news.

use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use slab::Slab;

use super::event::Event;
use super::name::Name;
use crate::moment::Moment;

/// Names in a welcome: enough for a roster at a glance, few enough that ten thousand welcomes stay cheap.
pub const MAX_USERS_LISTED: usize = 100;

/// How often a large room hears how many it is.
const ONLINE_EVERY: Duration = Duration::from_secs(1);

/// A member's place in the room, from joining to leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat(u32);

/// A room. `C` is whatever its owner uses to find a member's connection; the room only keeps it.
#[derive(Debug)]
pub struct Room<C> {
    name: Box<str>,
    members: Slab<Member<C>>,
    /// From so many members on, comings and goings are told as a count.
    presence_members: usize,
    /// A count is owed, and may be told from then on.
    count_owed_at: Option<Moment>,
    /// The last count was told then.
    count_told_at: Option<Moment>,
    /// The names in a welcome, already written: a hundred names take longer to write than the rest of a handshake.
    listed: Option<Listed>,
}

#[derive(Debug)]
struct Listed {
    names: Box<RawValue>,
    /// Whoever sits behind this changes nothing: the list is full before.
    last_seat: usize,
}

#[derive(Debug)]
struct Member<C> {
    name: Name,
    connection: C,
}

impl<C: Copy> Room<C> {
    /// An empty room.
    #[must_use]
    pub fn new(name: &str, presence_members: usize) -> Room<C> {
        Room {
            name: name.into(),
            members: Slab::new(),
            presence_members,
            count_owed_at: None,
            count_told_at: None,
            listed: None,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many are in it.
    #[must_use]
    pub fn online(&self) -> usize {
        self.members.len()
    }

    /// The connections of all members, in the order of their seats.
    pub fn audience(&self) -> impl Iterator<Item = C> + '_ {
        self.members.iter().map(|(_, member)| member.connection)
    }

    /// Who sits there.
    #[must_use]
    pub fn name_of(&self, seat: Seat) -> Option<Name> {
        self.members.get(seat.0 as usize).map(|member| member.name)
    }

    /// Somebody comes in. Gives the seat, and the event for the others if the room is small enough.
    pub fn join(&mut self, name: Name, connection: C, now: Moment) -> (Seat, Option<Event<'static>>) {
        // A slab of connections is limited to far fewer than 2^32, and a member is a connection.
        let seat = Seat(self.members.insert(Member { name, connection }) as u32);
        self.forget_list_with(seat);
        let online = self.online();
        (seat, self.news(Event::Join { name, online }, now))
    }

    /// Somebody goes. Gives the event for the others if the room is small enough.
    pub fn leave(&mut self, seat: Seat, now: Moment) -> Option<Event<'static>> {
        let member = self.members.try_remove(seat.0 as usize)?;
        self.forget_list_with(seat);
        let online = self.online();
        self.news(Event::Leave { name: member.name, online }, now)
    }

    /// The greeting for somebody who just came in; `last` is the newest message's id.
    pub fn welcome(&mut self, name: Name, last: u64) -> Event<'_> {
        let online = self.online();
        let listed = self.listed.get_or_insert_with(|| Listed::of(&self.members));
        Event::Welcome { name, online, users: &listed.names, last }
    }

    /// When [`Room::count_due`] has something to tell.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.count_owed_at.unwrap_or(Moment::NEVER)
    }

    /// The count that is owed, if its time has come.
    pub fn count_due(&mut self, now: Moment) -> Option<Event<'static>> {
        if now < self.deadline() {
            return None;
        }
        self.count_owed_at = None;
        self.count_told_at = Some(now);
        Some(Event::Online { online: self.online() })
    }

    fn forget_list_with(&mut self, seat: Seat) {
        self.listed.take_if(|listed| seat.0 as usize <= listed.last_seat);
    }

    /// In a small room the event itself; in a large one a count, later: N joins must not cost N x N frames.
    fn news(&mut self, event: Event<'static>, now: Moment) -> Option<Event<'static>> {
        if self.online() < self.presence_members {
            return Some(event);
        }
        let earliest = self.count_told_at.map_or(now, |told| told + ONLINE_EVERY);
        self.count_owed_at.get_or_insert(earliest.max(now));
        None
    }
}

impl Listed {
    fn of<C>(members: &Slab<Member<C>>) -> Listed {
        let first: Vec<Name> = members.iter().map(|(_, member)| member.name).take(MAX_USERS_LISTED).collect();
        // Until the list is full, everybody who comes changes it.
        let last_seat = members.iter().nth(MAX_USERS_LISTED - 1).map_or(usize::MAX, |(seat, _)| seat);
        // Names are strings, and those can always be written; were it otherwise, the list would be empty.
        let names = to_raw_value(&first).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Listed { names, last_seat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::START + Duration::from_millis(millis)
    }

    #[test]
    fn a_small_room_hears_of_each_and_a_large_one_a_count_once_a_second() {
        let mut room = Room::new("lobby", 3);
        let (seat, news) = room.join(Name::tourist(1), (), at(0));
        assert!(matches!(news, Some(Event::Join { online: 1, .. })));
        assert!(matches!(room.join(Name::tourist(2), (), at(0)).1, Some(Event::Join { online: 2, .. })));
        for number in 3..1_000 {
            assert!(room.join(Name::tourist(number), (), at(5)).1.is_none());
        }
        assert_eq!(room.deadline(), at(5), "the first count comes at once");
        assert!(matches!(room.count_due(at(5)), Some(Event::Online { online: 999 })));
        assert!(room.leave(seat, at(6)).is_none());
        assert_eq!(room.deadline(), at(1_005), "the next a second later");
        assert!(room.count_due(at(1_004)).is_none());
        assert!(matches!(room.count_due(at(1_005)), Some(Event::Online { online: 998 })));
        assert_eq!(room.deadline(), Moment::NEVER, "and then no more until something changes");
    }

    #[test]
    fn a_welcome_lists_a_hundred_names_at_most() {
        let mut room = Room::new("lobby", 3);
        for number in 0..250 {
            room.join(Name::tourist(number), (), at(0));
        }
        assert_eq!(listed(&mut room), (0..100).map(|number| format!("Tourist {number}")).collect::<Vec<_>>());
    }

    /// The names that a welcome lists.
    fn listed(room: &mut Room<()>) -> Vec<String> {
        let online = room.online();
        match room.welcome(Name::tourist(9_999), 7) {
            Event::Welcome { users, online: told, last: 7, .. } if told == online => {
                serde_json::from_str(users.get()).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    /// The list is written once and kept; it must never be an old one.
    #[test]
    fn the_names_in_a_welcome_are_always_those_who_are_there() {
        let mut room = Room::new("lobby", 3);
        let mut seats = Vec::new();
        for number in 0..120 {
            seats.push(room.join(Name::tourist(number), (), at(0)).0);
            assert_eq!(listed(&mut room).len(), room.online().min(100));
        }
        let before = listed(&mut room);
        room.leave(seats[110], at(0));
        assert_eq!(listed(&mut room), before, "the list is full before that seat");
        room.leave(seats[50], at(0));
        assert!(!listed(&mut room).contains(&"Tourist 50".to_owned()));
        room.join(Name::tourist(777), (), at(0));
        assert!(listed(&mut room).contains(&"Tourist 777".to_owned()), "it took the free seat");
        for seat in seats {
            room.leave(seat, at(0));
        }
        assert!(listed(&mut room).is_empty());
    }

    #[test]
    fn a_seat_left_twice_is_left_once() {
        let mut room = Room::new("lobby", 100);
        let (seat, _) = room.join(Name::tourist(1), (), at(0));
        assert!(room.leave(seat, at(0)).is_some());
        assert!(room.leave(seat, at(0)).is_none());
    }
}
