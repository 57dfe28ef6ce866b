//! The limits without a flag: each is a number that no operator has a reason to change, or one that a protocol promises.
//!
//! An estimate of a cost stands beside the code that counts with it, and a number that an RFC fixes stands in the module
//! of its protocol. The parts are in the order in which bytes travel.

use std::time::Duration;

use super::ScrollbackLimit;

// ---- Accepting --------------------------------------------------------------------------------------------------------

/// Addresses that one daemon listens on.
pub const MAX_LISTENERS: usize = 64;

/// Connections that may wait to be accepted. PHP's `socket_listen` asks for none, and the last of 200 clients who come
/// at once wait a second for TCP to try again. The kernel lowers this to its own limit, `net.core.somaxconn`.
pub const LISTEN_BACKLOG: i32 = 4096;

/// Events taken from the kernel in one turn. The others stay in its queue, behind these, so none is forgotten.
pub const EVENTS_PER_TURN: usize = 1024;

/// Connections accepted in one turn from one listener, before the open connections have their turn.
pub const ACCEPTS_PER_TURN: usize = 256;

/// How long to wait before accepting again when the system has run out of something. A connection that closes ends the
/// wait as well.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The longest wait for an event. The poller takes its timeout as a small number of milliseconds, and to wake up once an
/// hour costs nothing.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Time between two turns that counts besides the time for which the loop meant to wait. What is more was a pause: the
/// process was stopped, or the machine, or one turn took long. A pause brings no deadline nearer. A second always counts,
/// so that time goes on however much the loop has to do.
pub const COUNTED_OF_A_PAUSE: Duration = Duration::from_secs(1);

/// Slots beyond `--max-connections` for clients that are told 503. Each takes an open file, too.
pub const TURNED_AWAY_AT_ONCE: usize = 64;

/// The fewest open files that are enough to begin with: some fifteen for the daemon itself, what it was started with, and
/// a few connections.
pub const LEAST_OPEN_FILES: u64 = 32;

/// Open files left for what is open for a moment only: a file of `--web`, the directory of the history, a connection that
/// is being accepted. These are three; the others are for what a library opens.
pub const SPARE_OPEN_FILES: u64 = 5;

/// Memory that must be there at the start: for the threads, SQLite, and the first connections. Without it the daemon would
/// be aborted later, without a sentence.
pub const MEMORY_AT_START_BYTES: usize = 48 * 1024 * 1024;

/// The least `--max-memory`. With less, every client would be refused: the daemon by itself takes a part of it.
pub const LEAST_MEMORY_BYTES: usize = 16 * 1024 * 1024;

// ---- Sockets ----------------------------------------------------------------------------------------------------------

/// Bytes that the kernel may hold of what was written to one TCP connection and has not arrived yet, as payload; it reserves
/// twice that, for its own bookkeeping, and never more than `net.core.wmem_max`. Without this limit it would grow with what
/// a client does not read, to `net.ipv4.tcp_wmem`'s 4 MiB: outside of `--max-memory`, but within the unit's `MemoryMax=`. At
/// a round trip of 100 ms this much lets through 10 Mbit/s, and more waits for the reader in its queue.
pub const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// The same for what has come and was not read yet, of a client that is throttled. One read takes 64 KiB.
pub const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// How long a peer's machine may leave what we sent without an answer, or its socket full, before the kernel breaks the
/// connection. It finds the machines that have left the network while we do not read from them; two minutes are more than
/// a Ping and its answer take, which find the others.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(120);

/// Chunks handed to the kernel in one call. More would only help a reader that is far behind already.
pub const CHUNKS_PER_WRITE: usize = 16;

// ---- Requests and connections -----------------------------------------------------------------------------------------

/// Header lines in one request. Browsers send about 15; proxies add a few.
pub const MAX_HEADERS: usize = 64;

/// Characters of a path that are logged; the longest room with percent signs has 195.
pub const LOGGED_PATH_CHARACTERS: usize = 200;

/// Characters of a method that are logged. The longest that is registered has 17.
pub const LOGGED_METHOD_CHARACTERS: usize = 20;

/// Time that a connection has, besides `--close-timeout` or `--idle-timeout`, for each [`SLOWEST_FLUSH_BYTES`] that wait for it when it
/// begins to close or was answered: a slow link may have its last megabyte in 16 s.
pub const SLOWEST_FLUSH: Duration = Duration::from_secs(1);

/// See [`SLOWEST_FLUSH`].
pub const SLOWEST_FLUSH_BYTES: u32 = 64 * 1024;

/// Bytes of a begun frame that may be kept for a connection that is closed for want of memory, with the Close behind it.
/// With more, it ends without one.
pub const KEPT_OF_AN_EVICTED_BYTES: usize = 1_024;

// ---- Addresses --------------------------------------------------------------------------------------------------------

/// Proxies between a client and the daemon whose word is taken. Chains have two or three.
pub const MAX_PROXIES: usize = 32;

/// Bytes of a header of the PROXY protocol, version 2: 232 with the longest addresses, and room for what some proxies add,
/// such as a client's certificate. Version 1 has 107 by its own rules.
pub const MAX_PROXY_HEADER_BYTES: usize = 4_096;

/// Addresses without a connection that are remembered for their rates: 1 MiB of them.
pub const ADDRESSES_AT_REST: usize = 16_384;

/// Between two times that those are looked through for some to be forgotten.
pub const ADDRESSES_LOOKED_THROUGH_EVERY: Duration = Duration::from_secs(60);

/// Connections of one peer that say `X-Forwarded-For` before it is taken for a proxy that was forgotten: two visits of
/// the page.
pub const FORWARDED_BEFORE_A_WARNING: u32 = 20;

/// Peers of which that is counted: nobody has more proxies.
pub const FORWARDERS_WATCHED: usize = 64;

// ---- A turn of the loop -----------------------------------------------------------------------------------------------

/// What one turn takes in from all connections together: bytes read, and for each message its text and what an event adds
/// to it. It limits how long the turn takes and how large its chunk becomes: about six times this, if every character has
/// to be escaped. Connections that were not read come first in the next turn.
pub const INTAKE_BYTES_PER_TURN: usize = 1024 * 1024;

/// A message counts once more for every so many members of its room, in what a turn takes in and in what it takes back from
/// the history: so 1 MiB comes to about 256 MiB written, in which time the calls to write cost no more than the copying
/// if there are 10,000 members. Without it, 1 MiB for those was 10 GB copied into their sockets. That took 6 seconds, in
/// which the loop saw no signal and served no other room.
pub const MEMBERS_PER_INTAKE: usize = 256;

/// What one turn writes out of the queues of all connections together, each call counted as some bytes more. The others
/// come first in the next turn.
pub const FLUSH_BYTES_PER_TURN: usize = 64 * 1024 * 1024;

/// What one turn writes to the members of all rooms together when it sends them what their rooms hear, counted in the same
/// way. The other members have it queued, and it is written out in the next turns. The longest message to 10,000 members is
/// 650 MB: written in one turn, that held up all other rooms for 3.5 seconds and more.
pub const FAN_OUT_BYTES_PER_TURN: usize = 64 * 1024 * 1024;

/// Frames taken from one connection in one turn, before the others have theirs. A turn lasts as long as writing what it
/// took in, so this limits how long a client that floods a room makes the next speaker wait: 16 short messages are 2 KiB
/// for each member, and writing 2 KiB takes hardly longer than writing one message. Ten who send ten at a time are not held up.
pub const FRAMES_PER_TURN: usize = 16;

/// Buffers that wait for the next rooms in which something is said.
pub const SPARE_BUFFERS: usize = 8;

/// Bytes that a message counts as, besides its text, against what a turn takes in: the keys, the name and the numbers of its
/// event. Without it, messages of one letter would make a chunk of twenty times the bytes that were read.
pub const MESSAGE_INTAKE_BYTES: usize = 128;

/// Bytes that a write counts as, besides its own, against what a turn writes: a call of the system takes about as long as
/// copying so many.
pub const WRITE_CALL_BYTES: usize = 4 * 1024;

// ---- Rooms, names, messages: docs/protocol.md promises these -----------------------------------------------------------

/// The shortest secret of a person. 16 random letters and digits have 95 bits, which nobody guesses.
pub const MIN_SECRET_CHARACTERS: usize = 16;

/// The longest: what is longer adds nothing to a hash of 256 bits, and only takes time.
pub const MAX_SECRET_CHARACTERS: usize = 128;

/// The longest name: characters, after NFC. At most four bytes each, so 128 bytes.
pub const MAX_NAME_CHARACTERS: usize = 32;

/// Characters of a name's compatibility form that count when looks are compared. Names as people have them are shorter; 32
/// of the longest ligatures would be 576, and take five times as long.
pub const MAX_PLAIN_NAME_CHARACTERS: usize = 128;

/// Nonspacing marks on one letter (UTS 39 section 5.4). Hebrew with vowels and accents needs three, Vietnamese two.
pub const MAX_MARKS_ON_A_LETTER: usize = 4;

/// The longest name of a room: bytes of UTF-8, after NFC.
pub const MAX_ROOM_NAME_BYTES: usize = 64;

/// The longest token of a `/ping`, in bytes: as much as a Ping frame may carry (RFC 6455 section 5.5).
pub const MAX_PING_TOKEN_BYTES: usize = 125;

/// Names in a welcome: enough to see who is there, few enough that ten thousand welcomes stay cheap.
pub const MAX_USERS_LISTED: usize = 100;

/// For so long a person whose last connection is gone is not said to have left: to load a page again takes less.
pub const AWAY_FOR: Duration = Duration::from_secs(2);

/// How often a large room hears how many members it has.
pub const ONLINE_EVERY: Duration = Duration::from_secs(1);

/// Messages in one answer to `/history`.
pub const PAGE_MESSAGES: usize = 50;

/// Pages, or pieces of pages, that the history is asked for at a time, and so the most that come back in one turn. While the
/// loop encodes one, the history reads the next.
pub const PAGES_AT_ONCE: usize = 2;

/// Newcomers who are sent the next piece of a long past in one turn, when it is in memory. Copying so much takes half a
/// millisecond.
pub const PIECES_PER_TURN: usize = 16;

/// Ids that a room leaves out where its log may have lost its end: more than can have been given and lost, by far, though the
/// clock be wrong. 2^53 ids have room for two million such places.
pub const IDS_LEFT_OUT: u64 = 1 << 32;

/// The ids of a room begin below half of what JavaScript counts exactly (2^53): a clock gets there in the year 2112.
pub const FIRST_IDS_BELOW: u64 = 1 << 52;

/// Pages of the write-ahead log, of 4 KiB, at which it is folded into the file: what SQLite does by itself.
pub const FOLD_AT_PAGES: u64 = 1_000;

// ---- Memory -----------------------------------------------------------------------------------------------------------

/// What `--history memory` keeps, in one room or in all together.
pub const IN_MEMORY: ScrollbackLimit = ScrollbackLimit { messages: 1_000, bytes: 4 * 1024 * 1024 };

/// What a room keeps in memory though a file has it: enough for newcomers and for those who come back after a short break,
/// so that few have to wait for the disk.
pub const BESIDE_A_FILE: ScrollbackLimit = ScrollbackLimit { messages: 256, bytes: 256 * 1024 };

/// The same of all rooms together: what 64 rooms need in which much is said. With more such rooms, each keeps less.
pub const BESIDE_A_FILE_ALL_BYTES: usize = 64 * BESIDE_A_FILE.bytes;

/// Bytes of its scrollback that a room keeps when memory runs out: a screen of usual messages.
pub const SCREEN_BYTES: usize = 16 * 1024;

/// Between two looks for clients that take nothing of what waits for them: several round trips on a bad line.
pub const STALLED_LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long newcomers are turned away after `--max-memory` was reached.
pub const TURN_AWAY_FOR: Duration = Duration::from_secs(1);

/// When closing every client for whom much waits was not enough, it is tried again when so much more is in use: to look
/// through all connections once for each MiB costs little, to do it each turn would cost much.
pub const RETRY_AFTER_BYTES: usize = 1024 * 1024;

/// Bytes that a chunk in a queue counts as, besides its own, against `--max-queue`: an entry of the list, with the room that
/// a growing list leaves free.
pub const CHUNK_COST_BYTES: usize = 64;

/// Bytes that the buffer of a room's turn keeps for the next turn. A turn that needs more is unusual.
pub const KEPT_CHUNK_BYTES: usize = 256 * 1024;

/// Deadlines for which the heap keeps its memory, whatever the number of connections.
pub const KEPT_DEADLINES: usize = 64;

// ---- History ----------------------------------------------------------------------------------------------------------

/// Entries that may be in flight to the store before members are throttled: some seconds of the busiest room on a slow disk.
/// At half of it, all may speak again.
pub const BACKLOG_ENTRIES: usize = 20_000;

/// The same in bytes of text.
pub const BACKLOG_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// Messages for which a batch keeps its memory. What an unusually large one has needed is given back.
pub const RETAINED_MESSAGES: usize = 256;

/// The same in bytes of text.
pub const RETAINED_TEXT_BYTES: usize = 256 * 1024;

/// Entries for which the log keeps its memory. What an unusually busy turn has needed is given back.
pub const RETAINED_ENTRIES: usize = 256;

/// Rooms that are opened at a time, and so the most that come back in one turn. Two: while the loop takes one, the thread
/// reads the next.
pub const OPENINGS_AT_ONCE: usize = 2;

/// How often the worker tries to read a room. Then it opens the room without its past: the visitors are waiting, and
/// those who come from another room would be in none.
pub const OPENING_TRIES: u32 = 5;

/// Between two probes whether the store can be written, while nothing is asked. To a file, that is two calls of the
/// system, on the thread that waits for the disk: the loop sleeps on.
pub const FILE_LOOK_EVERY: Duration = Duration::from_secs(2);

/// Until a room that cannot be read is tried again, if nothing else is asked meanwhile.
pub const OPENING_RETRY: Duration = Duration::from_secs(1);

/// How long the end waits for what is still to be written. What a disk has not written by then is lost.
pub const HISTORY_CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// How long one write waits for the lock of another program, before other requests have their turn.
pub const BUSY_WAIT: Duration = Duration::from_millis(100);

/// How often a batch is tried in vain for that reason before its messages are refused. With [`BUSY_WAIT`], it is 5 seconds: a
/// program that writes holds its lock for some milliseconds, one that holds it for longer has been forgotten or cleans up.
pub const BUSY_TRIES: u32 = 50;

/// How long the start waits for that lock.
pub const BUSY_WAIT_AT_START: Duration = Duration::from_secs(5);

/// How long a subcommand waits for that lock.
pub const BUSY_WAIT_OF_A_TOOL: Duration = Duration::from_secs(5);

/// Bytes of a write-ahead log of which the operator is told, and then at each doubling: 16 times of what it has otherwise.
pub const WAL_TOLD_BYTES: u64 = 64 * 1024 * 1024;

/// Damaged messages that are remembered, so that each is logged once.
pub const MAX_KNOWN_DAMAGE: usize = 10_000;

/// Between two looks for what is too old.
pub const TRIM_EVERY: Duration = Duration::from_secs(60);

/// Between two times that a look at the clock is kept for the next daemon. An orderly end keeps one, too; so this is what
/// a kill costs.
pub const KEEP_LOOK_EVERY: Duration = Duration::from_secs(15 * 60);

/// Numbers of tourists that are reserved at once: a thousand who come cost one write.
pub const TOURISTS_RESERVED: u64 = 1_000;

/// How far apart two looks at the clock must be before what was old at both is deleted, on the daemon's own clock. Ages
/// are counted in days, so two hours more change little; and a clock that is wrong for an hour, until its server is
/// reached or a person notices, has deleted nothing.
pub const LOOKS_APART: Duration = Duration::from_secs(2 * 60 * 60);

/// Messages that one step of the trimming deletes at most: 3 ms, and 40 if the write-ahead log is folded just then (an SSD shared
/// with others).
pub const TRIM_MESSAGES: u64 = 1_000;

/// Rooms that one step of the trimming looks at at most. To look at one is two searches, some microseconds.
pub const TRIM_ROOMS: usize = 500;

/// Rooms that are weighed at once, when the file is too large. Some messages are looked at in each.
pub const ROOMS_WEIGHED_AT_ONCE: usize = 100;

/// Bytes that are deleted at once when the file is too large. A message of 64 KiB is 16 pages of the file, each of which is written to the log.
pub const SURPLUS_PIECE_BYTES: u64 = 4 * 1024 * 1024;

/// The least that is deleted of one room then, so that rooms of the same size do not lose one message each by turns.
pub const LEAST_SURPLUS_PIECE_BYTES: u64 = 64 * 1024;

/// Bytes to which the write-ahead log is cut when it is folded into the file. That is done at 1,000 pages, which
/// are 4 MB; only a batch that is larger makes it grow further, until the next time.
pub const WAL_BYTES: u64 = 4 * 1024 * 1024;

/// Messages on either side of a damaged page that are looked at for a time: 5 ms, and only there.
pub const MOST_SEARCHED_FOR_A_TIME: usize = 500;

/// Faults of pages that are named. SQLite stops looking there.
pub const MAX_PAGE_FAULTS: u32 = 100;

/// Ids that are looked for one by one where a page cannot be read. What lies behind is taken for damaged: half a minute is
/// enough to learn that a file is beyond repair.
pub const MAX_IDS_SEARCHED: u64 = 10_000_000;

/// Runs of ids that are named; the others are counted.
pub const MAX_ID_RUNS: usize = 20;

/// Messages by which a room is weighed, when all rooms together may be too large.
pub const WEIGHED_MESSAGES: u64 = 16;

// ---- The log of the daemon, and what is shown to people ----------------------------------------------------------------

/// Bytes of log lines that wait while nothing reads them: some 10,000 lines, which is what a rush of so many people makes in
/// a second. As much again may be in the hands of the thread that writes. What comes on top is dropped and counted.
pub const MAX_WAITING_LOG_BYTES: usize = 1024 * 1024;

/// Bytes after which a turn's lines are written without waiting for its end, and which an empty buffer may keep.
pub const EAGER_LOG_BYTES: usize = 64 * 1024;

/// How soon a write to the log is tried again that would have blocked: another process has made the terminal or the pipe so.
pub const LOG_RETRY: Duration = Duration::from_millis(20);

/// How long the end waits for the last lines to be written: a reader that is there takes them at once.
pub const LOG_AT_THE_END: Duration = Duration::from_secs(1);

/// Hex that `roomd decode` reads from standard input, in bytes. The shortest frames make some 200 bytes of output out of
/// each.
pub const MAX_HEX_BYTES: u64 = 1024 * 1024;

/// Characters that `roomd handshake` shows of something that is no key.
pub const SHOWN_KEY_CHARACTERS: usize = 64;

/// Bytes of a payload that a frame in the log shows.
pub const SHOWN_PAYLOAD_BYTES: usize = 64;
