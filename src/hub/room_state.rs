//! One room that is in use: who is in it, what it hears this turn, what it heard last.

use super::past::Newest;
use super::share::Share;
use super::stream::Stream;
use crate::chat::event::ResetReason;
use crate::chat::{Effect, Event, Presence, Room, RoomName, UserList};
use crate::limits::Limits;
use crate::scrollback::Scrollback;

/// See the module.
pub(super) struct RoomState {
    /// Who is in it, and how far its messages have come: the fold of its log.
    pub(super) room: Room,
    pub(super) presence: Presence,
    pub(super) users: UserList,
    /// What the room hears this turn.
    pub(super) stream: Stream,
    /// What the room heard last.
    pub(super) scrollback: Scrollback,
    /// What may be said in it.
    pub(super) share: Share,
    /// What a newcomer is sent as the past.
    pub(super) newest: Newest,
    /// Connections that are in it, on their way in, or on their way out: while there are any, the room stays. The fold does
    /// not know those whose `Joined` entry has not come back.
    pub(super) visitors: usize,
    /// It has something to hear this turn, and is on the list of such rooms.
    pub(super) is_dirty: bool,
    /// It may have a count to tell, and is on the list of such rooms.
    pub(super) is_counting: bool,
}

impl RoomState {
    /// A room that nobody was in, with its first visitor.
    pub(super) fn new(name: RoomName, limits: &Limits) -> RoomState {
        RoomState {
            room: Room::new(name),
            presence: Presence::new(limits.presence_members),
            users: UserList::default(),
            stream: Stream::default(),
            scrollback: Scrollback::new(limits.kept),
            share: Share::default(),
            newest: Newest::default(),
            visitors: 1,
            is_dirty: false,
            is_counting: false,
        }
    }

    /// The log has forgotten the room, whose members have said nothing for long, and its ids begin anew. The messages that
    /// the members have seen are no longer there, so their clients are told to forget them.
    #[cold]
    pub(super) fn begin_anew(&mut self, last: u64) {
        let reset = Event::Reset { last, since: self.room.ids().last, reason: ResetReason::Gone };
        self.stream.tell_all(reset, self.room.name());
    }

    /// Tells each member of a change. Returns the bytes that each is sent.
    pub(super) fn tell(&mut self, effect: &Effect) -> usize {
        let online = self.room.online();
        let name_of = |seat| self.room.name_of(seat);
        let tag_of = |seat| self.room.tag_of(seat);
        let event = match effect {
            Effect::Joined(seat) => name_of(*seat).map(|name| Event::Join { name, tag: tag_of(*seat), online }),
            Effect::Left { name, person, .. } => {
                Some(Event::Leave { name, tag: person.map(|person| person.tag()), online })
            }
            Effect::Renamed { seat, from } => name_of(*seat).map(|to| Event::Rename { from, to, tag: tag_of(*seat) }),
            // The room is not told of further connections of a person.
            Effect::JoinedAgain(_) | Effect::LeftOnce { .. } | Effect::WentAway(_) => None,
            Effect::Nothing | Effect::Said | Effect::NameRefused { .. } => None,
        };
        event.map_or(0, |event| self.stream.tell(event, self.room.name()).len())
    }

    #[cfg(debug_assertions)]
    pub(super) fn visitors(&self) -> usize {
        self.visitors
    }
}
