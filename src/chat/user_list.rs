//! The names that a welcome lists.

use serde_json::value::RawValue;

use super::event::json_names;
use super::name::Name;
use super::room::Room;
use super::seat::Seat;
use crate::limits::fixed::MAX_USERS_LISTED;

/// The names of the first members as JSON, kept until one of them changes: a hundred names take longer to write than the
/// rest of a handshake.
#[derive(Debug, Default)]
pub struct UserList(Option<Written>);

#[derive(Debug)]
struct Written {
    names: Box<RawValue>,
    /// The list is full with the member of this seat; those behind it are not listed.
    last_seat: Option<Seat>,
}

impl UserList {
    /// A JSON array of the names.
    pub fn of(&mut self, room: &Room) -> &RawValue {
        &self.0.get_or_insert_with(|| Written::new(room)).names
    }

    /// The names of the first members but for this one. They are written each time.
    #[must_use]
    pub fn without(room: &Room, seat: Seat) -> Box<RawValue> {
        let others = room.members().filter(|(other, _)| *other != seat);
        json_names(&others.map(|(_, name)| name).take(MAX_USERS_LISTED).collect::<Vec<_>>())
    }

    /// The member of this seat has come, gone, or taken another name.
    pub fn changed(&mut self, seat: Seat) {
        self.0.take_if(|written| written.last_seat.is_none_or(|last| seat <= last));
    }
}

impl Written {
    fn new(room: &Room) -> Written {
        let names: Vec<&Name> = room.members().map(|(_, name)| name).take(MAX_USERS_LISTED).collect();
        // Until the list is full, everybody who comes changes it.
        let last_seat = room.members().nth(MAX_USERS_LISTED - 1).map(|(seat, _)| seat);
        Written { names: json_names(&names), last_seat }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Change, Entry, Member, Node};
    use super::super::room::Effect;
    use super::super::room_name::RoomName;
    use super::*;

    /// A room and its list, which hears of each change.
    struct Listed {
        room: Room,
        list: UserList,
    }

    impl Listed {
        fn new() -> Listed {
            Listed { room: Room::new(RoomName::lobby()), list: UserList::default() }
        }

        fn apply(&mut self, change: Change) -> Seat {
            match self.room.apply(Entry::Change(change)) {
                Effect::Joined(seat) | Effect::Renamed { seat, .. } | Effect::Left { seat, .. } => {
                    self.list.changed(seat);
                    seat
                }
                other => panic!("{other:?}"),
            }
        }

        fn join(&mut self, number: u32) -> Seat {
            self.apply(Change::Joined { who: who(number), name: Name::tourist(number.into()), person: None })
        }

        fn names(&mut self) -> Vec<String> {
            serde_json::from_str(self.list.of(&self.room).get()).unwrap()
        }
    }

    fn who(serial: u32) -> Member {
        Member { node: Node::FIRST, slot: 0, serial }
    }

    #[test]
    fn a_hundred_names_at_most_are_listed() {
        let mut listed = Listed::new();
        (0..250).for_each(|number| {
            listed.join(number);
        });
        assert_eq!(listed.names(), (0..100).map(|number| format!("Tourist {number}")).collect::<Vec<_>>());
    }

    /// The list is written once and kept; it must never be an old one.
    #[test]
    fn the_names_are_always_those_who_are_there() {
        let mut listed = Listed::new();
        let mut seats = Vec::new();
        for number in 0..120 {
            seats.push(listed.join(number));
            assert_eq!(listed.names().len(), listed.room.online().min(100));
        }
        let before = listed.names();
        listed.apply(Change::Left { who: who(110), seat: Some(seats[110]) });
        assert_eq!(listed.names(), before, "the list is full before that seat");
        listed.apply(Change::Left { who: who(50), seat: Some(seats[50]) });
        assert!(!listed.names().contains(&"Tourist 50".to_owned()));
        let seat = listed.join(777);
        assert!(!UserList::without(&listed.room, seat).get().contains("Tourist 777"));
        assert!(listed.names().contains(&"Tourist 777".to_owned()), "it took the free seat");
        listed.apply(Change::Renamed { who: who(3), seat: seats[3], to: Name::chosen("Ann").unwrap() });
        assert!(listed.names().contains(&"Ann".to_owned()));
        for (number, seat) in (0..).zip(seats).filter(|(number, _)| ![50, 110].contains(number)) {
            listed.apply(Change::Left { who: who(number), seat: Some(seat) });
        }
        assert_eq!(listed.names(), ["Tourist 777"]);
    }
}
