//! What each address may do: how many connections it has, how fast it makes new ones, and how often its handshakes fail.
//!
//! An address is forgotten when it has no connection and has rested long enough for its buckets to be full; so the table
//! is about as large as the number of addresses that are connected.

use std::collections::HashMap;
use std::num::NonZeroU32;

use slab::Slab;

use super::address::{AddressBlock, Caller, PeerAddress};
use super::forwarded::AddressPolicy;
use crate::limits::Limits;
use crate::limits::fixed::{
    ADDRESSES_AT_REST, ADDRESSES_LOOKED_THROUGH_EVERY, FORWARDED_BEFORE_A_WARNING, FORWARDERS_WATCHED,
};
use crate::moment::Moment;
use crate::rate_limit::{Rate, TokenBucket};

/// Why a connection is refused because of the address it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// It has as many as `--max-per-address` allows.
    Connections,
    /// It makes new ones faster than `--connect-rate` allows.
    NewConnections,
    /// More of its handshakes failed lately than `--failure-rate` allows.
    Failures,
}

/// What the log should say. It says each once for an address, until the table has forgotten the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressNews {
    /// Connections from there are refused from now on.
    Refused(AddressBlock, TooMany),
    /// Many connections of this peer have said `X-Forwarded-For`, and it is no trusted proxy.
    Forwards(PeerAddress),
}

/// A connection is counted under an address. Given back with [`AddressTable::left`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Ticket(NonZeroU32);

/// See the module.
#[derive(Debug)]
pub struct AddressTable {
    policy: AddressPolicy,
    max_connections: usize,
    connect_rate: Option<Rate>,
    failure_rate: Option<Rate>,
    entries: Slab<Entry>,
    by_block: HashMap<AddressBlock, u32>,
    /// Entries without a connection.
    at_rest: usize,
    looked_through: Moment,
    /// How many connections of peers that are not trusted have said `X-Forwarded-For`. `None` is for socket files.
    forwarders: HashMap<Option<AddressBlock>, u32>,
    news: Vec<AddressNews>,
}

#[derive(Debug)]
struct Entry {
    block: AddressBlock,
    connections: u32,
    /// The log has said that it is refused.
    is_told: bool,
    connects: TokenBucket,
    failures: TokenBucket,
}

impl AddressTable {
    /// A table without addresses.
    #[must_use]
    pub fn new(limits: &Limits, policy: AddressPolicy) -> AddressTable {
        AddressTable {
            policy,
            max_connections: limits.max_per_address,
            connect_rate: limits.connect_rate,
            failure_rate: limits.failure_rate,
            entries: Slab::new(),
            by_block: HashMap::new(),
            at_rest: 0,
            looked_through: Moment::START,
            forwarders: HashMap::new(),
            news: Vec::new(),
        }
    }

    /// Who is believed, and who is exempt.
    #[must_use]
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// A connection has come from that address, or the daemon has learnt only now that it does. None if it is not counted.
    ///
    /// # Errors
    /// [`TooMany`]: then it is not counted either.
    pub fn came(&mut self, caller: &Caller, now: Moment) -> Result<Option<Ticket>, TooMany> {
        let Some(address) = caller.address() else { return Ok(None) };
        if self.policy.is_exempt(address) {
            return Ok(None);
        }
        self.forget_rested(now);
        let key = self.entry_of(address.block());
        let Some(entry) = self.entries.get_mut(key as usize) else { return Ok(None) };
        if let Err(too_many) = entry.may_come(self.max_connections, self.connect_rate, self.failure_rate, now) {
            if !std::mem::replace(&mut entry.is_told, true) {
                self.news.push(AddressNews::Refused(address.block(), too_many));
            }
            return Err(too_many);
        }
        if entry.connections == 0 {
            self.at_rest -= 1;
        }
        entry.connections += 1;
        if let Some(rate) = self.connect_rate {
            entry.connects.take(rate.one(), now);
        }
        Ok(NonZeroU32::new(key.saturating_add(1)).map(Ticket))
    }

    /// A connection has gone.
    pub fn left(&mut self, Ticket(ticket): Ticket, now: Moment) {
        let key = ticket.get() as usize - 1;
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.connections = entry.connections.saturating_sub(1);
        if entry.connections > 0 {
            return;
        }
        self.at_rest += 1;
        if entry.has_rested(now) {
            self.forget(key);
        }
        self.forget_rested(now);
    }

    /// The handshake of a connection has failed, by a fault of the client's.
    pub fn failed(&mut self, Ticket(ticket): &Ticket, now: Moment) {
        if let (Some(rate), Some(entry)) = (self.failure_rate, self.entries.get_mut(ticket.get() as usize - 1)) {
            entry.failures.take(rate.one(), now);
        }
    }

    /// A peer that is not trusted has sent `X-Forwarded-For`. A proxy sends it with each request; another program may send
    /// it now and then. So a number of requests tells the two apart.
    pub fn forwards_unasked(&mut self, peer: &PeerAddress) {
        let key = peer.address().map(|address| address.block());
        if self.forwarders.len() >= FORWARDERS_WATCHED && !self.forwarders.contains_key(&key) {
            return;
        }
        let count = self.forwarders.entry(key).or_default();
        *count = count.saturating_add(1);
        if *count == FORWARDED_BEFORE_A_WARNING {
            self.news.push(AddressNews::Forwards(*peer));
        }
    }

    /// What the operator should hear of since the last call.
    pub fn take_news(&mut self) -> Vec<AddressNews> {
        std::mem::take(&mut self.news)
    }

    /// Addresses that are remembered.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.entries.len()
    }

    /// The sum of all entries' connections, for tests.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.entries.iter().map(|(_, entry)| entry.connections as usize).sum()
    }

    fn entry_of(&mut self, block: AddressBlock) -> u32 {
        let AddressTable { entries, by_block, at_rest, .. } = self;
        *by_block.entry(block).or_insert_with(|| {
            *at_rest += 1;
            let (connects, failures) = (TokenBucket::default(), TokenBucket::default());
            entries.insert(Entry { block, connections: 0, is_told: false, connects, failures }) as u32
        })
    }

    fn forget(&mut self, key: usize) {
        let entry = self.entries.remove(key);
        self.by_block.remove(&entry.block);
        self.at_rest -= 1;
        if self.entries.is_empty() {
            // After a rush, its memory is given back.
            (self.entries, self.by_block) = (Slab::new(), HashMap::new());
        }
    }

    /// Forgets the addresses at rest whose time is up, now and then; and when there are too many of them, all. That lets
    /// them begin anew, which an attacker with so many addresses can do anyway.
    fn forget_rested(&mut self, now: Moment) {
        let are_too_many = self.at_rest >= ADDRESSES_AT_REST;
        if !are_too_many && (self.at_rest == 0 || now < self.looked_through + ADDRESSES_LOOKED_THROUGH_EVERY) {
            return;
        }
        self.looked_through = now;
        self.forget_those_at_rest(|entry| entry.has_rested(now));
        // Half of the room: else the next would look through all of them again.
        if self.at_rest >= ADDRESSES_AT_REST / 2 {
            self.forget_those_at_rest(|_| true);
        }
    }

    fn forget_those_at_rest(&mut self, is_over: impl Fn(&Entry) -> bool) {
        let AddressTable { entries, by_block, at_rest, .. } = self;
        entries.retain(|_, entry| {
            let stays = entry.connections > 0 || !is_over(entry);
            if !stays {
                by_block.remove(&entry.block);
                *at_rest -= 1;
            }
            stays
        });
        entries.shrink_to_fit();
        by_block.shrink_to_fit();
    }
}

impl Entry {
    fn may_come(
        &self,
        max_connections: usize,
        connect_rate: Option<Rate>,
        failure_rate: Option<Rate>,
        now: Moment,
    ) -> Result<(), TooMany> {
        let is_spent = |bucket: TokenBucket, rate: Option<Rate>| {
            rate.is_some_and(|rate| bucket.empty_until(rate.all_but_one(), now).is_some())
        };
        if self.connections as usize >= max_connections {
            Err(TooMany::Connections)
        } else if is_spent(self.failures, failure_rate) {
            Err(TooMany::Failures)
        } else if is_spent(self.connects, connect_rate) {
            Err(TooMany::NewConnections)
        } else {
            Ok(())
        }
    }

    fn has_rested(&self, now: Moment) -> bool {
        self.connects.is_full(now) && self.failures.is_full(now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    use super::super::address::{Client, ClientAddress};
    use super::*;

    const RATE: Rate = Rate { burst: 5, per_second: 1 };

    fn table(limits: Limits) -> AddressTable {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "unix".parse().unwrap()];
        AddressTable::new(
            &limits,
            AddressPolicy::new(trusted, Default::default(), vec!["198.51.100.7".parse().unwrap()]),
        )
    }

    fn from(text: &str) -> Caller {
        Caller::of(PeerAddress::Ip(SocketAddr::new(text.parse().unwrap(), 4711)))
    }

    fn at(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(seconds)
    }

    #[test]
    fn so_many_connections_an_address_has_and_one_more_when_one_has_gone() {
        let mut table = table(Limits { max_per_address: 3, ..Limits::default() });
        let mut tickets: Vec<_> = (0..3).map(|_| table.came(&from("192.0.2.7"), at(0)).unwrap().unwrap()).collect();
        assert_eq!(table.came(&from("192.0.2.7"), at(0)), Err(TooMany::Connections));
        assert_eq!(table.came(&from("::ffff:192.0.2.7"), at(0)), Err(TooMany::Connections), "it is the same");
        assert!(table.came(&from("192.0.2.8"), at(0)).is_ok(), "another address");
        table.left(tickets.pop().unwrap(), at(1));
        assert!(table.came(&from("192.0.2.7"), at(1)).is_ok());
        assert_eq!(table.came(&from("192.0.2.7"), at(1)), Err(TooMany::Connections));
    }

    #[test]
    fn ipv6_is_counted_by_the_first_half_of_the_address() {
        let mut table = table(Limits { max_per_address: 1, ..Limits::default() });
        assert!(table.came(&from("2001:db8:0:1::1"), at(0)).is_ok());
        assert_eq!(table.came(&from("2001:db8:0:1:ffff::1"), at(0)), Err(TooMany::Connections));
        assert!(table.came(&from("2001:db8:0:2::1"), at(0)).is_ok());
    }

    #[test]
    fn this_machine_and_trusted_proxies_are_not_counted_and_those_they_speak_for_are() {
        let mut table = table(Limits { max_per_address: 1, ..Limits::default() });
        for exempt in ["127.0.0.1", "::1", "10.0.0.1", "198.51.100.7", "::ffff:127.0.0.1"] {
            for _ in 0..3 {
                assert_eq!(table.came(&from(exempt), at(0)), Ok(None), "{exempt}");
            }
        }
        assert_eq!(table.came(&Caller::of(PeerAddress::Unix), at(0)), Ok(None));
        for mut caller in [from("10.0.0.1"), Caller::of(PeerAddress::Unix)] {
            caller.speaks_for(Client::Unknown);
            assert_eq!(table.came(&caller, at(0)), Ok(None));
            let address = ClientAddress::of("192.0.2.7".parse().unwrap());
            caller.speaks_for(Client::At(address, None));
            let ticket = table.came(&caller, at(0)).unwrap().unwrap();
            assert_eq!(table.came(&caller, at(0)), Err(TooMany::Connections));
            assert_eq!(table.came(&from("192.0.2.7"), at(0)), Err(TooMany::Connections));
            table.left(ticket, at(0));
        }
    }

    #[test]
    fn new_connections_and_failures_are_rates_of_their_own_and_an_attempt_that_is_refused_does_not_count() {
        let limits = Limits { connect_rate: Some(RATE), failure_rate: Some(RATE), ..Limits::default() };
        let mut table = table(limits);
        let come_and_go = |table: &mut AddressTable, now, fails: bool| {
            let ticket = table.came(&from("192.0.2.7"), now)?.unwrap();
            if fails {
                table.failed(&ticket, now);
            }
            table.left(ticket, now);
            Ok(())
        };
        for _ in 0..5 {
            assert_eq!(come_and_go(&mut table, at(100), false), Ok(()));
        }
        for _ in 0..100 {
            assert_eq!(come_and_go(&mut table, at(100), false), Err(TooMany::NewConnections));
        }
        assert_eq!(come_and_go(&mut table, at(101), false), Ok(()));
        for _ in 0..5 {
            assert_eq!(come_and_go(&mut table, at(200), true), Ok(()));
        }
        assert_eq!(come_and_go(&mut table, at(201), true), Ok(()), "a second is one of each");
        assert_eq!(come_and_go(&mut table, at(201), true), Err(TooMany::Failures));
        assert_eq!(table.came(&from("192.0.2.8"), at(201)).map(|ticket| ticket.is_some()), Ok(true));
    }

    #[test]
    fn an_address_is_forgotten_when_it_has_rested_and_what_it_has_failed_is_not_before_that() {
        let mut table = table(Limits { connect_rate: None, failure_rate: Some(RATE), ..Limits::default() });
        let ticket = table.came(&from("192.0.2.7"), at(1)).unwrap().unwrap();
        table.left(ticket, at(1));
        assert_eq!(table.addresses(), 0, "nothing to be remembered");
        for _ in 0..5 {
            let ticket = table.came(&from("192.0.2.7"), at(1)).unwrap().unwrap();
            table.failed(&ticket, at(1));
            table.left(ticket, at(1));
        }
        assert_eq!(table.came(&from("192.0.2.7"), at(1)), Err(TooMany::Failures));
        let later = at(1) + ADDRESSES_LOOKED_THROUGH_EVERY + Duration::from_secs(5);
        assert!(table.came(&from("192.0.2.8"), later).is_ok());
        assert_eq!((table.addresses(), table.connections()), (1, 1), "only the new one");
    }

    #[test]
    fn however_many_addresses_come_and_fail_so_many_are_remembered() {
        let mut table = table(Limits { failure_rate: Some(RATE), ..Limits::default() });
        assert!(table.came(&from("192.0.2.7"), at(1)).is_ok());
        for nth in 0..200_000_u64 {
            let address = IpAddr::V6(Ipv6Addr::from(u128::from(nth + 1) << 64));
            let caller = Caller::of(PeerAddress::Ip(SocketAddr::new(address, 1)));
            let ticket = table.came(&caller, at(1)).unwrap().unwrap();
            table.failed(&ticket, at(1));
            table.left(ticket, at(1));
            assert!(table.addresses() <= ADDRESSES_AT_REST + 1);
        }
        assert_eq!(table.connections(), 1, "who is connected is not forgotten");
    }

    #[test]
    fn who_is_refused_is_told_of_once_until_it_is_forgotten() {
        let mut table = table(Limits { max_per_address: 1, connect_rate: None, ..Limits::default() });
        let caller = from("192.0.2.7");
        for round in 1..3 {
            let ticket = table.came(&caller, at(round)).unwrap().unwrap();
            for _ in 0..10 {
                assert!(table.came(&caller, at(round)).is_err());
            }
            assert_eq!(
                table.take_news(),
                [AddressNews::Refused(AddressBlock::V4([192, 0, 2, 7]), TooMany::Connections)]
            );
            assert!(table.take_news().is_empty());
            table.left(ticket, at(round));
        }
    }

    #[test]
    fn a_proxy_that_nobody_has_named_is_told_of_once_and_a_client_that_says_such_a_thing_is_not() {
        let mut table = table(Limits::default());
        let (proxy, client) = (*from("192.0.2.7").peer(), *from("192.0.2.8").peer());
        for _ in 0..10 * FORWARDED_BEFORE_A_WARNING {
            table.forwards_unasked(&proxy);
        }
        table.forwards_unasked(&client);
        for nth in 0..10_000_u32 {
            table.forwards_unasked(&PeerAddress::Ip(SocketAddr::new(Ipv4Addr::from(nth).into(), 1)));
        }
        for _ in 0..10 * FORWARDED_BEFORE_A_WARNING {
            table.forwards_unasked(&PeerAddress::Unix);
        }
        assert_eq!(table.take_news(), [AddressNews::Forwards(proxy)], "and only so many are watched");
        assert_eq!(table.forwarders.len(), FORWARDERS_WATCHED);
    }
}
