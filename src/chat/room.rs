//! Who is in a room, and when their coming and going is news.

use serde_json::value::RawValue;
use slab::Slab;

use super::event::json_names;
use super::name::Name;
use super::room_name::RoomName;
use super::roster::{Roster, Unavailable};
use crate::limits::fixed::{MAX_USERS_LISTED, ONLINE_EVERY};
use crate::moment::Moment;

/// A member's place in the room, from joining to leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat(u32);

/// How the room hears of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Each is told.
    Told,
    /// There are too many to tell each of each: a count follows, if the number has changed.
    Counted,
}

/// A room. `C` is whatever its owner uses to find a member's connection; the room only keeps it.
#[derive(Debug)]
pub struct Room<C> {
    name: RoomName,
    members: Slab<Member<C>>,
    /// Whose each chosen name is: of members, and of those who are about to be.
    roster: Roster<C>,
    /// Names that members are about to take.
    renames: Vec<(Seat, Name)>,
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

impl<C: Copy + Eq> Room<C> {
    /// An empty room.
    #[must_use]
    pub fn new(name: RoomName, presence_members: usize) -> Room<C> {
        Room {
            name,
            members: Slab::new(),
            roster: Roster::default(),
            renames: Vec::new(),
            presence_members,
            count_owed_at: None,
            count_told_at: None,
            listed: None,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &RoomName {
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
    pub fn name_of(&self, seat: Seat) -> Option<&Name> {
        self.members.get(seat.0 as usize).map(|member| &member.name)
    }

    /// The connection of the member who is called that, without regard to case.
    ///
    /// Those with a number for a name are looked for one by one: an index would cost each of them more than its name
    /// does, and to pass ten thousand takes less than to write to one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<C> {
        let Some(number) = Name::parse_tourist(name) else { return self.roster.holder(name) };
        let tourist = Name::tourist(number);
        self.members.iter().find(|(_, member)| member.name == tourist).map(|(_, member)| member.connection)
    }

    /// Reserves a name for somebody who is about to have it.
    ///
    /// # Errors
    /// Somebody else has it, or one that looks like it.
    pub fn claim(&mut self, name: &Name, connection: C) -> Result<(), Unavailable> {
        self.roster.claim(name, connection)
    }

    /// Who is in the way of such a claim.
    #[must_use]
    pub fn rival(&self, name: &Name, connection: C) -> Option<C> {
        self.roster.rival(name, connection)
    }

    /// Gives back a name that was claimed.
    pub fn release(&mut self, name: &Name, connection: C) {
        self.roster.release(name, connection);
    }

    /// Somebody comes in, under a name that was claimed.
    pub fn join(&mut self, name: Name, connection: C, now: Moment) -> (Seat, News) {
        // A slab of connections is limited to far fewer than 2^32, and a member is a connection.
        let seat = Seat(self.members.insert(Member { name, connection }) as u32);
        self.forget_list_with(seat);
        (seat, self.news(now))
    }

    /// A member is on the way out: its names are free from now on, though it is still there to hear the rest.
    pub fn give_up_names(&mut self, seat: Seat) {
        let Some(member) = self.members.get(seat.0 as usize) else { return };
        self.roster.release(&member.name, member.connection);
        for (_, name) in self.renames.extract_if(.., |(renaming, _)| *renaming == seat) {
            self.roster.release(&name, member.connection);
        }
    }

    /// A member who has given up its names goes. Gives the name for the others to be told.
    pub fn leave(&mut self, seat: Seat, now: Moment) -> Option<(Name, News)> {
        let member = self.members.try_remove(seat.0 as usize)?;
        self.forget_list_with(seat);
        Some((member.name, self.news(now)))
    }

    /// A member is about to take a name that it has claimed.
    pub fn plan_rename(&mut self, seat: Seat, name: Name) {
        self.renames.push((seat, name));
    }

    /// A member takes the name that was planned. Gives the one that it had.
    pub fn rename(&mut self, seat: Seat) -> Option<(Name, News)> {
        let planned = self.renames.iter().position(|(renaming, _)| *renaming == seat)?;
        let (_, name) = self.renames.swap_remove(planned);
        let member = self.members.get_mut(seat.0 as usize)?;
        let old = std::mem::replace(&mut member.name, name);
        self.roster.release(&old, member.connection);
        self.forget_list_with(seat);
        let news = if self.online() < self.presence_members { News::Told } else { News::Counted };
        Some((old, news))
    }

    /// The first names, as a JSON array.
    pub fn users(&mut self) -> &RawValue {
        &self.listed.get_or_insert_with(|| Listed::of(&self.members)).names
    }

    /// When [`Room::count_due`] has something to tell.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.count_owed_at.unwrap_or(Moment::NEVER)
    }

    /// The number of members, if it is owed and its time has come.
    pub fn count_due(&mut self, now: Moment) -> Option<usize> {
        if now < self.deadline() {
            return None;
        }
        self.count_owed_at = None;
        self.count_told_at = Some(now);
        Some(self.online())
    }

    fn forget_list_with(&mut self, seat: Seat) {
        self.listed.take_if(|listed| seat.0 as usize <= listed.last_seat);
    }

    /// In a small room each is told of each; in a large one a count is owed: N joins must not cost N x N frames.
    fn news(&mut self, now: Moment) -> News {
        if self.online() < self.presence_members {
            return News::Told;
        }
        let earliest = self.count_told_at.map_or(now, |told| told + ONLINE_EVERY);
        self.count_owed_at.get_or_insert(earliest.max(now));
        News::Counted
    }
}

impl Listed {
    fn of<C>(members: &Slab<Member<C>>) -> Listed {
        let first: Vec<&Name> = members.iter().map(|(_, member)| &member.name).take(MAX_USERS_LISTED).collect();
        // Until the list is full, everybody who comes changes it.
        let last_seat = members.iter().nth(MAX_USERS_LISTED - 1).map_or(usize::MAX, |(seat, _)| seat);
        Listed { names: json_names(&first), last_seat }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::START + Duration::from_millis(millis)
    }

    fn lobby(presence_members: usize) -> Room<u64> {
        Room::new(RoomName::lobby(), presence_members)
    }

    #[test]
    fn a_small_room_hears_of_each_and_a_large_one_a_count_once_a_second() {
        let mut room = lobby(3);
        let (seat, news) = room.join(Name::tourist(1), 1, at(0));
        assert_eq!(news, News::Told);
        assert_eq!(room.join(Name::tourist(2), 2, at(0)).1, News::Told);
        for number in 3..1_000 {
            assert_eq!(room.join(Name::tourist(number), number, at(5)).1, News::Counted);
        }
        assert_eq!(room.deadline(), at(5), "the first count comes at once");
        assert_eq!(room.count_due(at(5)), Some(999));
        assert_eq!(room.leave(seat, at(6)), Some((Name::tourist(1), News::Counted)));
        assert_eq!(room.deadline(), at(1_005), "the next a second later");
        assert_eq!(room.count_due(at(1_004)), None);
        assert_eq!(room.count_due(at(1_005)), Some(998));
        assert_eq!(room.deadline(), Moment::NEVER, "and then no more until something changes");
    }

    #[test]
    fn a_new_name_in_a_large_room_is_not_told_and_owes_no_count() {
        let mut room = lobby(1);
        let (seat, _) = room.join(Name::tourist(1), 1, at(0));
        room.count_due(at(0));
        let ann = Name::chosen("Ann").unwrap();
        assert_eq!(room.claim(&ann, 1), Ok(()));
        room.plan_rename(seat, ann.clone());
        assert_eq!(room.rename(seat), Some((Name::tourist(1), News::Counted)));
        assert_eq!(room.name_of(seat), Some(&ann));
        assert_eq!(room.deadline(), Moment::NEVER);
        assert_eq!(room.rename(seat), None, "once");
    }

    #[test]
    fn a_name_is_free_again_when_its_holder_gives_it_up() {
        let mut room = lobby(9);
        let ann = Name::chosen("Ann").unwrap();
        let bea = Name::chosen("Bea").unwrap();
        room.claim(&ann, 1).unwrap();
        let (seat, _) = room.join(ann.clone(), 1, at(0));
        room.claim(&bea, 1).unwrap();
        room.plan_rename(seat, bea.clone());
        assert_eq!(room.claim(&ann, 2), Err(Unavailable::Taken));
        assert_eq!(room.claim(&bea, 2), Err(Unavailable::Taken));
        room.give_up_names(seat);
        assert_eq!(room.claim(&ann, 2), Ok(()));
        assert_eq!(room.claim(&bea, 3), Ok(()));
        assert_eq!(room.leave(seat, at(0)).map(|(name, _)| name), Some(ann), "who is still told by its name");
        assert_eq!(room.find("ANN"), Some(2));
    }

    #[test]
    fn members_are_found_by_name_and_tourists_by_number() {
        let mut room = lobby(9);
        room.claim(&Name::chosen("Ann").unwrap(), 8).unwrap();
        room.join(Name::chosen("Ann").unwrap(), 8, at(0));
        room.join(Name::tourist(12), 9, at(0));
        assert_eq!((room.find("ann"), room.find("tourist 12")), (Some(8), Some(9)));
        assert_eq!((room.find("bea"), room.find("Tourist 1")), (None, None));
    }

    #[test]
    fn a_welcome_lists_a_hundred_names_at_most() {
        let mut room = lobby(3);
        for number in 0..250 {
            room.join(Name::tourist(number), number, at(0));
        }
        assert_eq!(listed(&mut room), (0..100).map(|number| format!("Tourist {number}")).collect::<Vec<_>>());
    }

    /// The names that a welcome lists.
    fn listed(room: &mut Room<u64>) -> Vec<String> {
        serde_json::from_str(room.users().get()).unwrap()
    }

    /// The list is written once and kept; it must never be an old one.
    #[test]
    fn the_names_in_a_welcome_are_always_those_who_are_there() {
        let mut room = lobby(3);
        let mut seats = Vec::new();
        for number in 0..120 {
            seats.push(room.join(Name::tourist(number), number, at(0)).0);
            assert_eq!(listed(&mut room).len(), room.online().min(100));
        }
        let before = listed(&mut room);
        room.leave(seats[110], at(0));
        assert_eq!(listed(&mut room), before, "the list is full before that seat");
        room.leave(seats[50], at(0));
        assert!(!listed(&mut room).contains(&"Tourist 50".to_owned()));
        room.join(Name::tourist(777), 777, at(0));
        assert!(listed(&mut room).contains(&"Tourist 777".to_owned()), "it took the free seat");
        room.plan_rename(seats[3], Name::chosen("Ann").unwrap());
        room.rename(seats[3]);
        assert!(listed(&mut room).contains(&"Ann".to_owned()));
        for seat in seats {
            room.leave(seat, at(0));
        }
        assert!(listed(&mut room).is_empty());
    }

    #[test]
    fn a_seat_left_twice_is_left_once() {
        let mut room = lobby(100);
        let (seat, _) = room.join(Name::tourist(1), 1, at(0));
        assert!(room.leave(seat, at(0)).is_some());
        assert!(room.leave(seat, at(0)).is_none());
    }
}
