//! The whole hub under chance: sockets that take a few bytes at a time, block, reset and stall; clients that say right
//! and wrong things in pieces of any size; a clock that jumps. Everything follows from a seed.
//!
//! A failure prints its seed: `SIM_SEED=<n> cargo test --test simulation` runs that one again, and
//! `SIM_SEEDS=<n>` runs so many.

mod client;
mod dice;
mod wire;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use client::{Client, Kind};
use dice::Dice;
use roomd::history::memory::Memory;
use roomd::http::route::{EchoService, Site};
use roomd::http::{OriginPolicy, Pages};
use roomd::hub::{Hub, Readiness};
use roomd::limits::Limits;
use roomd::moment::{Moment, Now};
use roomd::rate_limit::Rate;
use roomd::tail::Kept;
use wire::{Scripted, Wire};

/// Small, so that slow readers are found out within a run.
const MAX_QUEUE: usize = 2_000;

struct World {
    dice: Dice,
    hub: Hub<Scripted>,
    clients: Vec<Client>,
    elapsed: Duration,
    /// The wall clock has nothing to do with the other.
    unix_ms: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let limits = Limits {
            max_connections: 12,
            max_queue_bytes: MAX_QUEUE,
            read_budget_bytes: 64 + dice.below(4_000),
            write_budget_bytes: 64 + dice.below(8_000),
            rate: dice.one_in(2).then_some(Rate { burst: 5, per_second: 20 }),
            kept: Kept { messages: 1 + dice.below(60), bytes: 100_000 },
            replay_messages: dice.below(30),
            presence_members: 1 + dice.below(12),
            ..Limits::default()
        };
        let site = Site { pages: Pages::Embedded, origins: OriginPolicy::default(), echo: EchoService::On };
        World {
            dice,
            hub: Hub::new(limits, site, Box::new(Memory::new())),
            clients: Vec::new(),
            elapsed: Duration::ZERO,
            unix_ms: 1_763_817_427_123,
        }
    }

    fn now(&self) -> Now {
        Now { moment: Moment::START + self.elapsed, unix_ms: self.unix_ms }
    }

    fn connect(&mut self) {
        let kind = *self.dice.choose(&[Kind::Full, Kind::Full, Kind::Full, Kind::Quiet, Kind::Echo, Kind::Rubbish]);
        let wire = Rc::new(RefCell::new(Wire { window: 4_000, max_write: 1_000, ..Wire::default() }));
        let id = self.hub.accept(Scripted(Rc::clone(&wire)), "sim".into(), self.now());
        let number = self.clients.len();
        self.clients.push(Client::new(id, kind, number, wire, &mut self.dice));
    }

    /// Something happens to somebody, or time passes.
    fn step(&mut self) {
        let action = self.dice.below(100);
        if self.clients.is_empty() || (action < 6 && self.clients.len() < 30) {
            return self.connect();
        }
        if action < 16 {
            self.elapsed += Duration::from_millis(self.dice.below(300) as u64);
            self.unix_ms = self.unix_ms.wrapping_add(self.dice.below(2_000) as u64).wrapping_sub(1_000);
            return;
        }
        if action == 16 && self.dice.one_in(10) {
            // The machine slept.
            self.elapsed += Duration::from_secs(self.dice.below(100) as u64);
            return;
        }
        let chosen = self.dice.below(self.clients.len());
        let client = &mut self.clients[chosen];
        let dice = &mut self.dice;
        let edge = match action {
            17..=44 if !client.is_done && client.kind != Kind::Rubbish => {
                client.plan_message(dice);
                None
            }
            45..=48 if !client.is_done && client.kind != Kind::Rubbish => {
                client.plan_ping(dice);
                None
            }
            49 if !client.is_done && client.kind != Kind::Rubbish && dice.one_in(2) => {
                client.plan_close(dice);
                None
            }
            50 if !client.is_done && client.kind != Kind::Rubbish && dice.one_in(2) => {
                client.plan_violation(dice);
                None
            }
            51 if dice.one_in(3) => {
                client.is_done = true;
                client.wire.borrow_mut().is_reset = true;
                Some(Readiness { readable: true, writable: true, hung_up: true })
            }
            52 if dice.one_in(3) => {
                client.is_done = true;
                let mut wire = client.wire.borrow_mut();
                wire.is_finished = true;
                Some(Readiness { readable: true, writable: false, hung_up: true })
            }
            53..=54 => {
                client.is_stalled = !client.is_stalled;
                None
            }
            55..=80 => {
                let most = *dice.choose(&[1, 20, 2_000]);
                client.send(1 + dice.below(most))
            }
            _ if client.is_stalled => None,
            _ => {
                let window = dice.below(6_000);
                client.receive(window, dice)
            }
        };
        let id = client.id;
        if let Some(edge) = edge {
            self.hub.ready(id, edge);
        }
    }

    fn turn(&mut self) {
        let now = self.now();
        self.hub.turn(now);
        let most = MAX_QUEUE + 200_000;
        assert!(self.hub.queued_bytes() <= self.hub.connections() * most, "queues grow without bound");
    }

    /// Everybody reads and sends what is left, until nothing happens any more.
    fn come_to_rest(&mut self) {
        for _ in 0..20_000 {
            let mut is_quiet = true;
            for client in &mut self.clients {
                client.is_stalled = false;
                let sent = client.send(usize::MAX);
                let received = client.receive(1_000_000, &mut self.dice);
                for edge in [sent, received].into_iter().flatten() {
                    is_quiet = false;
                    self.hub.ready(client.id, edge);
                }
            }
            self.turn();
            is_quiet &= self.clients.iter().all(|client| client.wire.borrow().to_client.is_empty());
            if is_quiet && !self.hub.has_work() {
                // Whoever rests because of the rate is woken by the clock. A second is less than any timeout.
                if self.clients.iter().all(|client| client.wire.borrow().to_daemon.is_empty() || client.is_gone())
                    && self.hub.deadline().since(self.now().moment) > Duration::from_millis(250)
                {
                    return;
                }
                self.elapsed += Duration::from_millis(50);
            }
        }
        panic!("the hub does not come to rest");
    }

    /// The naive model: a room is one list of messages, and everybody sees a slice of it.
    fn check(&self) {
        let mut room: BTreeMap<u64, (String, String)> = BTreeMap::new();
        for client in &self.clients {
            for (id, name, text) in &client.messages {
                let known = room.entry(*id).or_insert_with(|| (name.clone(), text.clone()));
                assert_eq!(known, &(name.clone(), text.clone()), "message {id} is not the same for everybody");
            }
        }
        let newest = room.keys().next_back().copied().unwrap_or(0);
        for client in &self.clients {
            let ids: Vec<u64> = client.messages.iter().map(|(id, _, _)| *id).collect();
            assert!(ids.is_sorted_by(|a, b| a + 1 == *b), "client {}: a gap or a repetition: {ids:?}", client.number);
            // The past ends at `last`, and the present begins right behind it.
            if let (Some(last), Some(first)) = (client.welcome_last, ids.first()) {
                assert!(*first <= last + 1, "client {}: nothing between {last} and {first}", client.number);
            }
            if client.is_open() && matches!(client.kind, Kind::Full | Kind::Quiet) {
                let seen = ids.last().copied().or(client.welcome_last).unwrap_or(newest);
                assert_eq!(
                    seen, newest,
                    "client {} ({:?}): the newest messages are missing",
                    client.number, client.kind
                );
            }
            if client.kind == Kind::Echo {
                let expected = &client.echoes_expected[..client.echoes.len()];
                assert_eq!(client.echoes, expected, "client {}: its echoes", client.number);
                assert!(!client.is_open() || client.echoes.len() == client.echoes_expected.len());
            }
            assert!(!client.is_open() || client.pongs == client.pongs_expected.len(), "a ping without its pong");
        }
        // Each speaker's messages are there once, in the order in which they were said; and all of them, unless some
        // message was seen by nobody because everybody was too slow just then.
        let is_whole = room.len() as u64 == newest;
        let mut said: HashMap<String, usize> = HashMap::new();
        for (name, text) in room.values() {
            let (speaker, rest) = text.split_once(':').expect("number:count");
            let count: usize = rest.split(' ').next().and_then(|count| count.parse().ok()).expect("a count");
            let before = said.insert(speaker.to_owned(), count).unwrap_or(0);
            assert!(before < count, "{name} said them in another order: {count} after {before}");
            assert!(!is_whole || before + 1 == count, "{name} said something between {before} and {count}");
        }
    }
}

impl Client {
    fn is_gone(&self) -> bool {
        let wire = self.wire.borrow();
        wire.is_closed || wire.is_reset
    }

    /// Still connected, as far as both sides know.
    fn is_open(&self) -> bool {
        self.is_upgraded && !self.is_done && self.close_code.is_none() && !self.is_gone()
    }
}

/// One run; the names of the endings that it came to.
fn run(seed: u64) -> Vec<&'static str> {
    let mut world = World::new(seed);
    for _ in 0..600 {
        for _ in 0..world.dice.below(8) {
            world.step();
        }
        world.turn();
    }
    world.come_to_rest();
    world.check();

    // Nobody answers any more: the pings go out, the silence is noticed, and all memory of everybody is gone.
    for _ in 0..1_000 {
        if world.hub.connections() == 0 {
            break;
        }
        world.elapsed += Duration::from_secs(5);
        world.turn();
    }
    assert_eq!(world.hub.connections(), 0, "somebody stays for ever");
    assert_eq!(world.hub.queued_bytes(), 0);
    assert!(!world.hub.has_work(), "an empty hub has nothing to do");
    assert!(world.clients.iter().all(|client| client.wire.borrow().is_closed));
    let endings: u64 = world.hub.endings().values().sum();
    assert_eq!(endings, world.clients.len() as u64, "every connection has ended once, under a name");
    world.hub.endings().keys().copied().collect()
}

/// Prints the seed if the run panics.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\n    the failing seed: SIM_SEED={} cargo test --test simulation\n", self.0);
        }
    }
}

#[test]
fn whatever_happens_to_the_sockets_everybody_sees_one_unbroken_stream() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("SIM_SEED") {
        run(seed);
        return;
    }
    let mut endings = BTreeSet::new();
    for seed in 0..number("SIM_SEEDS").unwrap_or(300) {
        let _announce = Announce(seed);
        endings.extend(run(seed));
    }
    // The dice are worth something only if they get everywhere.
    for ending in [
        "answered",
        "broken",
        "message-too-slow",
        "no-request",
        "peer-closed",
        "peer-vanished",
        "refused",
        "silent",
        "too-slow",
        "violated",
    ] {
        assert!(endings.contains(ending), "no run came to {ending}: {endings:?}");
    }
}
