//! A room: what one gets by applying the entries of its log in order.
//!
//! [`Room::apply`] is pure and total. It knows no socket, no clock and no chance, and whatever entry comes, it has an
//! answer. So two programs that apply the same entries have the same room, also if one of them began with a copy of the
//! other's room and the entries behind it. This is called a fold.

use super::companions::{Companions, Vacated};
use super::entry::{Change, Entry, Kept, Member};
use super::name::Name;
use super::names::{Conflict, NameRegistry};
use super::person::{PersonId, Tag};
use super::position::RoomIds;
use super::room_name::RoomName;
use super::seat::Seat;

/// Who is in a room, what they are called, and how far its messages have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    name: RoomName,
    /// How far its messages have come.
    ids: RoomIds,
    /// Who sits where. Apart from the names, so that a turn that goes through all members passes over nothing else.
    sitters: Vec<Option<Member>>,
    /// For each seat, what its member is called, or which seat was left before it.
    places: Vec<Place>,
    /// The seat that was left last, and is given next.
    vacant: Option<Seat>,
    online: usize,
    connections: usize,
    names: NameRegistry<Seat>,
    companions: Companions,
}

/// Vacant seats are a list that goes through the seats themselves, so it costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Taken(Name),
    /// Of a person that has its name at its first seat.
    Companion,
    Vacant {
        /// The seat that was left before this one, if that is vacant, too.
        next: Option<Seat>,
    },
}

/// What an entry has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the entry does not fit what the room is. It is of somebody who has left, or is not in yet.
    Nothing,
    /// The message is the newest of the room.
    Said,
    /// Somebody is in, under the name that it wanted.
    Joined(Seat),
    /// Somebody who is in has one more connection, and is called as before.
    JoinedAgain(Seat),
    /// A member has the name that it wanted.
    Renamed {
        /// Its seat.
        seat: Seat,
        /// What it was called before.
        from: Name,
    },
    /// A member is no longer in.
    Left {
        /// The seat that it had.
        seat: Seat,
        /// What it was called.
        name: Name,
        /// Who it was, if it had shown a secret.
        person: Option<PersonId>,
    },
    /// Somebody has one connection less, and is still in.
    LeftOnce {
        /// The seat that the connection had.
        seat: Seat,
        /// What its person is called.
        name: Name,
        /// Who that is.
        person: PersonId,
        /// The first seat of the person, from now on.
        first: Seat,
    },
    /// The last connection of a person is gone. Until the person is back or stays away, it is in the room as before, and nobody
    /// sits on this seat.
    WentAway(Seat),
    /// A name could not be had, so nothing has changed: a newcomer is not in, a member has the name that it had.
    NameRefused {
        /// Who wanted it.
        who: Member,
        /// Why, and who is in the way.
        conflict: Conflict<Seat>,
    },
}

impl Room {
    /// A room that nobody is in and where nothing was said.
    #[must_use]
    pub fn new(name: RoomName) -> Room {
        Room {
            name,
            ids: RoomIds::default(),
            sitters: Vec::new(),
            places: Vec::new(),
            vacant: None,
            online: 0,
            connections: 0,
            names: NameRegistry::new(),
            companions: Companions::default(),
        }
    }

    /// The fold begins behind these messages: they are in the log, and nobody is in the room.
    pub fn begin_at(&mut self, ids: RoomIds) {
        self.ids = ids;
    }

    /// Applies the next entry of the room's log.
    #[inline]
    pub fn apply(&mut self, entry: Entry<'_>) -> Effect {
        match entry {
            Entry::Kept { id, kept, .. } => {
                self.ids = self.ids.followed_by(id);
                match kept {
                    Kept::Said(_) => Effect::Said,
                }
            }
            Entry::Change(Change::Joined { who, name, person }) => self.join(who, name, person),
            Entry::Change(Change::Renamed { who, seat, to }) => self.rename(who, seat, to),
            Entry::Change(Change::Left { who, seat }) => self.leave(who, seat),
            Entry::Change(Change::WentAway { who, seat }) => self.go_away(who, seat),
            Entry::Change(Change::StayedAway { who, seat }) => self.stay_away(who, seat),
        }
    }

    fn join(&mut self, who: Member, name: Name, person: Option<PersonId>) -> Effect {
        // A daemon holds far fewer than 2^32 connections, and a member is a connection.
        let seat = self.vacant.unwrap_or(Seat(self.places.len() as u32));
        if let Some(kept) = person.and_then(|person| self.companions.come_back(person))
            && let Some(sitter) = self.sitters.get_mut(kept.index())
        {
            *sitter = Some(who);
            self.connections += 1;
            return Effect::JoinedAgain(kept);
        }
        if let Some(person) = person
            && self.companions.first_of(person).is_some()
        {
            self.companions.add(person, seat);
            self.sit_down(seat, who, Place::Companion);
            return Effect::JoinedAgain(seat);
        }
        if let Err(conflict) = self.names.take(&name, None, seat) {
            return Effect::NameRefused { who, conflict };
        }
        if let Some(person) = person {
            self.companions.add(person, seat);
        }
        self.sit_down(seat, who, Place::Taken(name));
        self.online += 1;
        Effect::Joined(seat)
    }

    /// On the seat that is given next.
    fn sit_down(&mut self, seat: Seat, who: Member, taken: Place) {
        match (self.places.get_mut(seat.index()), self.sitters.get_mut(seat.index())) {
            (Some(place), Some(sitter)) => {
                if let Place::Vacant { next } = *place {
                    self.vacant = next;
                }
                (*place, *sitter) = (taken, Some(who));
            }
            _ => {
                self.places.push(taken);
                self.sitters.push(Some(who));
            }
        }
        self.connections += 1;
    }

    /// Whichever connection of a person asks for it, the person is called that.
    fn rename(&mut self, who: Member, seat: Seat, to: Name) -> Effect {
        if self.member(seat) != Some(who) {
            return Effect::Nothing;
        }
        let seat = self.companions.first(seat);
        let Some(Place::Taken(name)) = self.places.get_mut(seat.index()) else { return Effect::Nothing };
        match self.names.take(&to, Some(name), seat) {
            Ok(()) => Effect::Renamed { seat, from: std::mem::replace(name, to) },
            Err(conflict) => Effect::NameRefused { who, conflict },
        }
    }

    fn leave(&mut self, who: Member, seat: Option<Seat>) -> Effect {
        // To keep a table of seats by member would cost each member more than to look for the few that leave while they join.
        let seat_of = |who| self.sitters.iter().position(|sitter| *sitter == Some(who)).map(|nth| Seat(nth as u32));
        let Some(seat) = seat.or_else(|| seat_of(who)) else { return Effect::Nothing };
        let Some(sitter) = self.sitters.get_mut(seat.index()).filter(|sitter| **sitter == Some(who)) else {
            return Effect::Nothing;
        };
        let Some(place) = self.places.get_mut(seat.index()) else { return Effect::Nothing };
        *sitter = None;
        let left = std::mem::replace(place, Place::Vacant { next: self.vacant.replace(seat) });
        self.connections -= 1;
        match (left, self.companions.remove(seat)) {
            (Place::Taken(name), Vacated::StillThere(person, first)) => {
                self.names.hand_over(&name, first);
                if let Some(place) = self.places.get_mut(first.index()) {
                    *place = Place::Taken(name.clone());
                }
                Effect::LeftOnce { seat, name, person, first }
            }
            (Place::Taken(name), Vacated::Last(person)) => self.last_left(seat, name, Some(person)),
            (Place::Taken(name), Vacated::OfNobody) => self.last_left(seat, name, None),
            (Place::Companion, Vacated::StillThere(person, first)) => match self.name_of(first).cloned() {
                Some(name) => Effect::LeftOnce { seat, name, person, first },
                None => Effect::Nothing,
            },
            // A companion is never the last.
            (Place::Companion | Place::Vacant { .. }, _) => Effect::Nothing,
        }
    }

    fn go_away(&mut self, who: Member, seat: Seat) -> Effect {
        if self.member(seat) != Some(who) || !self.companions.go_away(seat, who) {
            return self.leave(who, Some(seat));
        }
        if let Some(sitter) = self.sitters.get_mut(seat.index()) {
            *sitter = None;
            self.connections -= 1;
        }
        Effect::WentAway(seat)
    }

    fn stay_away(&mut self, who: Member, seat: Seat) -> Effect {
        // It may have come back.
        if !self.companions.is_away(seat, who) {
            return Effect::Nothing;
        }
        if let Some(sitter) = self.sitters.get_mut(seat.index()) {
            *sitter = Some(who);
            self.connections += 1;
        }
        self.leave(who, Some(seat))
    }

    fn last_left(&mut self, seat: Seat, name: Name, person: Option<PersonId>) -> Effect {
        self.names.free(&name);
        self.online -= 1;
        if self.online == 0 {
            // The memory of a rush is given back.
            (self.sitters, self.places, self.vacant) = (Vec::new(), Vec::new(), None);
        }
        Effect::Left { seat, name, person }
    }

    /// What the room is called.
    #[must_use]
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// Where the ids stand of the messages that have been said.
    #[must_use]
    pub fn ids(&self) -> RoomIds {
        self.ids
    }

    /// How many are in it. A person with several connections is one.
    #[must_use]
    pub fn online(&self) -> usize {
        self.online
    }

    /// How many connections are in it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// The seats and names of all members, in the order of their seats. Of a person the first seat, and no other.
    pub fn members(&self) -> impl Iterator<Item = (Seat, &Name)> + '_ {
        (0..).zip(&self.places).filter_map(|(nth, place)| match place {
            Place::Taken(name) => Some((Seat(nth), name)),
            Place::Companion | Place::Vacant { .. } => None,
        })
    }

    /// All members. This is what a turn goes through to write to them, so it gives nothing else.
    #[inline]
    pub fn audience(&self) -> impl Iterator<Item = Member> + '_ {
        self.sitters.iter().filter_map(|sitter| *sitter)
    }

    /// Who sits there.
    #[must_use]
    pub fn member(&self, seat: Seat) -> Option<Member> {
        *self.sitters.get(seat.index())?
    }

    /// What the member is called who sits there.
    #[must_use]
    pub fn name_of(&self, seat: Seat) -> Option<&Name> {
        match self.places.get(seat.index())? {
            Place::Taken(name) => Some(name),
            Place::Companion => match self.places.get(self.companions.first(seat).index())? {
                Place::Taken(name) => Some(name),
                Place::Companion | Place::Vacant { .. } => None,
            },
            Place::Vacant { .. } => None,
        }
    }

    /// The mark of the member who sits there, if it has shown a secret.
    #[must_use]
    pub fn tag_of(&self, seat: Seat) -> Option<Tag> {
        self.companions.person(seat).map(|person| person.tag())
    }

    /// All seats of the person who sits there. Of somebody who has shown no secret, it is this one.
    pub fn seats_of(&self, seat: Seat) -> impl Iterator<Item = Seat> + '_ {
        self.companions.seats(seat)
    }

    /// The seat of the member who is called that, without regard to case.
    ///
    /// Members with a number for a name are looked for one by one: an index would cost each of them more than its name
    /// does, and to pass ten thousand takes less than to write to one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Seat> {
        let Some(number) = Name::parse_tourist(name) else { return self.names.holder(name) };
        let tourist = Name::tourist(number);
        self.members().find(|(_, name)| **name == tourist).map(|(seat, _)| seat)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::entry::{NewMessage, Node};
    use super::super::message::Kind;
    use super::super::names::Unavailable;
    use super::*;

    fn person(nth: u8) -> PersonId {
        PersonId([nth; 16])
    }

    fn member(serial: u32) -> Member {
        Member { node: Node::FIRST, slot: 0, serial }
    }

    fn chosen(text: &str) -> Name {
        Name::chosen(text).unwrap()
    }

    fn lobby() -> Room {
        Room::new(RoomName::lobby())
    }

    fn joins(room: &mut Room, serial: u32, name: Name) -> Effect {
        room.apply(Entry::Change(Change::Joined { who: member(serial), name, person: None }))
    }

    fn seat_of(room: &mut Room, serial: u32, name: Name) -> Seat {
        match joins(room, serial, name) {
            Effect::Joined(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    fn renames(room: &mut Room, serial: u32, seat: Seat, to: &str) -> Effect {
        room.apply(Entry::Change(Change::Renamed { who: member(serial), seat, to: chosen(to) }))
    }

    fn leaves(room: &mut Room, serial: u32, seat: impl Into<Option<Seat>>) -> Effect {
        room.apply(Entry::Change(Change::Left { who: member(serial), seat: seat.into() }))
    }

    fn refused(serial: u32, holder: Seat) -> Effect {
        let conflict = Conflict { why: Unavailable::Taken, holder };
        Effect::NameRefused { who: member(serial), conflict }
    }

    #[test]
    fn the_first_in_the_log_has_the_name_and_the_other_is_not_in() {
        let mut room = lobby();
        let ann = seat_of(&mut room, 1, chosen("Ann"));
        assert_eq!(joins(&mut room, 2, chosen("ANN")), refused(2, ann));
        assert_eq!(room.online(), 1);
        let other = seat_of(&mut room, 2, Name::tourist(1));
        assert_eq!(renames(&mut room, 2, other, "ann"), refused(2, ann));
        assert_eq!(room.name_of(other), Some(&Name::tourist(1)), "it keeps the name that it has");
    }

    #[test]
    fn a_name_is_free_behind_the_entry_with_which_its_holder_leaves_or_takes_another() {
        let mut room = lobby();
        let first = seat_of(&mut room, 1, chosen("Ann"));
        assert_eq!(renames(&mut room, 1, first, "Bea"), Effect::Renamed { seat: first, from: chosen("Ann") });
        let second = seat_of(&mut room, 2, chosen("Ann"));
        assert_eq!(leaves(&mut room, 1, first), Effect::Left { seat: first, name: chosen("Bea"), person: None });
        assert_eq!(renames(&mut room, 2, second, "Bea"), Effect::Renamed { seat: second, from: chosen("Ann") });
    }

    #[test]
    fn an_entry_of_somebody_else_who_had_the_seat_before_changes_nothing() {
        let mut room = lobby();
        let seat = seat_of(&mut room, 1, chosen("Ann"));
        leaves(&mut room, 1, seat);
        assert_eq!(seat_of(&mut room, 2, chosen("Bea")), seat, "it is given again");
        let before = room.clone();
        assert_eq!(leaves(&mut room, 1, seat), Effect::Nothing);
        assert_eq!(renames(&mut room, 1, seat, "Cid"), Effect::Nothing);
        assert_eq!(leaves(&mut room, 2, Seat(7)), Effect::Nothing);
        assert_eq!(room, before);
    }

    #[test]
    fn who_leaves_while_it_joins_is_found_without_its_seat() {
        let mut room = lobby();
        seat_of(&mut room, 1, chosen("Ann"));
        let seat = seat_of(&mut room, 2, chosen("Bea"));
        assert_eq!(leaves(&mut room, 2, None), Effect::Left { seat, name: chosen("Bea"), person: None });
        assert_eq!(leaves(&mut room, 2, None), Effect::Nothing, "once");
        assert_eq!(room.online(), 1);
    }

    #[test]
    fn members_are_found_by_name_and_tourists_by_number() {
        let mut room = lobby();
        let ann = seat_of(&mut room, 8, chosen("Ann"));
        let tourist = seat_of(&mut room, 9, Name::tourist(12));
        assert_eq!((room.find("ann"), room.find("tourist 12")), (Some(ann), Some(tourist)));
        assert_eq!((room.find("bea"), room.find("Tourist 1")), (None, None));
    }

    #[test]
    fn a_room_that_all_have_left_holds_no_memory() {
        let mut room = lobby();
        let seats: Vec<Seat> =
            (0..100).map(|number| seat_of(&mut room, number, Name::tourist(number.into()))).collect();
        for (number, seat) in (0..).zip(seats) {
            leaves(&mut room, number, seat);
        }
        assert_eq!(room, lobby());
        assert_eq!(room.places.capacity() + room.sitters.capacity(), 0);
    }

    /// An entry as a log may hold it: of anybody, with any seat, whether it makes sense or not. A number is a message.
    #[derive(Debug, Clone)]
    enum Any {
        Said(u64),
        Change(Change),
    }

    fn entry() -> impl Strategy<Value = Any> {
        let who = (1..=2u32, 0..4u32).prop_map(|(node, serial)| Member {
            node: Node(node.try_into().unwrap()),
            slot: 0,
            serial,
        });
        let seat = (0..6u32).prop_map(Seat);
        let name = prop_oneof![
            (0..3u64).prop_map(Name::tourist),
            prop::sample::select(vec!["Ann", "ANN", "Αnn", "Bob", "b0b", "Cid"]).prop_map(chosen),
        ];
        prop_oneof![
            (1..100u64).prop_map(Any::Said),
            (who.clone(), name.clone(), prop::option::of(0..3u8))
                .prop_map(|(who, name, nth)| Any::Change(Change::Joined { who, name, person: nth.map(person) })),
            (who.clone(), seat.clone(), name).prop_map(|(who, seat, to)| Any::Change(Change::Renamed {
                who,
                seat,
                to
            })),
            (who.clone(), prop::option::of(seat.clone()))
                .prop_map(|(who, seat)| Any::Change(Change::Left { who, seat })),
            (who.clone(), seat.clone()).prop_map(|(who, seat)| Any::Change(Change::WentAway { who, seat })),
            (who, seat).prop_map(|(who, seat)| Any::Change(Change::StayedAway { who, seat })),
        ]
    }

    fn applied(room: &mut Room, entry: &Any) -> Effect {
        let name = Name::tourist(1);
        match entry {
            Any::Said(id) => {
                let message = NewMessage { unix_ms: 5, kind: Kind::Action, name: &name, tag: None, text: "waves" };
                room.apply(Entry::Kept { id: *id, author: member(1), kept: Kept::Said(message) })
            }
            Any::Change(change) => room.apply(Entry::Change(change.clone())),
        }
    }

    proptest! {
        #[test]
        fn two_folds_of_one_log_are_equal_at_every_prefix(log in prop::collection::vec(entry(), 0..80)) {
            let (mut one, mut other) = (lobby(), lobby());
            for entry in &log {
                prop_assert_eq!(applied(&mut one, entry), applied(&mut other, entry));
                prop_assert_eq!(&one, &other);
            }
        }

        #[test]
        fn a_fold_that_is_cut_anywhere_and_continued_equals_the_whole(log in prop::collection::vec(entry(), 0..80)) {
            let mut whole = lobby();
            log.iter().for_each(|entry| drop(applied(&mut whole, entry)));
            for cut in 0..=log.len() {
                let mut first = lobby();
                log[..cut].iter().for_each(|entry| drop(applied(&mut first, entry)));
                let mut continued = first.clone();
                drop(first);
                log[cut..].iter().for_each(|entry| drop(applied(&mut continued, entry)));
                prop_assert_eq!(&continued, &whole, "cut before entry {}", cut);
            }
        }

        #[test]
        fn whatever_the_log_holds_no_two_members_share_a_name_or_a_look(log in prop::collection::vec(entry(), 0..80)) {
            let mut room = lobby();
            for entry in &log {
                applied(&mut room, entry);
                let chosen: Vec<(Seat, &Name)> = room.members().collect();
                let chosen: Vec<_> = chosen.into_iter().filter(|(_, name)| !name.is_tourist()).collect();
                for (nth, (seat, name)) in chosen.iter().enumerate() {
                    prop_assert_eq!(room.find(&name.to_string()), Some(*seat));
                    for (_, other) in &chosen[nth + 1..] {
                        prop_assert!(name.key().folded != other.key().folded && name.key().look != other.key().look);
                    }
                }
                prop_assert_eq!(room.members().count(), room.online());
                prop_assert_eq!(room.audience().count(), room.connections());
            }
        }
    }
}
