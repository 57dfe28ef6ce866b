//! Which seats of a room are one person's.
//!
//! Each connection of a person has a seat of its own, so everything that goes through the seats stays as it is. One of the
//! seats is the person's first, which has the name; the others are its companions.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::Member;
use super::person::PersonId;
use super::seat::Seat;

/// See the module. Empty, and without memory of its own, in a room where nobody has shown a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Companions {
    persons: BTreeMap<PersonId, Seats>,
    by_seat: BTreeMap<Seat, PersonId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seats {
    first: Seat,
    companions: BTreeSet<Seat>,
    /// Nobody sits there: this member was the last, and its person may come back.
    away: Option<Member>,
}

/// Whose a seat was that is vacant now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vacated {
    /// Of a client that has shown no secret.
    OfNobody,
    /// It was the only seat of this person.
    Last(PersonId),
    /// The person is still there, and this is its first seat now.
    StillThere(PersonId, Seat),
}

impl Companions {
    /// The first seat of that person, if it is in the room.
    pub(super) fn first_of(&self, person: PersonId) -> Option<Seat> {
        Some(self.persons.get(&person)?.first)
    }

    /// Who sits there, if that is known.
    pub(super) fn person(&self, seat: Seat) -> Option<PersonId> {
        self.by_seat.get(&seat).copied()
    }

    /// The first seat of the person who sits there: the seat itself, if nobody knows a person there.
    pub(super) fn first(&self, seat: Seat) -> Seat {
        self.person(seat).and_then(|person| self.first_of(person)).unwrap_or(seat)
    }

    /// All seats of the person who sits there, the first of them first.
    pub(super) fn seats(&self, seat: Seat) -> impl Iterator<Item = Seat> + '_ {
        let seats = self.person(seat).and_then(|person| self.persons.get(&person));
        std::iter::once(seats.map_or(seat, |seats| seats.first))
            .chain(seats.into_iter().flat_map(|seats| seats.companions.iter().copied()))
    }

    /// That person sits there as well from now on.
    pub(super) fn add(&mut self, person: PersonId, seat: Seat) {
        self.by_seat.insert(seat, person);
        match self.persons.get_mut(&person) {
            Some(seats) => {
                seats.companions.insert(seat);
            }
            None => {
                self.persons.insert(person, Seats { first: seat, companions: BTreeSet::new(), away: None });
            }
        }
    }

    /// The last connection of a person is gone, and the seat is kept for the person. Says whether it is so: a person with other
    /// connections, and somebody who has shown no secret, need no seat kept.
    pub(super) fn go_away(&mut self, seat: Seat, who: Member) -> bool {
        let Some(seats) = self.by_seat.get(&seat).and_then(|person| self.persons.get_mut(person)) else { return false };
        let is_last = seats.companions.is_empty();
        if is_last {
            seats.away = Some(who);
        }
        is_last
    }

    /// The person is back, if it was away. Gives the seat that was kept for it.
    pub(super) fn come_back(&mut self, person: PersonId) -> Option<Seat> {
        let seats = self.persons.get_mut(&person)?;
        seats.away.take().map(|_| seats.first)
    }

    /// Whether the seat is kept since that member went away.
    pub(super) fn is_away(&self, seat: Seat, who: Member) -> bool {
        let seats = self.person(seat).and_then(|person| self.persons.get(&person));
        seats.is_some_and(|seats| seats.away == Some(who))
    }

    /// That seat is vacant from now on.
    pub(super) fn remove(&mut self, seat: Seat) -> Vacated {
        let Some(person) = self.by_seat.remove(&seat) else { return Vacated::OfNobody };
        let Some(seats) = self.persons.get_mut(&person) else { return Vacated::OfNobody };
        if seats.first != seat {
            seats.companions.remove(&seat);
        } else if let Some(next) = seats.companions.pop_first() {
            seats.first = next;
        } else {
            self.persons.remove(&person);
            return Vacated::Last(person);
        }
        Vacated::StillThere(person, seats.first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Change, Entry, Member, Node};
    use super::super::name::Name;
    use super::super::names::{Conflict, Unavailable};
    use super::super::room::{Effect, Room};
    use super::super::room_name::RoomName;
    use super::*;

    const ANN: PersonId = PersonId([1; 16]);
    const BOB: PersonId = PersonId([2; 16]);

    fn member(serial: u32) -> Member {
        Member { node: Node::FIRST, slot: 0, serial }
    }

    fn chosen(text: &str) -> Name {
        Name::chosen(text).unwrap()
    }

    fn lobby() -> Room {
        Room::new(RoomName::lobby())
    }

    fn joins(room: &mut Room, serial: u32, name: &str, person: Option<PersonId>) -> Effect {
        room.apply(Entry::Change(Change::Joined { who: member(serial), name: chosen(name), person }))
    }

    fn seat_of(room: &mut Room, serial: u32, name: &str, person: PersonId) -> Seat {
        match joins(room, serial, name, Some(person)) {
            Effect::Joined(seat) | Effect::JoinedAgain(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    fn renames(room: &mut Room, serial: u32, seat: Seat, to: &str) -> Effect {
        room.apply(Entry::Change(Change::Renamed { who: member(serial), seat, to: chosen(to) }))
    }

    fn leaves(room: &mut Room, serial: u32, seat: impl Into<Option<Seat>>) -> Effect {
        room.apply(Entry::Change(Change::Left { who: member(serial), seat: seat.into() }))
    }

    #[test]
    fn a_person_that_joins_again_is_one_and_called_as_before_whatever_it_wants_to_be_called() {
        let mut room = lobby();
        let first = seat_of(&mut room, 1, "Ann", ANN);
        let again = joins(&mut room, 2, "Zoe", Some(ANN));
        let Effect::JoinedAgain(second) = again else { panic!("{again:?}") };
        assert_eq!((room.online(), room.connections()), (1, 2));
        assert_eq!(room.name_of(second), Some(&chosen("Ann")));
        assert_eq!(room.members().map(|(seat, _)| seat).collect::<Vec<_>>(), [first]);
        assert_eq!(room.audience().collect::<Vec<_>>(), [member(1), member(2)], "both hear the room");
        assert_eq!((room.tag_of(first), room.tag_of(second)), (Some(ANN.tag()), Some(ANN.tag())));
        assert_eq!(joins(&mut room, 3, "Zoe", None), Effect::Joined(Seat(2)), "the name that it did not take is free");
    }

    #[test]
    fn who_shows_another_secret_or_none_does_not_get_the_name() {
        let mut room = lobby();
        let holder = seat_of(&mut room, 1, "Ann", ANN);
        for person in [Some(BOB), None] {
            let conflict = Conflict { why: Unavailable::Taken, holder };
            assert_eq!(joins(&mut room, 2, "ann", person), Effect::NameRefused { who: member(2), conflict });
        }
        assert_eq!((room.online(), room.tag_of(Seat(1))), (1, None));
    }

    #[test]
    fn when_the_first_connection_of_a_person_leaves_another_has_the_name() {
        let mut room = lobby();
        let seats = [1, 2, 3].map(|serial| seat_of(&mut room, serial, "Ann", ANN));
        let left = Effect::LeftOnce { seat: seats[0], name: chosen("Ann"), person: ANN, first: seats[1] };
        assert_eq!(leaves(&mut room, 1, seats[0]), left);
        assert_eq!((room.find("ann"), room.name_of(seats[2])), (Some(seats[1]), Some(&chosen("Ann"))));
        let conflict = Conflict { why: Unavailable::Taken, holder: seats[1] };
        assert_eq!(joins(&mut room, 9, "ANN", None), Effect::NameRefused { who: member(9), conflict });
        // The vacant seat is somebody else's, and stays so.
        assert_eq!(joins(&mut room, 8, "Cid", None), Effect::Joined(seats[0]));
        let left = Effect::LeftOnce { seat: seats[2], name: chosen("Ann"), person: ANN, first: seats[1] };
        assert_eq!(leaves(&mut room, 3, None), left);
        let last = Effect::Left { seat: seats[1], name: chosen("Ann"), person: Some(ANN) };
        assert_eq!(leaves(&mut room, 2, seats[1]), last);
        assert_eq!((room.online(), room.connections(), room.find("Ann")), (1, 1, None));
    }

    #[test]
    fn any_connection_of_a_person_gives_it_another_name() {
        let mut room = lobby();
        let seats = [1, 2, 3].map(|serial| seat_of(&mut room, serial, "Ann", ANN));
        let renamed = Effect::Renamed { seat: seats[0], from: chosen("Ann") };
        assert_eq!(renames(&mut room, 3, seats[2], "Bea"), renamed);
        for seat in seats {
            assert_eq!(room.name_of(seat), Some(&chosen("Bea")));
        }
        assert_eq!(renames(&mut room, 2, seats[1], "BEA"), Effect::Renamed { seat: seats[0], from: chosen("Bea") });
        assert_eq!(room.find("ann"), None);
    }

    #[test]
    fn all_seats_of_a_person_are_found_from_each_of_them() {
        let mut room = lobby();
        let other = joins(&mut room, 9, "Cid", None);
        let seats = [1, 2, 3].map(|serial| seat_of(&mut room, serial, "Ann", ANN));
        for seat in seats {
            assert_eq!(room.seats_of(seat).collect::<Vec<_>>(), seats);
        }
        assert_eq!(other, Effect::Joined(Seat(0)));
        assert_eq!(room.seats_of(Seat(0)).collect::<Vec<_>>(), [Seat(0)]);
    }

    #[test]
    fn the_seat_and_the_name_of_who_went_away_are_kept_until_it_is_back_or_stays_away() {
        let mut room = lobby();
        let seat = seat_of(&mut room, 1, "Ann", ANN);
        let went = |serial, seat| Entry::Change(Change::WentAway { who: member(serial), seat });
        let stayed = |serial, seat| Entry::Change(Change::StayedAway { who: member(serial), seat });
        assert_eq!(room.apply(went(1, seat)), Effect::WentAway(seat));
        assert_eq!((room.online(), room.connections(), room.find("Ann")), (1, 0, Some(seat)));
        assert_eq!(joins(&mut room, 2, "Zoe", None), Effect::Joined(Seat(1)), "on another seat");
        assert_eq!(joins(&mut room, 3, "Zoe", Some(ANN)), Effect::JoinedAgain(seat));
        assert_eq!(room.apply(stayed(1, seat)), Effect::Nothing, "it is back");
        assert_eq!(room.apply(went(1, seat)), Effect::Nothing, "the one who sits there is another connection");
        assert_eq!(room.apply(went(3, seat)), Effect::WentAway(seat));
        assert_eq!(room.apply(stayed(1, seat)), Effect::Nothing, "the earlier absence is over");
        let left = Effect::Left { seat, name: chosen("Ann"), person: Some(ANN) };
        assert_eq!(room.apply(stayed(3, seat)), left);
        assert_eq!(room.apply(went(2, Seat(1))), Effect::Left { seat: Seat(1), name: chosen("Zoe"), person: None });
        assert_eq!(room, lobby());
    }

    #[test]
    fn two_hundred_connections_of_one_person_leave_nothing_behind() {
        let mut room = lobby();
        let seats: Vec<Seat> = (0..200).map(|serial| seat_of(&mut room, serial, "Ann", ANN)).collect();
        assert_eq!((room.online(), room.connections()), (1, 200));
        for (serial, seat) in (0..).zip(&seats) {
            assert_eq!(room.name_of(*seat), Some(&chosen("Ann")));
            leaves(&mut room, serial, *seat);
        }
        assert_eq!(room, lobby());
    }
}
