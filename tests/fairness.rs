//! How much of a turn one member may take, however much it sends.

#[path = "testing/counting_room.rs"]
mod counting_room;

use counting_room::{Room, messages};

const MESSAGE_BYTES: usize = 64;

#[test]
fn who_floods_a_room_does_not_make_the_next_speaker_wait_for_it() {
    let mut room = Room::new(Room::limits(), 3);
    room.join(3);
    room.come_to_rest();
    let heard = |room: &mut Room| {
        let before = room.bytes(2);
        room.turn();
        room.bytes(2) - before
    };
    room.say(1, &messages(1, MESSAGE_BYTES));
    let one_message = heard(&mut room);

    room.say(0, &messages(500, MESSAGE_BYTES));
    room.say(1, &messages(1, MESSAGE_BYTES));
    // Numbers with more digits make a message a little longer.
    let at_most = |count: u64| count * (one_message + 4);
    let first = heard(&mut room);
    assert!(first > 16 * one_message, "both have been heard: {first} bytes in the first turn");
    assert!(first < at_most(17) + one_message, "the flood has had more than its share: {first} bytes");
    // And nothing of it is lost.
    let mut flood = first;
    for _ in 0..500 / 16 {
        let turn = heard(&mut room);
        assert!(turn <= at_most(16));
        flood += turn;
    }
    assert!(flood >= 501 * one_message, "{flood} bytes");
    assert_eq!(heard(&mut room), 0);
}

#[test]
fn a_turn_begins_with_those_for_whom_the_last_one_had_no_time() {
    const FLOODERS: usize = 40;
    let mut room = Room::new(Room::limits(), FLOODERS);
    room.join(FLOODERS);
    room.come_to_rest();
    let flood = messages(15, 4_000);
    (0..FLOODERS).for_each(|member| room.say(member, &flood));
    let mut not_yet: Vec<usize> = (0..FLOODERS).collect();
    room.turn();
    not_yet.retain(|&member| !room.has_been_read(member));
    let in_a_turn = FLOODERS - not_yet.len();
    assert!(in_a_turn < FLOODERS / 2, "they are too many for one turn, and for two");
    for turn in 2..=FLOODERS.div_ceil(in_a_turn) {
        // Who has been heard goes on at once, and is ready before the next turn begins.
        for member in 0..FLOODERS {
            if room.has_been_read(member) {
                room.say(member, &flood);
            }
        }
        room.turn();
        not_yet.retain(|&member| !room.has_been_read(member));
        assert!(
            not_yet.len() <= FLOODERS.saturating_sub(turn * in_a_turn),
            "turn {turn}: {not_yet:?} are kept waiting"
        );
    }
    assert!(not_yet.is_empty());
}

/// A turn of 6 seconds: 1 MiB was taken in for a room of 10,000, and written to each of them.
#[test]
fn a_turn_takes_in_the_less_the_more_members_it_is_to_be_written_to() {
    const TALKERS: usize = 40;
    const MEMBERS: usize = 4_000;
    let mut room = Room::new(Room::limits(), MEMBERS);
    room.join(MEMBERS);
    room.come_to_rest();
    let long = messages(1, 50_000);
    (0..TALKERS).for_each(|member| room.say(member, &long));
    let before = room.bytes(MEMBERS - 1);
    room.turn();
    let read = (0..TALKERS).filter(|&member| room.has_been_read(member)).count();
    assert!(read > 0 && read * 50_000 * MEMBERS < 512 << 20, "{read} long messages taken in by one turn");
    room.come_to_rest();
    assert!(room.bytes(MEMBERS - 1) - before > (TALKERS * 50_000) as u64, "everything is heard in the end");
}

/// 10,000 queues with 256 KiB written out of each are 2.5 GB.
#[test]
fn a_turn_does_not_empty_all_queues_and_the_next_one_begins_with_the_others() {
    const MEMBERS: usize = 600;
    let mut room = Room::new(Room::limits(), MEMBERS);
    room.join(MEMBERS);
    room.come_to_rest();
    (1..MEMBERS).for_each(|member| room.stall(member));
    for _ in 0..5 {
        room.say(0, &messages(1, 60_000));
        room.come_to_rest();
    }
    let before: Vec<u64> = (0..MEMBERS).map(|member| room.bytes(member)).collect();
    (1..MEMBERS).for_each(|member| room.resume(member));
    let served = |room: &Room| (1..MEMBERS).filter(|&member| room.bytes(member) > before[member]).count();
    room.turn();
    let first = served(&room);
    assert!(first > 0 && first * 256 * 1024 < 128 << 20, "{first} members were served in one turn");
    for turn in 2..=(MEMBERS - 1).div_ceil(first) {
        room.turn();
        assert!(served(&room) >= (first * turn).min(MEMBERS - 1), "turn {turn}");
    }
    assert_eq!(served(&room), MEMBERS - 1);
}

/// All of it in one turn held up the other rooms for seconds.
#[test]
fn a_long_message_to_thousands_is_written_in_several_turns_and_each_member_has_it_once() {
    const MEMBERS: usize = 5_000;
    const MESSAGE_BYTES: usize = 60_000;
    /// What fan-out writes in a turn, and what leaves the queues in one.
    const TURN_BYTES: u64 = 2 * 64 * 1024 * 1024;

    let mut room = Room::new(Room::limits(), MEMBERS);
    room.join(MEMBERS);
    room.come_to_rest();
    let before: Vec<u64> = (0..MEMBERS).map(|member| room.bytes(member)).collect();
    let all = |room: &Room| (0..MEMBERS).map(|member| room.bytes(member)).sum::<u64>();
    room.say(0, &messages(1, MESSAGE_BYTES));
    let mut written = all(&room);
    let mut turns = 0;
    loop {
        room.turn();
        let in_this_turn = all(&room) - written;
        if in_this_turn == 0 {
            break;
        }
        assert!(in_this_turn <= TURN_BYTES, "{in_this_turn} bytes in one turn");
        written += in_this_turn;
        turns += 1;
        assert!(turns < 10);
    }
    assert!(turns >= 2, "so much is too much for one turn");
    let heard: Vec<u64> = (0..MEMBERS).map(|member| room.bytes(member) - before[member]).collect();
    assert!(heard[0] > MESSAGE_BYTES as u64 && heard[0] < 2 * MESSAGE_BYTES as u64);
    assert!(heard.iter().all(|bytes| *bytes == heard[0]), "each member has the message, and has it once");
}
