//! The simulated world: a hub, its clients, their sockets, its history and the clock, and all that happens to them.
//!
//! Its choices come from a seed (`tests/simulation/`) or from a fuzzer's bytes (`tests/fuzz/`). Either way the same model
//! says what each client must have heard.

mod choices;
mod client;
mod ending;
#[path = "../../testing/fake_socket.rs"]
mod fake_socket;
mod model;
pub(crate) mod power;
mod recorder;
mod slow_log;
pub(crate) mod transcript;
mod vocabulary;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use roomd::door::{EchoService, Health, OriginPolicy, Pages, Site};
use roomd::gate::PeerAddress;
use roomd::history::History;
use roomd::history::log::InMemoryLog;
use roomd::hub::{Hub, PeerId, Readiness};
use roomd::limits::{Limits, ScrollbackLimit};
use roomd::moment::{Moment, Now};
use roomd::rate_limit::{ByteRate, Rate};
use roomd::websocket::MessageLimits;

pub(crate) use choices::Choices;
use client::{Client, Kind, MOST_BYTES, Wish};
use fake_socket::{FakeSocket, Pipe, SharedPipe};
use model::Model;
use recorder::{Record, Recorder};
use slow_log::{Damaged, SlowLog};
use transcript::Presence;

/// Something that has happened, and that the poller has not reported.
struct Withheld {
    id: PeerId,
    edge: Readiness,
    /// When it happened, nothing was due yet.
    is_in_time: bool,
}

/// What a client will send next.
enum Plan {
    Command,
    Message,
    /// More than one turn can deal with.
    Flood,
    Ping,
    /// A Close, or what no client may send.
    End,
}

/// Of a run, before its end.
const MOST_TURNS: usize = 600;

pub(crate) struct World {
    choices: Choices,
    limits: Limits,
    hub: Hub<FakeSocket>,
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
    /// Clients of earlier lives: no two have one number.
    earlier_clients: usize,
    /// While the poller has more than it gives in one turn: all up to then has been reported, and of what has come since
    /// some is withheld.
    reported_until: Option<Duration>,
    withheld: Vec<Withheld>,
    elapsed: Duration,
    /// The wall clock has nothing to do with the other.
    unix_ms: u64,
    steps: u64,
}

/// What a run came to.
#[derive(Default)]
pub(crate) struct Run {
    /// How often something happened to somebody, or time passed. Turns are not counted.
    pub(crate) steps: u64,
    /// Endings, errors, and what the history met.
    pub(crate) reached: BTreeSet<String>,
}

/// The clients of a world are at some addresses, and are counted there.
fn peer_number(nth: usize) -> PeerAddress {
    PeerAddress::Ip(SocketAddr::from(([192, 0, 2, nth as u8 % 4], 49152)))
}

impl World {
    fn new(mut choices: Choices) -> World {
        let limits = Limits {
            max_connections: 12,
            message: MessageLimits { max_message_bytes: MOST_BYTES as u64, ..Limits::default().message },
            // Small, so that slow readers are found out within a run, and that the past may be too much.
            max_queue_bytes: *choices.choose(&[2_000, 20_000]),
            read_budget_bytes: 64 + choices.below(4_000),
            write_budget_bytes: 64 + choices.below(8_000),
            rate: choices.one_in(2).then_some(Rate { burst: 5, per_second: 20 }),
            // So little that one message of the longest is more than a second's worth, and that lines form.
            byte_rate: choices.one_in(2).then_some(ByteRate { per_second: 4_000 }),
            room_byte_rate: choices.one_in(2).then_some(ByteRate { per_second: 6_000 }),
            // So little that newcomers wait for what they missed.
            past_byte_rate: Some(ByteRate { per_second: 50_000 }),
            change_rate: choices.one_in(2).then_some(Rate { burst: 3, per_second: 1 }),
            max_rooms: *choices.choose(&[1, 2, 3, 8]),
            kept: ScrollbackLimit {
                messages: *choices.choose(&[0, 2, 10, 60]),
                bytes: *choices.choose(&[2_000, 100_000]),
            },
            replay_messages: choices.below(30),
            presence_members: if choices.one_in(3) { 1 + choices.below(12) } else { 100 },
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
        let is_late = choices.one_in(2);
        let is_forgetful = is_late && choices.one_in(3);
        let inner: Box<dyn History> = if is_late {
            let cells = [Rc::clone(&is_stuck), Rc::clone(&is_hung)];
            let damaged = Rc::clone(&damaged);
            Box::new(SlowLog::new(choices.fork(), Rc::clone(&under_way), cells, is_forgetful, damaged))
        } else {
            Box::new(InMemoryLog::new())
        };
        let record = Rc::default();
        let recorder = Recorder { inner, record: Rc::clone(&record), max_rooms: limits.max_rooms };
        World {
            choices,
            limits,
            hub: Hub::new(limits, site, Box::new(recorder)),
            record,
            under_way,
            is_stuck,
            is_hung,
            is_late,
            is_forgetful,
            damaged,
            clients: Vec::new(),
            earlier_clients: 0,
            reported_until: None,
            withheld: Vec::new(),
            elapsed: Duration::ZERO,
            unix_ms: 1_763_817_427_123,
            steps: 0,
        }
    }

    fn now(&self) -> Now {
        Now { moment: Moment::START + self.elapsed, unix_ms: self.unix_ms }
    }

    fn connect(&mut self) {
        let kind = *self.choices.choose(&[Kind::Full, Kind::Full, Kind::Full, Kind::Quiet, Kind::Echo, Kind::Rubbish]);
        let wish = self.wish();
        self.connect_as(kind, wish);
    }

    fn connect_as(&mut self, kind: Kind, wish: Wish) {
        let pipe = SharedPipe::new(RefCell::new(Pipe { room: 4_000, max_write: 1_000, ..Pipe::default() }));
        let id = self.hub.accept(FakeSocket::of(&pipe), peer_number(self.clients.len()), self.now());
        assert_eq!(PeerId::from_token(id.to_token()), id);
        let number = self.earlier_clients + self.clients.len();
        let presence = if self.limits.presence_members == 100 { Presence::Told } else { Presence::Counted };
        self.clients.push(Client::new(id, (kind, wish, presence), number, pipe, &mut self.choices));
    }

    fn wish(&mut self) -> Wish {
        let choices = &mut self.choices;
        let room = if choices.one_in(2) { "lobby" } else { choices.choose::<&str>(vocabulary::ROOMS) };
        let mut wish = Wish { room, name: None, since: None };
        if choices.one_in(3) {
            wish.name = Some(vocabulary::any_name(choices));
        }
        if choices.one_in(2) {
            wish.since = Some(match choices.below(12) {
                0 => choices.choose(&["", "x", "-1", "1 2"]).to_string(),
                1 => choices.choose(&["1000000", "9007199254740992"]).to_string(),
                2..=3 => choices.below(5).to_string(),
                4 => choices.below(100).to_string(),
                // Somebody comes back who was here before.
                _ => match self.clients.get(choices.below(self.clients.len())).and_then(|client| client.heard.newest())
                {
                    Some((room, id)) => {
                        wish.room =
                            vocabulary::ROOMS.iter().find(|known| **known == room).expect("no others are asked for");
                        id.saturating_sub(if choices.one_in(3) { choices.below(40) as u64 } else { 0 }).to_string()
                    }
                    None => "0".to_owned(),
                },
            });
        }
        wish
    }

    /// Something happens to somebody, or time passes.
    fn step(&mut self) {
        self.steps += 1;
        let action = self.choices.below(100);
        if self.clients.is_empty() || (action < 6 && self.clients.len() < 60) {
            return self.connect();
        }
        let chosen = self.choices.below(self.clients.len());
        match action {
            ..16 => {
                self.elapsed += Duration::from_millis(self.choices.below(300) as u64);
                self.unix_ms = self.unix_ms.wrapping_add(self.choices.below(2_000) as u64).wrapping_sub(1_000);
            }
            16 | 17 => self.something_rare(chosen),
            18..=26 if self.clients[chosen].is_guest() => self.plan(chosen, Plan::Command),
            18..=46 => self.plan(chosen, Plan::Message),
            47..=50 => self.plan(chosen, Plan::Ping),
            51 => self.plan(chosen, Plan::End),
            52 => self.vanish(chosen),
            53..=54 => self.clients[chosen].is_stalled ^= true,
            55..=80 => {
                let most = *self.choices.choose(&[1, 20, 2_000]);
                let edge = self.clients[chosen].send(1 + self.choices.below(most));
                self.report(chosen, edge);
            }
            _ if self.clients[chosen].is_stalled => {}
            _ => {
                let window = self.choices.below(6_000);
                let edge = self.clients[chosen].receive(window, &mut self.choices);
                self.report(chosen, edge);
            }
        }
    }

    fn something_rare(&mut self, chosen: usize) {
        match self.choices.below(10) {
            0..=2 => {
                // Those whose time is up by now are late, whatever they send from now on.
                self.turn();
                self.reported_until.get_or_insert(self.elapsed);
                self.elapsed += Duration::from_millis(1);
            }
            // The machine slept.
            3 => {
                self.elapsed += Duration::from_secs(self.choices.below(100) as u64);
                if self.choices.one_in(2) {
                    // And so did everybody who was asked for a sign of life.
                    self.turn();
                    self.elapsed += self.limits.ping_timeout;
                }
            }
            // Just when something is due, and no later.
            4 => {
                let deadline = self.hub.deadline();
                if deadline != Moment::NEVER {
                    self.elapsed = self.elapsed.max(deadline.since(Moment::START));
                }
            }
            5 => self.clients[chosen].pipe.borrow_mut().interrupts = 2,
            // A report that tells nothing, or comes after the end.
            6 if self.reported_until.is_none() => {
                let edge = Readiness { readable: true, writable: true, hung_up: false };
                self.report(chosen, Some(edge));
            }
            7 => self.plan(chosen, Plan::Flood),
            _ => {}
        }
    }

    /// A client will send something, unless it has already sent its last.
    fn plan(&mut self, chosen: usize, plan: Plan) {
        let tourists = self.clients.len();
        let (client, choices) = (&mut self.clients[chosen], &mut self.choices);
        if client.is_done || client.kind == Kind::Rubbish {
            return;
        }
        match plan {
            Plan::Command => client.plan_command(tourists, choices),
            Plan::Message => client.plan_message(choices),
            Plan::Flood => (0..60).for_each(|_| client.plan_message(choices)),
            Plan::Ping => client.plan_ping(choices),
            Plan::End if choices.one_in(2) => client.plan_close(choices),
            Plan::End if choices.one_in(3) => client.plan_too_much(choices),
            Plan::End => client.plan_violation(choices),
        }
    }

    /// A client goes away, this way or that.
    fn vanish(&mut self, chosen: usize) {
        let client = &mut self.clients[chosen];
        let is_reset = match self.choices.below(3) {
            0 => true,
            1 => false,
            _ => return,
        };
        client.vanish(self.elapsed);
        if is_reset {
            client.pipe.borrow_mut().is_reset = true;
            self.hub.failed(client.id);
        } else {
            client.pipe.borrow_mut().is_finished = true;
        }
        self.report(chosen, Some(Readiness { readable: true, writable: is_reset, hung_up: true }));
    }

    /// The poller has this to say of a client, and may withhold it for a while.
    fn report(&mut self, chosen: usize, edge: Option<Readiness>) {
        let Some(edge) = edge else { return };
        let id = self.clients[chosen].id;
        match self.reported_until {
            Some(_) => {
                let is_in_time = self.hub.deadline() > self.now().moment;
                self.withheld.push(Withheld { id, edge, is_in_time });
            }
            None => self.hub.ready(id, edge),
        }
    }

    /// The poller gives all that it has.
    fn report_the_rest(&mut self) {
        for Withheld { id, edge, .. } in self.withheld.drain(..) {
            self.hub.ready(id, edge);
        }
        self.reported_until = None;
    }

    fn turn(&mut self) {
        if self.choices.one_in(4) {
            self.report_the_rest();
        }
        let reported_until = Moment::START + self.reported_until.unwrap_or(self.elapsed);
        let before = self.late_ones();
        self.hub.turn_amid(self.now(), reported_until);
        assert_eq!(before, self.late_ones(), "somebody is late with what has come and has not been reported");
        #[cfg(debug_assertions)]
        assert_eq!(
            self.clients.iter().map(|client| client.pipe.borrow().written_bytes).sum::<u64>(),
            self.hub.written_bytes(),
            "something has reached a socket past the outbox"
        );
        let most = self.limits.max_queue_bytes + 200_000;
        assert!(self.hub.queued_bytes() <= self.hub.connections() * most, "queues grow without bound");
        // What has not been reported is not known, and no time passes.
        for client in self.clients.iter_mut().filter(|_| self.reported_until.is_none()) {
            client.check_end(self.elapsed);
        }
    }

    /// How often those of whom something is withheld were told that they are late.
    fn late_ones(&self) -> usize {
        let withheld = self.withheld.iter().filter(|Withheld { edge, .. }| edge.readable && !edge.hung_up);
        let in_time = withheld.filter(|withheld| withheld.is_in_time);
        let clients = in_time.filter_map(|withheld| self.clients.iter().find(|client| client.id == withheld.id));
        clients.map(Client::times_told_that_it_is_late).sum()
    }

    /// Everybody reads and sends what is left, until nothing happens any more.
    fn come_to_rest(&mut self) {
        let mut idle_turns = 0;
        for _ in 0..20_000 {
            let mut is_quiet = self.exchange();
            let before = self.progress();
            self.turn();
            let is_idle = self.hub.has_work() && self.under_way.get() == 0 && self.progress() == before;
            idle_turns = if is_idle { idle_turns + 1 } else { 0 };
            assert!(idle_turns < 16, "the loop turns and turns, and nothing changes");
            is_quiet &= self.clients.iter().all(|client| client.pipe.borrow().from_hub.is_empty());
            if is_quiet && !self.hub.has_work() && self.under_way.get() == 0 {
                // A client that is throttled is woken by the clock. A second is less than any timeout.
                if self.clients.iter().all(|client| client.pipe.borrow().to_hub.is_empty() || client.is_gone())
                    && self.hub.deadline().since(self.now().moment) > Duration::from_millis(250)
                {
                    return;
                }
                self.elapsed += Duration::from_millis(50);
            }
        }
        panic!("the hub does not come to rest");
    }

    /// What changes when a turn has been of use.
    fn progress(&self) -> [usize; 4] {
        let pipes = || self.clients.iter().map(|client| client.pipe.borrow());
        [
            pipes().map(|pipe| pipe.moved).sum(),
            pipes().map(|pipe| usize::from(pipe.interrupts)).sum(),
            self.hub.queued_bytes(),
            self.hub.connections(),
        ]
    }

    /// Everybody sends what it has and reads what there is. Says whether there was nothing.
    fn exchange(&mut self) -> bool {
        self.report_the_rest();
        let mut is_quiet = true;
        for client in &mut self.clients {
            client.is_stalled = false;
            let sent = client.send(usize::MAX);
            let received = client.receive(1_000_000, &mut self.choices);
            for edge in [sent, received].into_iter().flatten() {
                is_quiet = false;
                self.hub.ready(client.id, edge);
            }
        }
        is_quiet
    }

    /// All who can still ask who is there do so: the answer has to be what they know.
    fn ask_who_is_there(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.is_guest() && client.is_open()) {
            client.plan_line("/who", &mut self.choices);
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

    /// Endings, errors, and what the history met.
    fn reached(&self) -> BTreeSet<String> {
        let mut reached: BTreeSet<String> = self.hub.endings().keys().map(|name| name.to_string()).collect();
        reached.extend(self.record.borrow().met.iter().map(|met| met.to_string()));
        for client in &self.clients {
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
}

/// One run.
pub(crate) fn run(choices: Choices) -> Run {
    let mut world = World::new(choices);
    for _ in 0..MOST_TURNS {
        if world.choices.have_ended() {
            break;
        }
        for _ in 0..world.choices.below(8) {
            world.step();
        }
        world.turn();
    }
    // Some runs end in the middle of everything.
    if world.choices.one_in(3) {
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
    Run { steps: world.steps, reached: world.reached() }
}
