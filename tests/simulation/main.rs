//! The whole hub under chance: sockets that take a few bytes at a time, block, reset and stall; clients that say right
//! and wrong things in pieces of any size; a clock that jumps. Everything follows from a seed.
//!
//! A failure prints its seed: `SIM_SEED=<n> cargo test --test simulation` runs that one again, and
//! `SIM_SEEDS=<n>` runs so many.

mod client;
mod dice;
mod heard;
mod late;
mod lines;
mod model;
mod wire;
mod witness;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use client::{Client, Kind, MOST_BYTES, Wish};
use dice::Dice;
use heard::Presence;
use late::{Damaged, LateHistory};
use model::Model;
use roomd::door::{EchoService, Health, Site};
use roomd::door::{OriginPolicy, Pages};
use roomd::history::History;
use roomd::history::memory::Memory;
use roomd::hub::{Hub, PeerId, Readiness};
use roomd::limits::{Limits, ScrollbackLimit};
use roomd::moment::{Moment, Now};
use roomd::rate_limit::{ByteRate, Rate};
use roomd::websocket::MessageLimits;
use wire::{Scripted, Wire};
use witness::{Record, Witness};

struct World {
    dice: Dice,
    limits: Limits,
    hub: Hub<Scripted>,
    record: Rc<RefCell<Record>>,
    /// What the late history has not answered yet; always 0 with the other.
    under_way: Rc<Cell<usize>>,
    /// Set to make it stuck, for a while.
    is_stuck: Rc<Cell<bool>>,
    /// Set to make it hang until that is taken back.
    is_hung: Rc<Cell<bool>>,
    is_late: bool,
    is_forgetful: bool,
    damaged: Damaged,
    clients: Vec<Client>,
    /// While the poller has more than it gives in one turn: all up to then has been reported, and of what has come since
    /// some is withheld.
    reported_until: Option<Duration>,
    withheld: Vec<(PeerId, Readiness)>,
    elapsed: Duration,
    /// The wall clock has nothing to do with the other.
    unix_ms: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let limits = Limits {
            max_connections: 12,
            message: MessageLimits { max_message_bytes: MOST_BYTES as u64, ..Limits::default().message },
            // Small, so that slow readers are found out within a run, and that the past may be too much.
            max_queue_bytes: *dice.choose(&[2_000, 20_000]),
            read_budget_bytes: 64 + dice.below(4_000),
            write_budget_bytes: 64 + dice.below(8_000),
            rate: dice.one_in(2).then_some(Rate { burst: 5, per_second: 20 }),
            // So little that one message of the longest is more than a second's worth, and that lines form.
            byte_rate: dice.one_in(2).then_some(ByteRate { per_second: 4_000 }),
            room_byte_rate: dice.one_in(2).then_some(ByteRate { per_second: 6_000 }),
            change_rate: dice.one_in(2).then_some(Rate { burst: 3, per_second: 1 }),
            max_rooms: *dice.choose(&[1, 2, 3, 8]),
            kept: ScrollbackLimit { messages: *dice.choose(&[0, 2, 10, 60]), bytes: *dice.choose(&[2_000, 100_000]) },
            replay_messages: dice.below(30),
            presence_members: if dice.one_in(3) { 1 + dice.below(12) } else { 100 },
            ..Limits::default()
        };
        let site = Site {
            pages: Pages::Embedded,
            origins: OriginPolicy::default(),
            echo: EchoService::On,
            health: Health::Good,
        };
        let (under_way, is_stuck, is_hung) = (Rc::default(), Rc::default(), Rc::default());
        let damaged = Damaged::default();
        let is_late = dice.one_in(2);
        let is_forgetful = is_late && dice.one_in(3);
        let inner: Box<dyn History<PeerId>> = if is_late {
            let cells = [Rc::clone(&is_stuck), Rc::clone(&is_hung)];
            let (dice, damaged) = (Dice::new(!seed), Rc::clone(&damaged));
            Box::new(LateHistory::new(dice, Rc::clone(&under_way), cells, is_forgetful, damaged))
        } else {
            Box::new(Memory::new())
        };
        let record = Rc::default();
        let witness = Witness { inner, record: Rc::clone(&record), max_rooms: limits.max_rooms };
        World {
            dice,
            limits,
            hub: Hub::new(limits, site, Box::new(witness)),
            record,
            under_way,
            is_stuck,
            is_hung,
            is_late,
            is_forgetful,
            damaged,
            clients: Vec::new(),
            reported_until: None,
            withheld: Vec::new(),
            elapsed: Duration::ZERO,
            unix_ms: 1_763_817_427_123,
        }
    }

    fn now(&self) -> Now {
        Now { moment: Moment::START + self.elapsed, unix_ms: self.unix_ms }
    }

    fn connect(&mut self) {
        let kind = *self.dice.choose(&[Kind::Full, Kind::Full, Kind::Full, Kind::Quiet, Kind::Echo, Kind::Rubbish]);
        let wish = self.wish();
        self.connect_as(kind, wish);
    }

    fn connect_as(&mut self, kind: Kind, wish: Wish) {
        let wire = Rc::new(RefCell::new(Wire { window: 4_000, max_write: 1_000, ..Wire::default() }));
        let id = self.hub.accept(Scripted(Rc::clone(&wire)), "sim".into(), self.now());
        let number = self.clients.len();
        let presence = if self.limits.presence_members == 100 { Presence::Told } else { Presence::Counted };
        self.clients.push(Client::new(id, (kind, wish, presence), number, wire, &mut self.dice));
    }

    fn wish(&mut self) -> Wish {
        let dice = &mut self.dice;
        let room = if dice.one_in(2) { "lobby" } else { dice.choose::<&str>(lines::ROOMS) };
        let mut wish = Wish { room, name: None, since: None };
        if dice.one_in(3) {
            wish.name = Some(lines::any_name(dice));
        }
        if dice.one_in(2) {
            wish.since = Some(match dice.below(12) {
                0 => dice.choose(&["", "x", "-1", "1 2"]).to_string(),
                1 => dice.choose(&["1000000", "9007199254740992"]).to_string(),
                2..=3 => dice.below(5).to_string(),
                4 => dice.below(100).to_string(),
                // Somebody comes back who was here before.
                _ => match self.clients.get(dice.below(self.clients.len())).and_then(|client| client.heard.newest()) {
                    Some((room, id)) => {
                        wish.room = lines::ROOMS.iter().find(|known| **known == room).expect("no others are asked for");
                        id.saturating_sub(if dice.one_in(3) { dice.below(40) as u64 } else { 0 }).to_string()
                    }
                    None => "0".to_owned(),
                },
            });
        }
        wish
    }

    /// Something happens to somebody, or time passes.
    fn step(&mut self) {
        let action = self.dice.below(100);
        if self.clients.is_empty() || (action < 6 && self.clients.len() < 60) {
            return self.connect();
        }
        if action < 16 {
            self.elapsed += Duration::from_millis(self.dice.below(300) as u64);
            self.unix_ms = self.unix_ms.wrapping_add(self.dice.below(2_000) as u64).wrapping_sub(1_000);
            return;
        }
        if action == 16 && self.dice.one_in(4) {
            self.reported_until.get_or_insert(self.elapsed);
        }
        if action == 16 && self.dice.one_in(10) {
            // The machine slept.
            self.elapsed += Duration::from_secs(self.dice.below(100) as u64);
            if self.dice.one_in(2) {
                // And so did everybody who was asked for a sign of life.
                self.turn();
                self.elapsed += self.limits.ping_timeout;
            }
            return;
        }
        let tourists = self.clients.len();
        let chosen = self.dice.below(self.clients.len());
        let client = &mut self.clients[chosen];
        let dice = &mut self.dice;
        let edge = match action {
            17..=24 if !client.is_done && client.is_guest() => {
                client.plan_command(tourists, dice);
                None
            }
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
                if dice.one_in(3) {
                    client.plan_too_much(dice);
                } else {
                    client.plan_violation(dice);
                }
                None
            }
            51 if dice.one_in(3) => {
                client.vanish(self.elapsed);
                client.wire.borrow_mut().is_reset = true;
                self.hub.failed(client.id);
                Some(Readiness { readable: true, writable: true, hung_up: true })
            }
            52 if dice.one_in(3) => {
                client.vanish(self.elapsed);
                client.wire.borrow_mut().is_finished = true;
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
            match self.reported_until {
                Some(_) => self.withheld.push((id, edge)),
                None => self.hub.ready(id, edge),
            }
        }
    }

    /// The poller gives all that it has.
    fn report_the_rest(&mut self) {
        for (id, edge) in self.withheld.drain(..) {
            self.hub.ready(id, edge);
        }
        self.reported_until = None;
    }

    fn turn(&mut self) {
        if self.dice.one_in(4) {
            self.report_the_rest();
        }
        let reported_until = Moment::START + self.reported_until.unwrap_or(self.elapsed);
        let before = self.late_ones();
        self.hub.turn_amid(self.now(), reported_until);
        assert_eq!(before, self.late_ones(), "somebody is late with what has come and has not been reported");
        let most = self.limits.max_queue_bytes + 200_000;
        assert!(self.hub.queued_bytes() <= self.hub.connections() * most, "queues grow without bound");
        // What has not been reported is not known, and no time passes.
        for client in self.clients.iter_mut().filter(|_| self.reported_until.is_none()) {
            client.check_end(self.elapsed);
        }
    }

    /// How often those of whom something is withheld were told that they are late.
    fn late_ones(&self) -> usize {
        let withheld = self.withheld.iter().filter(|(_, edge)| edge.readable && !edge.hung_up);
        let clients = withheld.filter_map(|(id, _)| self.clients.iter().find(|client| client.id == *id));
        clients.map(Client::times_told_that_it_is_late).sum()
    }

    /// Everybody reads and sends what is left, until nothing happens any more.
    fn come_to_rest(&mut self) {
        for _ in 0..20_000 {
            let mut is_quiet = self.exchange();
            self.turn();
            is_quiet &= self.clients.iter().all(|client| client.wire.borrow().to_client.is_empty());
            if is_quiet && !self.hub.has_work() && self.under_way.get() == 0 {
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

    /// Everybody sends what it has and reads what there is. Says whether there was nothing.
    fn exchange(&mut self) -> bool {
        self.report_the_rest();
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
        is_quiet
    }

    /// Whoever can still ask asks who is there: the answer has to be what it knows.
    fn ask_who_is_there(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.is_guest() && client.is_open()) {
            client.plan_line("/who", &mut self.dice);
        }
    }

    fn check(&self) {
        for client in &self.clients {
            if client.kind == Kind::Echo {
                let expected = &client.echoes_expected[..client.echoes.len()];
                assert_eq!(client.echoes, expected, "client {}: its echoes", client.number);
                assert!(!client.is_open() || client.echoes.len() == client.echoes_expected.len());
            }
            assert!(!client.is_open() || client.pongs == client.pongs_expected.len(), "a ping without its pong");
        }
        let record = &self.record.borrow();
        let (limits, is_forgetful, is_late) = (&self.limits, self.is_forgetful, self.is_late);
        Model { record, limits, is_forgetful, is_late, damaged: Rc::clone(&self.damaged) }.check(&self.clients);
    }

    /// Many come, and others change rooms; they will not have arrived when the end comes.
    fn rush(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.is_guest() && !client.is_gone()) {
            // These make place for others.
            if self.dice.one_in(4) {
                client.vanish(self.elapsed);
                client.wire.borrow_mut().is_reset = true;
                self.hub.ready(client.id, Readiness { readable: true, writable: true, hung_up: true });
                self.hub.failed(client.id);
            }
        }
        self.exchange();
        self.turn();
        for _ in 0..6 {
            // All that was ever said takes longest to be found.
            let wish = Wish { since: Some("0".to_owned()), ..self.wish() };
            self.connect_as(Kind::Full, wish);
        }
        for _ in 0..self.dice.below(4) {
            self.exchange();
            self.turn();
        }
        for client in self.clients.iter_mut().filter(|client| client.is_guest() && client.is_open()) {
            client.plan_line(&format!("/join {}", self.dice.choose(lines::ROOMS)), &mut self.dice);
        }
        self.is_stuck.set(self.dice.one_in(2));
        for _ in 0..1 + self.dice.below(3) {
            self.exchange();
            self.turn();
        }
    }

    /// Everybody goes, in the end: because nobody answers any more, or because the daemon says so.
    fn come_to_an_end(&mut self) {
        self.report_the_rest();
        match self.dice.below(4) {
            0 => self.hub.shut_down(self.now()),
            1 => self.hub.cut_all(self.now()),
            // The disk hangs for ever, and everybody vanishes.
            2 => {
                self.is_hung.set(true);
                self.vanish_all();
            }
            // The pings go out, and the silence is noticed.
            _ => {}
        }
        self.exchange();
        for _ in 0..1_000 {
            if self.hub.connections() == 0 && self.under_way.get() == 0 && !self.hub.has_work() {
                break;
            }
            self.elapsed += Duration::from_secs(5);
            self.turn();
        }
        self.exchange();
        assert_eq!(self.hub.connections(), 0, "somebody stays for ever");
        assert_eq!(self.hub.queued_bytes(), 0);
        assert!(!self.hub.has_work(), "an empty hub has nothing to do");
        assert!(self.clients.iter().all(|client| client.wire.borrow().is_closed));
        let endings: u64 = self.hub.endings().values().sum();
        assert_eq!(endings, self.clients.len() as u64, "every connection has ended once, under a name");
        // Rooms of which only the memory knows what was said are kept, and no others.
        let (open, with_messages) = self.record.borrow().open_rooms();
        let has_memory = !self.is_late && self.limits.kept.messages > 0;
        assert_eq!(open, if has_memory { with_messages } else { 0 }, "rooms that nobody needs");
    }

    fn vanish_all(&mut self) {
        let mut vanishing: Vec<usize> = (0..self.clients.len()).filter(|nth| !self.clients[*nth].is_gone()).collect();
        while !vanishing.is_empty() {
            let client = &mut self.clients[vanishing.swap_remove(self.dice.below(vanishing.len()))];
            client.vanish(self.elapsed);
            let is_reset = self.dice.one_in(2);
            client.wire.borrow_mut().is_reset |= is_reset;
            client.wire.borrow_mut().is_finished = true;
            self.hub.ready(client.id, Readiness { readable: true, writable: is_reset, hung_up: true });
            if is_reset {
                self.hub.failed(client.id);
            }
            if self.dice.one_in(2) {
                self.turn();
            }
        }
        for _ in 0..20 {
            self.elapsed += Duration::from_secs(1);
            self.turn();
        }
        assert_eq!(self.hub.connections(), 0, "somebody has vanished and keeps a slot while the disk hangs");
        self.is_hung.set(false);
    }

    /// When all have left, every name is free.
    fn check_that_all_names_are_free(&mut self) {
        let room = *self.dice.choose(lines::ROOMS);
        let first = self.clients.len();
        for name in lines::people() {
            self.connect_as(Kind::Full, Wish { room, name: Some(name), since: None });
        }
        self.come_to_rest();
        for client in &self.clients[first..] {
            assert_eq!(client.heard.name.as_deref(), client.wish.name, "nobody else is here");
        }
    }
}

/// One run; what it came to: endings, errors, and what the history met.
fn run(seed: u64) -> BTreeSet<String> {
    let mut world = World::new(seed);
    for _ in 0..600 {
        for _ in 0..world.dice.below(8) {
            world.step();
        }
        world.turn();
    }
    // Some runs end in the middle of everything.
    if world.dice.one_in(3) {
        world.rush();
    } else {
        world.come_to_rest();
        world.ask_who_is_there();
        world.come_to_rest();
        world.check();
    }
    world.come_to_an_end();
    world.check();
    world.check_that_all_names_are_free();
    world.come_to_an_end();

    let mut reached: BTreeSet<String> = world.hub.endings().keys().map(|name| name.to_string()).collect();
    reached.extend(world.record.borrow().met.iter().map(|met| met.to_string()));
    for client in &world.clients {
        reached.extend(client.heard.errors.iter().cloned());
        if client.heard.sessions.iter().any(|session| session.is_reset) {
            reached.insert("reset".to_owned());
        }
        for session in client.heard.sessions.iter().filter(|session| session.is_catch_up) {
            reached.insert(if session.is_reset { "a reset amid a long past" } else { "a long past" }.to_owned());
        }
        if client.kind == Kind::Full && client.heard.sessions.len() > 1 {
            reached.insert("a move".to_owned());
        }
    }
    reached
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
    let mut reached = BTreeSet::new();
    for seed in 0..number("SIM_SEEDS").unwrap_or(300) {
        let _announce = Announce(seed);
        reached.extend(run(seed));
    }
    // The dice are worth something only if they get everywhere.
    for place in ENDINGS.iter().chain(ERRORS).chain(OTHER_PLACES) {
        assert!(reached.contains(*place), "no run came to {place}: {reached:?}");
    }
}

const ENDINGS: &[&str] = &[
    "answered",
    "broken",
    "message-too-slow",
    "no-request",
    "peer-closed",
    "peer-vanished",
    "refused",
    "shut-down",
    "silent",
    "too-many-rooms",
    "too-slow",
    "violated",
];

const ERRORS: &[&str] = &[
    "bad-arguments",
    "bad-name",
    "bad-room",
    "bad-since",
    "binary-not-accepted",
    "history-unavailable",
    "message-too-big",
    "name-taken",
    "name-too-similar",
    "no-such-name",
    "receiver-busy",
    "since-in-future",
    "slow-down",
    "too-many-rooms",
    "unknown-command",
];

/// See `Record::met`, and `run`.
const OTHER_PLACES: &[&str] = &[
    "a history that has fallen behind",
    "a long past",
    "a move",
    "a page after",
    "a page before",
    "a page for one who is gone",
    "a reset amid a long past",
    "a room begun anew",
    "a room forgotten",
    "a room forgotten before it was opened",
    "a room opened again",
    "no page after",
    "no page before",
    "reset",
];
