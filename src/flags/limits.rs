//! One flag for each limit that an operator may have a reason to change. Its default stands in `limits.rs`.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::values::{count, count_or_none, count_u32, count_u64, duration, memory};
use crate::limits::Limits;

/// See the module.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Connections at once. More are answered 503, or wait until there is room to do so
    #[arg(long, env = "ROOMD_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = Limits::DEFAULT.max_connections, value_parser = count)]
    pub(crate) max_connections: usize,

    /// Bytes of a request head; a longer one is answered 431
    #[arg(long, env = "ROOMD_MAX_HEAD", value_name = "BYTES", default_value_t = Limits::DEFAULT.max_head_bytes, value_parser = count)]
    pub(crate) max_head: usize,

    /// Time from connecting to the end of the request head; then 408
    #[arg(long, env = "ROOMD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.handshake_timeout.into(), value_parser = duration)]
    pub(crate) handshake_timeout: humantime::Duration,

    /// Time from an answer to the next request on the same connection; then it is closed
    #[arg(long, env = "ROOMD_IDLE_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.idle_timeout.into(), value_parser = duration)]
    pub(crate) idle_timeout: humantime::Duration,

    /// Requests that one connection may bring; the answer to the last one closes it
    #[arg(long, env = "ROOMD_MAX_REQUESTS", value_name = "COUNT", default_value_t = Limits::DEFAULT.max_requests, value_parser = count_u32)]
    pub(crate) max_requests: u32,

    /// Bytes of one message; a longer one closes the connection with 1009
    #[arg(long, env = "ROOMD_MAX_MESSAGE", value_name = "BYTES", default_value_t = Limits::DEFAULT.message.max_message_bytes, value_parser = count_u64)]
    pub(crate) max_message: u64,

    /// Frames in which one message may come; more close the connection with 1009
    #[arg(long, env = "ROOMD_MAX_FRAGMENTS", value_name = "COUNT", default_value_t = Limits::DEFAULT.message.max_fragments, value_parser = count_u32)]
    pub(crate) max_fragments: u32,

    /// Time for one message to arrive, from its first byte to its last; then 1008
    #[arg(long, env = "ROOMD_MESSAGE_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.message_timeout.into(), value_parser = duration)]
    pub(crate) message_timeout: humantime::Duration,

    /// Bytes that may wait for one reader; who owes more when more comes is closed with 1008
    #[arg(long, env = "ROOMD_MAX_QUEUE", value_name = "BYTES", default_value_t = Limits::DEFAULT.max_queue_bytes, value_parser = count)]
    pub(crate) max_queue: usize,

    /// Bytes read from one connection before the others have their turn; a client that leaves as many bytes of answers
    /// unread is not read until it takes some
    #[arg(long, env = "ROOMD_READ_BUDGET", value_name = "BYTES", default_value_t = Limits::DEFAULT.read_budget_bytes, value_parser = count)]
    pub(crate) read_budget: usize,

    /// Bytes written to one connection before the others have their turn
    #[arg(long, env = "ROOMD_WRITE_BUDGET", value_name = "BYTES", default_value_t = Limits::DEFAULT.write_budget_bytes, value_parser = count)]
    pub(crate) write_budget: usize,

    /// Silence after which a client is pinged
    #[arg(long, env = "ROOMD_PING_INTERVAL", value_name = "TIME", default_value_t = Limits::DEFAULT.ping_interval.into(), value_parser = duration)]
    pub(crate) ping_interval: humantime::Duration,

    /// Silence after that ping; then 1008
    #[arg(long, env = "ROOMD_PING_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.ping_timeout.into(), value_parser = duration)]
    pub(crate) ping_timeout: humantime::Duration,

    /// Time for a closing connection to finish, and for all of them when the daemon goes down
    #[arg(long, env = "ROOMD_CLOSE_TIMEOUT", value_name = "TIME", default_value_t = Limits::DEFAULT.close_timeout.into(), value_parser = duration)]
    pub(crate) close_timeout: humantime::Duration,

    /// Frames one client may send at once; then it is read more slowly, and nothing is lost
    #[arg(long, env = "ROOMD_RATE_BURST", value_name = "COUNT", default_value_t = Limits::RATE.burst, value_parser = count_u32)]
    pub(crate) rate_burst: u32,

    /// Frames a second one client may send in the long run
    #[arg(long, env = "ROOMD_RATE", value_name = "COUNT", default_value_t = Limits::RATE.per_second, value_parser = count_u32)]
    pub(crate) rate: u32,

    /// Bytes a second one client may cause to be sent in the long run, each counted once however many hear it; at once,
    /// as many as in the time in which --rate-burst comes back
    #[arg(long, env = "ROOMD_BYTE_RATE", value_name = "BYTES", default_value_t = Limits::BYTE_RATE.per_second, value_parser = count_u32)]
    pub(crate) byte_rate: u32,

    /// Bytes a second all that is said in one room may come to in the long run; those who say more take turns, and who
    /// says least comes first. At once, an eighth of --max-queue
    #[arg(long, env = "ROOMD_ROOM_BYTE_RATE", value_name = "BYTES", default_value_t = Limits::ROOM_BYTE_RATE.per_second, value_parser = count_u32)]
    pub(crate) room_byte_rate: u32,

    /// Bytes a second of what newcomers missed that all of them together are sent; those who want more wait in line, and
    /// each has a piece of it in turn
    #[arg(long, env = "ROOMD_PAST_BYTE_RATE", value_name = "BYTES", default_value_t = Limits::PAST_BYTE_RATE.per_second, value_parser = count_u32)]
    pub(crate) past_byte_rate: u32,

    /// New names and rooms one client may take at once; more are refused, and the client is told to slow down
    #[arg(long, env = "ROOMD_CHANGE_BURST", value_name = "COUNT", default_value_t = Limits::CHANGE_RATE.burst, value_parser = count_u32)]
    pub(crate) change_burst: u32,

    /// New names and rooms a second one client may take in the long run
    #[arg(long, env = "ROOMD_CHANGE_RATE", value_name = "COUNT", default_value_t = Limits::CHANGE_RATE.per_second, value_parser = count_u32)]
    pub(crate) change_rate: u32,

    /// Rooms at once. Somebody who wants one more is told to try again later
    #[arg(long, env = "ROOMD_MAX_ROOMS", value_name = "COUNT", default_value_t = Limits::DEFAULT.max_rooms, value_parser = count)]
    pub(crate) max_rooms: usize,

    /// Bytes of memory that all connections together may have in use. When it is more, those for whom most is waiting are
    /// closed, and newcomers are answered 503 [default: half of what the machine or its control group has]
    #[arg(long, env = "ROOMD_MAX_MEMORY", value_name = "BYTES", value_parser = memory)]
    pub(crate) max_memory: Option<usize>,

    /// Read every client as fast as it sends, and let it change its name as often, for load tests
    #[arg(long, env = "ROOMD_NO_RATE_LIMIT", value_parser = FalseyValueParser::new())]
    pub(crate) no_rate_limit: bool,

    /// From so many members on, a room hears a count once a second instead of every coming and going
    #[arg(long, env = "ROOMD_PRESENCE_MEMBERS", value_name = "COUNT", default_value_t = Limits::DEFAULT.presence_members, value_parser = count_or_none)]
    pub(crate) presence_members: usize,
}
