//! Peers that leave, or seem to: what they had sent is not read, and must not keep them alive.

use crate::peer::{After, Peer, Target, crowd};
use crate::support::{flood_of, masked_frame, masked_header};

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Ghosts: a handshake, a flood that makes the daemon stop reading, and gone, by a close or a reset in turn.
pub(crate) fn ghosts(target: &Target) -> u64 {
    let half = [masked_header(FIN | TEXT, 60_000, [1, 2, 3, 4]), vec![b'x'; 10_000]].concat();
    let floods = [
        flood_of(&masked_frame(FIN | PONG, b"")),
        flood_of(&masked_frame(FIN | PING, &[b'p'; 125])),
        flood_of(&masked_frame(FIN | TEXT, b"")),
        half,
        flood_of(&masked_frame(FIN | TEXT, b"/history 2000")),
        flood_of(&masked_frame(FIN | TEXT, b"/nick Ghost")),
    ];
    crowd(
        target,
        |nth| Peer::open(target, &format!("/r/ghosts-{}?name=Ghost+{nth}", nth % 20)),
        |nth, peer| {
            peer.offer(&floods[nth as usize % floods.len()]);
            if nth % 2 == 0 { After::Close } else { After::Reset }
        },
    )
}

/// Who comes, is renamed, moves and goes, as fast as it can: each is told to everybody in two rooms.
pub(crate) fn churn(target: &Target) -> u64 {
    let mut turns = 0_u64;
    crowd(
        target,
        |nth| Peer::open(target, &format!("/r/churn?name=Guest+{nth}")),
        |nth, peer| {
            turns += 1;
            let lines = [format!("/nick Other {nth}"), "/join churn-too".to_owned(), "/join churn".to_owned()];
            let frames: Vec<u8> = lines.iter().flat_map(|line| masked_frame(FIN | TEXT, line.as_bytes())).collect();
            peer.offer(&frames);
            match turns % 8 {
                0 => After::Close,
                4 => After::Reset,
                _ => After::Stay,
            }
        },
    )
}

/// A room for each visit: rooms are forgotten as fast as they are opened.
pub(crate) fn many_rooms(target: &Target) -> u64 {
    let word = masked_frame(FIN | TEXT, &[b'w'; 1_000]);
    crowd(
        target,
        |nth| Peer::open(target, &format!("/r/room-{nth}")),
        |nth, peer| {
            peer.offer(&word);
            if nth % 2 == 0 { After::Close } else { After::Reset }
        },
    )
}
