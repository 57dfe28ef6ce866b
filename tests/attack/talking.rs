//! Peers that say what costs the others most: long texts, texts that grow, private floods, names that are hard to compare.

use crate::peer::{After, Peer, Target, crowd, stay_if};
use crate::support::masked_frame;

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;

/// One letter that stands for eighteen others, which is found out whenever two names are compared.
const DEAR_LETTER: &str = "\u{FDFA}";

/// The largest texts, of a character that is six in JSON. Every fourth peer talks, the others read at a phone's pace.
pub(crate) fn long_texts(target: &Target) -> u64 {
    let text = masked_frame(FIN | TEXT, &[1; 64 * 1024]);
    crowd(
        target,
        |_| Peer::open(target, "/r/long-texts"),
        |nth, peer| {
            stay_if(if nth % 4 == 0 {
                peer.offer(&text) && peer.sip(256 * 1024).is_some()
            } else {
                peer.sip(1_024).is_some()
            })
        },
    )
}

/// All write to one who does not read.
pub(crate) fn private_flood(target: &Target) -> u64 {
    let text = [b"/msg Victim ".as_slice(), &[b'p'; 8_000]].concat();
    let word = masked_frame(FIN | TEXT, &text);
    crowd(
        target,
        |nth| Peer::open(target, &format!("/r/private{}", if nth == 0 { "?name=Victim" } else { "" })),
        |nth, peer| if nth == 0 { After::Stay } else { stay_if(peer.offer(&word) && peer.sip(64 * 1024).is_some()) },
    )
}

/// Names that take long to be compared, in every place where one can stand; most of them are refused.
pub(crate) fn dear_names(target: &Target) -> u64 {
    let name = DEAR_LETTER.repeat(32);
    let encoded = "%EF%B7%BA".repeat(32);
    let lines = [format!("/nick {name}"), format!("/msg {name} x"), format!("/nick {name}1"), format!("/join {name}")];
    let frames: Vec<u8> = lines.iter().flat_map(|line| masked_frame(FIN | TEXT, line.as_bytes())).collect();
    let mut turns = 0_u64;
    crowd(
        target,
        |_| Peer::open(target, &format!("/r/names?name={encoded}")),
        |_, peer| {
            turns += 1;
            let is_there = peer.offer(&frames) && peer.sip(4_096).is_some();
            if turns.is_multiple_of(50) { After::Reset } else { stay_if(is_there) }
        },
    )
}
