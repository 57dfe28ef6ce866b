//! What the hub asks of the allocator, counted: the promises on memory that `write_queue.rs` and `hub/` make.
//!
//! The sockets are scripted, so all that is counted is the hub's own. Counted is what is asked for; an allocator may
//! round that up.

#[path = "testing/counting_room.rs"]
mod counting_room;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use counting_room::{KEPT_MESSAGES, Room, message_in_shreds, messages};
use roomd::gate::{AddressPolicy, AddressTable, Caller, PeerAddress};
use roomd::limits::Limits;
use roomd::moment::Moment;

const MESSAGE_BYTES: usize = 64;

#[test]
fn a_delivery_allocates_nothing() {
    let allocations_of_a_turn = |members| {
        let mut room = room_in_full_swing(members);
        let piece = messages(1, MESSAGE_BYTES);
        let writes = room.writes(members - 1);
        let counted = measure(|| say_and_turn(&mut room, 0, &piece));
        assert_eq!(room.writes(members - 1), writes + 1, "it was delivered");
        counted.count_total
    };
    assert_eq!(allocations_of_a_turn(1_000), allocations_of_a_turn(10));
}

#[test]
fn a_message_allocates_nothing_beyond_the_shared_chunk() {
    const TURNS: u64 = 50;
    const MESSAGES_PER_TURN: u64 = 10;
    let mut room = room_in_full_swing(10);
    let piece = messages(MESSAGES_PER_TURN as usize, MESSAGE_BYTES);
    let turns = |room: &mut Room| measure(|| (0..TURNS).for_each(|_| say_and_turn(room, 0, &piece))).count_total;
    // Nobody is behind, so nothing is shared.
    let allocations = turns(&mut room);
    let messages = TURNS * MESSAGES_PER_TURN;
    assert_eq!(allocations, 0, "{} a message", allocations as f64 / messages as f64);
    // Two are behind: one chunk a turn for both, and now and then a longer list for each.
    room.stall(8);
    room.stall(9);
    let growths = u64::from((TURNS as usize).next_power_of_two().ilog2());
    let allocations = turns(&mut room);
    assert!((TURNS..=TURNS + 2 * growths).contains(&allocations), "{allocations} allocations in {TURNS} turns");
}

#[test]
fn ten_thousand_stalled_readers_cost_the_shared_chunks_and_a_short_list_each() {
    const READERS: usize = 10_000;
    const TURNS: usize = 8;
    const MESSAGE_BYTES: usize = 25 * 1024;
    /// What `write_queue.rs` says an entry of the list takes, with the room that a growing list leaves free.
    const LIST_ENTRY_BYTES: usize = 64;
    /// The event around a text, and the counts before an `Rc`.
    const AROUND_A_MESSAGE_BYTES: usize = 256;

    // Those who stall are all numbers but 0, who speaks. One more such message than they are sent first is too many.
    let max_queue_bytes = TURNS * MESSAGE_BYTES;
    let mut room = room_of(READERS + 1, Limits { max_queue_bytes, ..Room::limits() });
    let piece = messages(1, MESSAGE_BYTES);
    // The history is full of messages of this size, and the buffers are as large as they will be.
    (0..KEPT_MESSAGES + 2).for_each(|_| say_and_turn(&mut room, 0, &piece));
    // A turn writes less than such a message to all of them.
    room.come_to_rest();
    (1..=READERS).for_each(|reader| room.stall(reader));

    let stalled = measure(|| (0..TURNS).for_each(|_| say_and_turn(&mut room, 0, &piece)));
    assert!(room.hub.queued_bytes() >= READERS * TURNS * MESSAGE_BYTES, "all of it waits for all of them");
    let chunks = TURNS * (MESSAGE_BYTES + AROUND_A_MESSAGE_BYTES);
    let lists = READERS * TURNS * LIST_ENTRY_BYTES;
    assert_at_most(&stalled, chunks + lists);
    // That limit is not a way to let a copy through: one for each reader would be much more.
    assert!(lists < READERS * MESSAGE_BYTES);

    // Half of them read on, and have all that waited for them. The queues of the other half are what is left.
    let bytes = room.bytes(1);
    let resumed = measure(|| {
        (1..=READERS / 2).for_each(|reader| room.resume(reader));
        room.come_to_rest();
    });
    assert!(room.bytes(1) - bytes >= (TURNS * MESSAGE_BYTES) as u64);
    let left = stalled.bytes_current + resumed.bytes_current;
    assert!(left <= (chunks + lists / 2) as i64, "{left} bytes for the half that is left");

    // The other half is sent one more, is found to owe too much, and has the time to close.
    let dropped = measure(|| {
        say_and_turn(&mut room, 0, &piece);
        room.pass(Duration::from_secs(10));
        room.come_to_rest();
    });
    assert_eq!(room.hub.endings().get("too-slow"), Some(&(READERS as u64 / 2)));
    assert_eq!(room.hub.connections(), READERS / 2 + 1);
    let left = stalled.bytes_current + resumed.bytes_current + dropped.bytes_current;
    assert!(left <= 64 * 1024, "{left} bytes are left when nothing waits for anybody");
}

#[test]
fn a_connection_at_rest_owns_no_buffer() {
    /// The slot, timer, seat and name, and its place in the lists.
    const BYTES_EACH: usize = 256;
    /// Of the hub itself and its log: their lists.
    const ALLOCATIONS_OF_ALL: i64 = 40;
    let pieces = message_in_shreds(1_000);
    let at_rest = |members: usize| {
        // More than a room may say at once: no member may have to wait here.
        let mut room = Room::new(Limits { room_byte_rate: None, ..Room::limits() }, members);
        let counted = measure(|| {
            // All that makes a connection keep something for a while: a head and frames that are cut, answers of its own.
            room.join_haltingly(members);
            for piece in &pieces {
                (0..members).for_each(|member| room.say(member, piece));
                room.come_to_rest();
            }
        });
        assert!(room.bytes(0) > (members * 1_000) as u64, "everybody heard everybody");
        assert!(counted.count_current <= ALLOCATIONS_OF_ALL, "something is kept for each of {members}: {counted:?}");
        counted.bytes_current
    };
    // As many as the daemon takes if it is told nothing else, and half of them: lists that grow by doubling have no room
    // left then, and what all share falls out.
    let members = Limits::default().max_connections;
    let each = (at_rest(members) - at_rest(members / 2)) as usize / (members - members / 2);
    assert!(each <= BYTES_EACH, "{each} bytes for each connection at rest");
}

#[test]
fn an_address_costs_little_and_nothing_when_it_has_left_and_rested() {
    const BYTES_EACH: usize = 128;
    let addresses = Limits::default().max_connections;
    let mut table = AddressTable::new(&Limits::default(), AddressPolicy::default());
    let mut tickets = Vec::with_capacity(addresses);
    let come = |table: &mut AddressTable, tickets: &mut Vec<_>| {
        for nth in 0..addresses as u32 {
            let address = SocketAddr::from((Ipv4Addr::from(0x0b00_0000 + nth), 1));
            tickets.push(table.came(&Caller::of(PeerAddress::Ip(address)), Moment::START).unwrap().unwrap());
        }
    };
    let there = measure(|| come(&mut table, &mut tickets));
    assert_at_most(&there, addresses * BYTES_EACH);
    let later = Moment::START + Duration::from_secs(60);
    let gone = measure(|| tickets.drain(..).for_each(|ticket| table.left(ticket, later)));
    let left = there.bytes_current + gone.bytes_current;
    assert!(left <= 1_024, "{left} bytes are left of {addresses} addresses");
}

#[test]
fn one_write_for_each_member_and_turn() {
    const MEMBERS: usize = 1_000;
    const SENDERS: usize = 10;
    let mut room = room_in_full_swing(MEMBERS);
    let piece = messages(10, MESSAGE_BYTES);
    let before: Vec<(u64, u64)> = (0..MEMBERS).map(|member| (room.writes(member), room.bytes(member))).collect();
    (0..SENDERS).for_each(|sender| room.say(sender, &piece));
    room.turn();
    for (member, (writes, bytes)) in before.into_iter().enumerate() {
        assert!(room.bytes(member) - bytes > (SENDERS * 10 * MESSAGE_BYTES) as u64, "member {member} has them all");
        assert_eq!(room.writes(member) - writes, 1, "member {member}");
    }
}

/// A room that has grown to what it needs, and whose history is full.
fn room_in_full_swing(members: usize) -> Room {
    let mut room = room_of(members, Room::limits());
    let piece = messages(2 * KEPT_MESSAGES, MESSAGE_BYTES);
    for _ in 0..2 {
        room.say(0, &piece);
        room.come_to_rest();
    }
    room
}

fn room_of(members: usize, limits: Limits) -> Room {
    let mut room = Room::new(limits, members);
    room.join(members);
    room.come_to_rest();
    room
}

fn say_and_turn(room: &mut Room, member: usize, piece: &counting_room::Piece) {
    room.say(member, piece);
    room.turn();
}

#[track_caller]
fn assert_at_most(counted: &AllocationInfo, bytes: usize) {
    assert!(counted.bytes_current <= bytes as i64, "{bytes} bytes are allowed: {counted:?}");
}
