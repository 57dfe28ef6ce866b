//! Every number that limits something: one home, a unit, a default with its reason.
//!
//! [`Limits`] has those with a flag: the flags take their defaults from [`Limits::DEFAULT`], and `docs/operating.md` lists
//! them with what happens when one is passed. [`fixed`] has those without.

pub mod fixed;

use std::time::Duration;

use crate::rate_limit::{ByteRate, Cost, Rate};
use crate::websocket::MessageLimits;

/// How much of its past a room keeps in memory. The oldest messages go first, whichever of the two is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrollbackLimit {
    /// Messages; with 0 nothing is kept at all.
    pub messages: usize,
    /// Bytes of their JSON. The newest message always stays.
    pub bytes: usize,
}

/// The limits of a daemon. Shared by all connections, and changed by nothing while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once, in whatever state. One more is answered 503 and closed.
    pub max_connections: usize,
    /// Connections of one address at once, in whatever state; of an IPv6 address, by its first 64 bits.
    pub max_per_address: usize,
    /// How fast one address may make new connections; `None` is as fast as it can.
    pub connect_rate: Option<Rate>,
    /// How fast handshakes of one address may fail; `None` is as fast as it can.
    pub failure_rate: Option<Rate>,
    /// Bytes of a request head. 8 KiB is what most servers take; a browser sends under 1 KiB.
    pub max_head_bytes: usize,
    /// From accept to the end of the request head, in all: a byte a second does not extend it. For a later request on the same
    /// connection, from its first byte.
    pub handshake_timeout: Duration,
    /// From an answer to the next request on the same connection.
    pub idle_timeout: Duration,
    /// Requests on one connection; the last one's answer says `Connection: close`.
    pub max_requests: u32,
    /// Payload and fragments of one message.
    pub message: MessageLimits,
    /// From a message's first byte to its last.
    pub message_timeout: Duration,
    /// Bytes that may wait for one reader. When more comes while this much waits already, the reader is too slow.
    pub max_queue_bytes: usize,
    /// Bytes read from one connection in one turn, before the others have theirs.
    pub read_budget_bytes: usize,
    /// Bytes written to one connection in one turn, before the others have theirs.
    pub write_budget_bytes: usize,
    /// Silence after which a peer is asked for a sign of life.
    pub ping_interval: Duration,
    /// Silence after that question, after which it is gone.
    pub ping_timeout: Duration,
    /// For a closing connection: the answer to a Close, the last bytes to be taken, the end of the stream.
    pub close_timeout: Duration,
    /// How fast one connection may send; `None` is as fast as it can.
    pub rate: Option<Rate>,
    /// How many bytes one connection may cause to be sent, each counted once however many they are sent to. They are taken
    /// from the same bucket as its frames, so without `rate` they are not counted.
    pub byte_rate: Option<ByteRate>,
    /// How many bytes a second everything that is said in one room may come to. `None` is as many as its members say.
    pub room_byte_rate: Option<ByteRate>,
    /// How many bytes a second of their past all newcomers together are sent. `None` is as many as they ask for.
    pub past_byte_rate: Option<ByteRate>,
    /// How fast one connection may change its name or its room; `None` is as fast as it can.
    pub change_rate: Option<Rate>,
    /// Rooms at once, with somebody in them or something said that only the daemon's memory keeps.
    pub max_rooms: usize,
    /// What a room keeps in memory of what was said.
    pub kept: ScrollbackLimit,
    /// Bytes that all rooms together keep so.
    pub kept_by_all_bytes: usize,
    /// Messages of it that a newcomer is sent.
    pub replay_messages: usize,
    /// Bytes of memory in use, for all connections together. When it is more, the largest debtors are closed.
    pub max_memory_bytes: usize,
    /// From so many members on, a room hears a count at most once a second instead of every coming and going.
    pub presence_members: usize,
}

impl Limits {
    /// How fast one address may make new connections. A request that a trusted proxy forwards counts as one, whatever
    /// connection it comes on. A visit of the page is up to seven, and a dozen behind such a proxy: so a class of 40 behind
    /// one address may open it at once, and four more people a second. To answer 60 a second takes some thousandths of a
    /// CPU core.
    pub const CONNECT_RATE: Rate = Rate { burst: 600, per_second: 60 };

    /// How fast handshakes of one address may fail. A page that may not connect tries again every few seconds, and
    /// asks each time what is wrong: 100 at once are a class of 40 whose proxy was set up wrongly.
    pub const FAILURE_RATE: Rate = Rate { burst: 100, per_second: 5 };

    /// How fast one connection may send. A person types no more than a few lines a second; 50 at once are a pasted page.
    pub const RATE: Rate = Rate { burst: 50, per_second: 20 };

    /// A page of text each second, and 80 KiB at once: the longest message, after a rest.
    pub const BYTE_RATE: ByteRate = ByteRate { per_second: 32 * 1024 };

    /// What fits through 1 Mbit/s, which is a bad phone line, beside the headers of TCP.
    pub const ROOM_BYTE_RATE: ByteRate = ByteRate { per_second: 100 * 1024 };

    /// A third of a CPU core, by the table in docs/operating.md: what a thousand newcomers a second take who each missed
    /// 32 KiB, which is some 200 messages.
    pub const PAST_BYTE_RATE: ByteRate = ByteRate { per_second: 32 * 1024 * 1024 };

    /// How fast one connection may change its name or its room.
    pub const CHANGE_RATE: Rate = Rate { burst: 5, per_second: 1 };

    /// What a daemon has without flags, but for a history in memory.
    pub const DEFAULT: Limits = Limits {
        max_connections: 16_384,
        max_per_address: 64,
        connect_rate: Some(Limits::CONNECT_RATE),
        failure_rate: Some(Limits::FAILURE_RATE),
        max_head_bytes: 8 * 1024,
        handshake_timeout: Duration::from_secs(10),
        // A browser asks for all files of the page within a second, on up to six connections, and 64 are all that one
        // address may have.
        idle_timeout: Duration::from_secs(5),
        // So that load moves on behind a balancer. It costs a proxy one new connection in a thousand requests.
        max_requests: 1_000,
        message: MessageLimits { max_message_bytes: 64 * 1024, max_fragments: 1_024 },
        message_timeout: Duration::from_secs(60),
        max_queue_bytes: 1024 * 1024,
        read_budget_bytes: 64 * 1024,
        write_budget_bytes: 256 * 1024,
        ping_interval: Duration::from_secs(30),
        ping_timeout: Duration::from_secs(20),
        close_timeout: Duration::from_secs(2),
        rate: Some(Limits::RATE),
        byte_rate: Some(Limits::BYTE_RATE),
        room_byte_rate: Some(Limits::ROOM_BYTE_RATE),
        past_byte_rate: Some(Limits::PAST_BYTE_RATE),
        change_rate: Some(Limits::CHANGE_RATE),
        max_rooms: 1_024,
        kept: fixed::IN_MEMORY,
        kept_by_all_bytes: fixed::IN_MEMORY.bytes,
        replay_messages: 50,
        // The real one depends on the machine, and is found out at the start.
        max_memory_bytes: usize::MAX,
        presence_members: 100,
    };

    /// Bytes of the past that are sent at once: half of what may wait, for a newcomer must not be too slow before it has
    /// read anything.
    ///
    /// The past is counted in bytes of JSON, here and wherever it is limited, so that it is the same messages whatever they
    /// are framed in. What waits in a queue is counted with its frames; of a message they are a thirtieth at most, and the
    /// other half has room for them.
    #[must_use]
    pub fn past_bytes(&self) -> usize {
        self.max_queue_bytes / 2
    }

    /// Bytes of a past that the history is asked for at once. A longer past comes in such pieces, and what is said is
    /// written between two of them: to read and encode one takes about a millisecond, which is as long as a page makes a
    /// speaker in another room wait.
    #[must_use]
    pub fn piece_bytes(&self) -> usize {
        (self.past_bytes() / 8).min(64 * 1024)
    }

    /// What of [`Limits::past_byte_rate`] may be sent at once, after a rest: an eighth of a second's worth.
    #[must_use]
    pub fn past_burst(&self) -> Option<Cost> {
        self.past_byte_rate.map(|rate| rate.bytes(rate.per_second as usize / 8))
    }

    /// Bytes that may be said in a room at once, after a rest: with the past, with the longest message and with what a
    /// reader may still owe of private ones, they are not more than may wait.
    #[must_use]
    pub fn room_burst_bytes(&self) -> usize {
        self.max_queue_bytes / 8
    }

    /// Bytes that may wait for somebody who is still sent private messages. A quarter: whatever others
    /// write to a slow reader, most of its queue is left for the room's messages.
    #[must_use]
    pub fn private_queue_bytes(&self) -> usize {
        self.max_queue_bytes / 4
    }

    /// Bytes of one answer to `/history`: a screen of long messages. No more than the past of a newcomer, and less of it,
    /// for a client asks for pages as often as it likes.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.past_bytes().min(128 * 1024)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
