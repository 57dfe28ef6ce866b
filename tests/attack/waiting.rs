//! Peers that make the daemon hold something for them: answers that they do not read, a past that they ask for again and
//! again, messages that never end.

use crate::peer::{Peer, Target, crowd, stay_if};
use crate::support::{Daemon, masked_frame, masked_header};

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const CONTINUATION: u8 = 0x0;
const PONG: u8 = 0xa;

/// A room with a long past of one-letter messages, in a history file.
pub(crate) const LONG_ROOM: &str = "/r/long";

/// More of them than are sent to anybody at once.
pub(crate) const LONG_PAST: usize = 12_000;

/// What those have missed who can be sent it.
const RETURNING: usize = 4_000;

/// Says them to a daemon that has no rate, so the file is as the daemon makes it.
pub(crate) fn fill_long_room(history: &str) {
    let mut daemon = Daemon::start(&["--no-rate-limit", "--history", history]);
    let mut talker = daemon.open(LONG_ROOM);
    talker.event("welcome");
    talker.send_from_another_thread(masked_frame(FIN | TEXT, b"x").repeat(LONG_PAST));
    for _ in 0..LONG_PAST {
        talker.message();
    }
    drop(talker);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}

/// Each asks for pages of the past and reads none of them.
pub(crate) fn unread_history(target: &Target) -> u64 {
    let asked = masked_frame(FIN | TEXT, b"/history 2000").repeat(20);
    crowd(target, |_| Peer::open(target, LONG_ROOM), |_, peer| stay_if(peer.offer(&asked)))
}

/// Who comes back to a long past, all the time.
pub(crate) fn since(target: &Target) -> u64 {
    crowd(
        target,
        // Half of them ask for all of it, which is too much to be sent, and half for a part that has to be read.
        |nth| Peer::ask(target, &format!("{LONG_ROOM}?since={}", if nth % 2 == 0 { 1 } else { LONG_PAST - RETURNING })),
        // Gone as soon as something comes: what was found for it is for nothing.
        |_, peer| stay_if(peer.sip(16) == Some(0)),
    )
}

/// Messages in pieces of one byte with Pongs between them, and long ones that are never ended.
pub(crate) fn fragments(target: &Target) -> u64 {
    let piece = [masked_frame(CONTINUATION, b"x"), masked_frame(FIN | PONG, b"")].concat();
    let in_pieces = [masked_frame(TEXT, b"x"), piece.repeat(1_000), masked_frame(FIN | CONTINUATION, b"x")].concat();
    let unfinished = masked_frame(TEXT, &[b'u'; 60_000]);
    crowd(
        target,
        |_| Peer::open(target, "/r/fragments?quiet=1"),
        |nth, peer| stay_if(peer.offer(if nth % 2 == 0 { &in_pieces } else { &unfinished })),
    )
}

/// A byte at a time: half of them drip their request, half a message.
pub(crate) fn slow_drip(target: &Target) -> u64 {
    crowd(
        target,
        |nth| {
            if nth % 2 == 0 {
                return Peer::connect(target);
            }
            let mut peer = Peer::open(target, "/r/drip?quiet=1")?;
            peer.offer(&masked_header(FIN | TEXT, 60_000, [0; 4])).then_some(peer)
        },
        |_, peer| stay_if(peer.offer(b"d")),
    )
}
