//! What a daemon is to do: the flags together, known to make sense.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::door::OriginPolicy;
use crate::door::Pages;
use crate::door::{EchoService, Health, Site};
use crate::environment::UnknownVariable;
use crate::flags::{AddressFlags, CliExit, Flags, HistoryFlags, HistoryPlace, LimitFlags, Sync};
use crate::gate::{AddressPolicy, ProxyProtocol};
use crate::history::PageSize;
use crate::history::log::LogOptions;
use crate::history::plan::HistoryPlan;
use crate::history::retention::Retention;
use crate::history::sqlite::database::Durability;
use crate::limits::fixed::{BESIDE_A_FILE, BESIDE_A_FILE_ALL_BYTES, IN_MEMORY};
use crate::limits::{Limits, ScrollbackLimit};
use crate::listen_address::{ListenAddress, ListenAddresses};
use crate::rate_limit::{ByteRate, Rate};
use crate::websocket::MessageLimits;

/// See the module.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<ListenAddress>,
    /// The limits, as all connections share them.
    pub limits: Limits,
    /// Whose word is taken for whose address, and who is not counted.
    pub addresses: AddressPolicy,
    /// What is served besides the chat.
    pub site: Site,
    /// Where what is said is kept.
    pub history: HistoryPlan,
    /// Variables of the environment that were meant for roomd, and that it does not know.
    pub unknown_variables: Vec<UnknownVariable>,
}

impl Settings {
    /// Takes the flags together.
    ///
    /// # Errors
    /// [`CliExit::Wrong`] if a flag would do nothing beside another one: better refused than believed.
    pub fn from_flags(flags: Flags) -> Result<Settings, CliExit> {
        let past = Past::from_flags(&flags)?;
        Ok(Settings {
            limits: limits(&flags.limits, &flags.addresses, &past),
            addresses: address_policy(flags.addresses)?,
            history: past.history,
            site: Site {
                pages: flags.web.map_or(Pages::Embedded, Pages::Directory),
                origins: OriginPolicy::new(flags.origin),
                echo: if flags.echo { EchoService::On } else { EchoService::Off },
                health: Health::Good,
            },
            listen: flags.listen.into_iter().flat_map(|ListenAddresses(addresses)| addresses).collect(),
            unknown_variables: flags.unknown_variables,
        })
    }
}

fn limits(flags: &LimitFlags, addresses: &AddressFlags, past: &Past) -> Limits {
    let unless_unlimited = |rate| (!flags.no_rate_limit).then_some(rate);
    let bytes_unless_unlimited = |per_second| (!flags.no_rate_limit).then_some(ByteRate { per_second });
    Limits {
        max_connections: flags.max_connections,
        max_per_address: addresses.max_per_address,
        connect_rate: unless_unlimited(Rate { burst: addresses.connect_burst, per_second: addresses.connect_rate }),
        failure_rate: unless_unlimited(Rate { burst: addresses.failure_burst, per_second: addresses.failure_rate }),
        max_head_bytes: flags.max_head,
        handshake_timeout: flags.handshake_timeout.into(),
        idle_timeout: flags.idle_timeout.into(),
        max_requests: flags.max_requests,
        message: MessageLimits { max_message_bytes: flags.max_message, max_fragments: flags.max_fragments },
        message_timeout: flags.message_timeout.into(),
        max_queue_bytes: flags.max_queue,
        read_budget_bytes: flags.read_budget,
        write_budget_bytes: flags.write_budget,
        ping_interval: flags.ping_interval.into(),
        ping_timeout: flags.ping_timeout.into(),
        close_timeout: flags.close_timeout.into(),
        rate: unless_unlimited(Rate { burst: flags.rate_burst, per_second: flags.rate }),
        byte_rate: bytes_unless_unlimited(flags.byte_rate),
        room_byte_rate: bytes_unless_unlimited(flags.room_byte_rate),
        past_byte_rate: bytes_unless_unlimited(flags.past_byte_rate),
        change_rate: unless_unlimited(Rate { burst: flags.change_burst, per_second: flags.change_rate }),
        max_rooms: flags.max_rooms,
        kept: past.kept,
        kept_by_all_bytes: past.kept_by_all_bytes,
        replay_messages: past.replay_messages,
        max_memory_bytes: flags.max_memory.unwrap_or(usize::MAX),
        presence_members: flags.presence_members,
    }
}

fn address_policy(flags: AddressFlags) -> Result<AddressPolicy, CliExit> {
    let proxy_protocol = if flags.proxy_protocol { ProxyProtocol::Expected } else { ProxyProtocol::Off };
    if flags.proxy_protocol && flags.trusted_proxy.is_empty() {
        return Err(CliExit::wrong("--proxy-protocol does nothing without --trusted-proxy"));
    }
    Ok(AddressPolicy::new(flags.trusted_proxy, proxy_protocol, flags.exempt_address))
}

/// What is kept of the past, where, and how much of it a newcomer is sent.
#[derive(Debug)]
struct Past {
    history: HistoryPlan,
    replay_messages: usize,
    /// By a room, in memory.
    kept: ScrollbackLimit,
    /// The same by all rooms together.
    kept_by_all_bytes: usize,
}

impl Past {
    fn from_flags(Flags { history: flags, limits, .. }: &Flags) -> Result<Past, CliExit> {
        let for_a_file = [
            (flags.sync.is_some(), "--sync is for --history PATH"),
            (flags.keep_days.is_some(), "--keep-days is for --history PATH"),
            (flags.max_rooms_kept.is_some(), "--max-rooms-kept is for --history PATH"),
        ];
        let for_what_is_kept = [
            (flags.keep_bytes.is_some(), "--keep-bytes is not for --history off"),
            (flags.keep_messages.is_some(), "--keep-messages is not for --history off"),
        ];
        let replay_messages = flags.replay;
        match flags.place() {
            HistoryPlace::File(path) => {
                // A newcomer is sent no more than is kept, and as much of it as --replay promises.
                let kept = ScrollbackLimit {
                    messages: BESIDE_A_FILE
                        .messages
                        .max(replay_messages)
                        .min(flags.keep_messages.unwrap_or(usize::MAX)),
                    bytes: BESIDE_A_FILE.bytes.max(limits.max_queue / 2),
                };
                let history =
                    HistoryPlan::InFile { path, durability: durability(flags), options: log_options(flags, kept) };
                Ok(Past { history, replay_messages, kept, kept_by_all_bytes: BESIDE_A_FILE_ALL_BYTES })
            }
            HistoryPlace::Memory => {
                refuse(&for_a_file)?;
                let kept = ScrollbackLimit {
                    messages: flags.keep_messages.unwrap_or(IN_MEMORY.messages),
                    bytes: flags.keep_bytes.unwrap_or(IN_MEMORY.bytes),
                };
                Ok(Past { history: HistoryPlan::InMemory, replay_messages, kept, kept_by_all_bytes: kept.bytes })
            }
            HistoryPlace::Off => {
                refuse(&for_a_file)?;
                refuse(&for_what_is_kept)?;
                let kept = ScrollbackLimit { messages: 0, bytes: 0 };
                Ok(Past { history: HistoryPlan::InMemory, replay_messages, kept, kept_by_all_bytes: 0 })
            }
        }
    }
}

/// Refuses the first of some flags that was given, in its sentence.
fn refuse(flags: &[(bool, &str)]) -> Result<(), CliExit> {
    match flags.iter().find(|(is_given, _)| *is_given) {
        Some((_, sentence)) => Err(CliExit::wrong(sentence)),
        None => Ok(()),
    }
}

fn durability(flags: &HistoryFlags) -> Durability {
    match flags.sync {
        None | Some(Sync::Normal) => Durability::Normal,
        Some(Sync::Full) => Durability::Full,
    }
}

fn log_options(flags: &HistoryFlags, kept: ScrollbackLimit) -> LogOptions {
    LogOptions {
        retention: Retention {
            messages: flags.keep_messages.and_then(|count| NonZeroU64::new(count as u64)),
            bytes: flags.keep_bytes.and_then(|bytes| NonZeroU64::new(bytes as u64)),
            rooms: flags.max_rooms_kept.and_then(|count| NonZeroU64::new(count as u64)),
            max_age: flags.keep_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        },
        newest: PageSize { messages: kept.messages, bytes: kept.bytes },
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(flags: &[&str]) -> Result<Settings, CliExit> {
        Flags::read(["roomd"].iter().chain(flags).map(OsString::from), []).and_then(Settings::from_flags)
    }

    #[test]
    fn a_flag_that_would_do_nothing_is_refused() {
        for (flag, fits) in [
            ("--sync=full", [true, false, false]),
            ("--keep-days=1", [true, false, false]),
            ("--keep-messages=1", [true, true, false]),
            ("--keep-bytes=1", [true, true, false]),
            ("--max-rooms-kept=1", [true, false, false]),
        ] {
            for (history, fits) in ["--history=x", "--history=memory", "--history=off"].into_iter().zip(fits) {
                assert_eq!(read(&[history, flag]).is_ok(), fits, "{history} {flag}");
            }
        }
    }

    #[test]
    fn headers_of_the_proxy_protocol_are_expected_of_somebody() {
        assert!(matches!(read(&["--proxy-protocol"]), Err(CliExit::Wrong(_))));
        for trusted in ["--trusted-proxy=10.0.0.0/8", "--trusted-proxy=unix", "--trusted-proxy=::1,unix"] {
            assert!(read(&["--proxy-protocol", trusted]).is_ok(), "{trusted}");
        }
        for bad in
            ["--trusted-proxy=localhost", "--trusted-proxy=", "--trusted-proxy=10.0.0.1:80", "--exempt-address=unix"]
        {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn in_front_of_a_file_a_room_keeps_what_replay_promises_and_not_more_than_is_to_be_kept() {
        for (flags, messages, bytes) in [
            (&[][..], 256, 512 * 1024),
            (&["--replay=300", "--max-queue=1000"], 300, 256 * 1024),
            (&["--keep-messages=10"], 10, 512 * 1024),
        ] {
            let kept = read(flags).ok().map(|settings| settings.limits.kept);
            assert_eq!(kept, Some(ScrollbackLimit { messages, bytes }), "{flags:?}");
        }
    }
}
