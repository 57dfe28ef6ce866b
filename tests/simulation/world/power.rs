//! Several lives of one log, with a cut of the power between them: the disk loses the end of what was written, another epoch
//! begins, and ids jump. Clients come back with what they have seen in any of the lives.
//!
//! What must be true: no id is ever given to two messages; and a stream that goes on without a `reset` goes on from what the
//! client has, and misses nothing of what the log has.

use std::collections::{BTreeMap, BTreeSet};

use roomd::chat::position::Epoch;

use super::client::{Kind, Wish};
use super::slow_log::{Disk, SlowLog};
use super::transcript::Heed;
use super::*;

/// More than can have been lost.
const IDS_LEFT_OUT: u64 = 1_000;

const ROOMS: &[&str] = &["lobby", "one"];

const LIVES: u64 = 4;

/// What somebody has seen of a room in one life of the log, in its order.
struct Memory {
    room: &'static str,
    epoch: u64,
    seen: Vec<Heed>,
}

/// Somebody who has come back.
struct Return {
    client: usize,
    room: &'static str,
    /// The epoch that it named.
    epoch: Option<u64>,
    /// What it had.
    seen: Vec<Heed>,
}

struct Lives {
    world: World,
    disk: Disk,
    epoch: u64,
    /// Of each message that anybody has ever seen: its room, its id, and what it was.
    texts: BTreeMap<(String, u64), String>,
    memories: Vec<Memory>,
    returns: Vec<Return>,
    reached: BTreeSet<&'static str>,
}

/// One run.
pub(crate) fn run_through_power_cuts(choices: Choices) -> Run {
    let mut world = World::new(choices);
    // Slices that no queue has room for.
    world.limits = Limits { max_queue_bytes: 2_000, max_rooms: 2, rate: None, room_byte_rate: None, ..world.limits };
    let disk = Disk::default();
    let (texts, memories, returns, reached) = Default::default();
    let mut lives = Lives { world, disk, epoch: 0, texts, memories, returns, reached };
    for epoch in 1..=LIVES {
        lives.begin(epoch);
        for _ in 0..3 {
            for _ in 0..40 {
                for _ in 0..lives.world.choices.below(6) {
                    lives.step();
                }
                lives.world.turn();
            }
            lives.world.come_to_rest();
            lives.check();
        }
        lives.cut_the_power();
    }
    Run { steps: lives.world.steps, reached: lives.reached.into_iter().map(str::to_owned).collect() }
}

impl Lives {
    /// A daemon starts.
    fn begin(&mut self, epoch: u64) {
        let world = &mut self.world;
        let cells = [Rc::default(), Rc::default()];
        world.under_way = Rc::default();
        let log = SlowLog::new(world.choices.fork(), Rc::clone(&world.under_way), cells, true, Damaged::default());
        let site = Site {
            pages: Pages::Embedded,
            origins: OriginPolicy::default(),
            echo: EchoService::On,
            health: Health::Good,
        };
        world.hub = Hub::new(world.limits, site, Box::new(log.on(&self.disk, Epoch(epoch)).undamaged()));
        world.earlier_clients += std::mem::take(&mut world.clients).len();
        world.withheld.clear();
        world.reported_until = None;
        self.epoch = epoch;
        self.returns.clear();
    }

    fn step(&mut self) {
        self.world.steps += 1;
        let here = self.world.clients.iter().filter(|client| !client.is_gone()).count();
        let choices = &mut self.world.choices;
        let action = choices.below(20);
        if action == 0 && here > 6 {
            let chosen = choices.below(self.world.clients.len());
            return self.world.vanish(chosen);
        }
        if action < 4 && here < 10 {
            let room = *choices.choose(ROOMS);
            let kind = *choices.choose(&[Kind::Quiet, Kind::Full]);
            let wish = self.come_back(room).unwrap_or(Wish { room, name: None, since: None });
            return self.world.connect_as(kind, wish);
        }
        if self.world.clients.is_empty() {
            return;
        }
        let chosen = self.world.choices.below(self.world.clients.len());
        match action {
            ..=9 => self.world.plan(chosen, Plan::Message),
            10 => self.world.clients[chosen].is_stalled ^= true,
            11..=14 => {
                let edge = self.world.clients[chosen].send(2_000);
                self.world.report(chosen, edge);
            }
            15..=17 if !self.world.clients[chosen].is_stalled => {
                let window = self.world.choices.below(3_000);
                let edge = self.world.clients[chosen].receive(window, &mut self.world.choices);
                self.world.report(chosen, edge);
            }
            _ => self.world.elapsed += Duration::from_millis(self.world.choices.below(100) as u64),
        }
    }

    /// What somebody asks for who has seen something, or nothing yet.
    fn come_back(&mut self, room: &'static str) -> Option<Wish> {
        let choices = &mut self.world.choices;
        let client = self.world.clients.len();
        if choices.one_in(4) {
            self.returns.push(Return { client, room, epoch: None, seen: Vec::new() });
            return Some(Wish { room, name: None, since: Some("0".to_owned()) });
        }
        let memories: Vec<&Memory> = self.memories.iter().filter(|memory| memory.room == room).collect();
        if memories.is_empty() {
            return None;
        }
        let Memory { epoch, seen, .. } = choices.choose(&memories);
        let seen = seen[..1 + choices.below(seen.len())].to_vec();
        let id = seen.last()?.id;
        let named = choices.one_in(2).then_some(*epoch);
        let since = named.map_or(id.to_string(), |epoch| format!("{}-{id}", Epoch(epoch)));
        self.returns.push(Return { client, room, epoch: named, seen });
        Some(Wish { room, name: None, since: Some(since) })
    }

    fn check(&mut self) {
        for client in &self.world.clients {
            for heed in client.heard.sessions.iter().flat_map(|session| &session.messages) {
                let text = self.texts.entry((heed.room.clone(), heed.id)).or_insert_with(|| heed.text.clone());
                assert_eq!(*text, heed.text, "message {} of {} is another one", heed.id, heed.room);
            }
        }
        for back in std::mem::take(&mut self.returns) {
            self.check_return(&back);
        }
        for client in self.world.clients.iter().filter(|client| client.is_open()) {
            let Some(session) = client.heard.sessions.first() else { continue };
            let seen = session.messages[session.heard_before_reset..].to_vec();
            if !seen.is_empty() {
                let room = client.wish.room;
                self.memories.push(Memory { room, epoch: self.epoch, seen });
            }
        }
    }

    fn check_return(&mut self, Return { client, room, epoch, seen }: &Return) {
        let client = &self.world.clients[*client];
        let Some(session) = client.heard.sessions.first().filter(|_| client.is_open()) else { return };
        let disk = self.disk.borrow();
        let Some(kept) = disk.get(*room) else { return };
        let since = seen.last().map_or(0, |heed| heed.id);
        let who = format!("client {} in {room}, life {}: since {epoch:?} {since}", client.number, self.epoch);
        let (before, behind) = session.messages.split_at(session.heard_before_reset);
        let ids = |heeds: &[Heed]| heeds.iter().map(|heed| heed.id).collect::<Vec<_>>();
        let missed: Vec<u64> = kept.messages.iter().map(|message| message.id).filter(|id| *id > since).collect();
        if !session.is_reset {
            // What was deleted meanwhile it may have had just before.
            let heard = ids(behind);
            let from = heard.len().saturating_sub(missed.len());
            assert_eq!(heard[from..], missed, "{who}: not all of it");
            assert!(heard.is_sorted() && heard.first().is_none_or(|first| *first > since), "{who}: {heard:?}");
            for Heed { id, text, .. } in seen {
                let known = kept.messages.iter().find(|message| message.id == *id);
                assert!(*id <= kept.cut || known.is_some_and(|known| *known.text == **text), "{who}: {id} is lost");
            }
            self.reached.insert(if epoch.is_some() { "goes on in its epoch" } else { "goes on" });
            return;
        }
        match &*session.reset_reason {
            "epoch" if epoch.is_some() => {
                assert_ne!(*epoch, Some(self.epoch), "{who}");
                self.reached.insert("another epoch");
            }
            "epoch" => {
                assert!(since < kept.base, "{who}: ids have not jumped");
                self.reached.insert("below the jump");
            }
            "unknown" => assert!(since > kept.base, "{who}: it was there"),
            "gone" => assert!(kept.cut > since, "{who}: all of it is kept"),
            _ => self.reached.extend(["unreadable"]),
        }
        if !before.is_empty() {
            self.reached.insert("a reset amid a long past");
        }
    }

    /// The daemon is gone, and of each room the end of what was written.
    fn cut_the_power(&mut self) {
        for kept in self.disk.borrow_mut().values_mut() {
            let lost = self.world.choices.below(kept.messages.len() + 1);
            kept.messages.truncate(kept.messages.len() - lost);
            let highest = kept.ids().last;
            kept.last_id = kept.messages.back().map_or(kept.cut, |last| last.id);
            kept.base = highest + IDS_LEFT_OUT;
        }
    }
}
