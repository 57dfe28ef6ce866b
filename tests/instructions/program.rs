//! What `main.rs` counts the instructions of: the hub at work, always the same work.
//!
//! `instructions SCENARIO COUNT` does the scenario's work COUNT times, after a beginning that is the same for every
//! COUNT: the difference of two runs is the work alone. Log lines are made as the daemon makes them.

#[path = "../testing/counting_room.rs"]
mod counting_room;

use std::io::Write as _;
use std::process::ExitCode;

use counting_room::{KEPT_MESSAGES, Room, messages};
use roomd::clock;
use roomd::log_buffer::LogBuffer;
use roomd::log_line::LogLine;

/// In the room before anything is counted.
const MEMBERS: usize = 1_000;
const SENDERS: usize = 10;
const MESSAGES_OF_EACH_SENDER: usize = 10;
const MESSAGE_BYTES: usize = 64;

/// Sockets are made for so many newcomers, whatever COUNT is.
const MOST_NEWCOMERS: usize = 2_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, count] = &arguments[..] else { return wrong("two arguments: SCENARIO COUNT") };
    let Ok(count) = count.parse() else { return wrong("COUNT is a number") };
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .format(|out, record| write!(out, "{}", LogLine::of(record, clock::unix_ms())))
        .target(env_logger::Target::Pipe(Box::new(LogBuffer::default())))
        .init();

    let mut room = Room::new(Room::limits(), MEMBERS + MOST_NEWCOMERS);
    room.join(MEMBERS);
    // The buffers have grown, and the history forgets a message for each that comes.
    let warm_up = messages(2 * KEPT_MESSAGES, MESSAGE_BYTES);
    room.say(0, &warm_up);
    room.come_to_rest();
    match scenario.as_str() {
        "handshake" => handshake(&mut room, count),
        "fan-out-single" => fan_out(&mut room, count, 1, 1),
        "fan-out-batch" => fan_out(&mut room, count, SENDERS, MESSAGES_OF_EACH_SENDER),
        _ => return wrong("SCENARIO is handshake, fan-out-single or fan-out-batch"),
    }
    // Taking it all down would be counted as well, and grows with COUNT.
    std::mem::forget(room);
    ExitCode::SUCCESS
}

/// `count` browsers come into a room of a thousand.
fn handshake(room: &mut Room, count: usize) {
    assert!(count <= MOST_NEWCOMERS, "at most {MOST_NEWCOMERS}");
    room.join(count);
    assert_eq!(room.hub.connections(), MEMBERS + count);
    assert!(room.bytes(MEMBERS + count - 1) > (50 * MESSAGE_BYTES) as u64, "the last has been sent welcome and past");
}

/// `count` turns in which each sender says some messages to a thousand.
fn fan_out(room: &mut Room, count: usize, senders: usize, messages_of_each: usize) {
    let piece = messages(messages_of_each, MESSAGE_BYTES);
    let (writes, bytes) = (room.writes(MEMBERS - 1), room.bytes(MEMBERS - 1));
    for _ in 0..count {
        for sender in 0..senders {
            room.say(sender, &piece);
        }
        room.turn();
    }
    let said = count * senders * messages_of_each;
    assert_eq!(room.writes(MEMBERS - 1) - writes, count as u64);
    assert!(room.bytes(MEMBERS - 1) - bytes > (said * MESSAGE_BYTES) as u64, "the last has been sent every message");
}

fn wrong(sentence: &str) -> ExitCode {
    eprintln!("instructions: {sentence}");
    ExitCode::from(2)
}
