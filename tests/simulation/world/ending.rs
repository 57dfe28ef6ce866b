//! The end of a run, in the middle of everything or after it: everybody goes, and nothing may be left.

use std::time::Duration;

use roomd::hub::Readiness;
use roomd::moment::Moment;

use super::client::{Kind, Wish};
use super::{World, vocabulary};

impl World {
    /// Many come, and others change rooms; they will not have arrived when the end comes.
    pub(super) fn rush(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.is_guest() && !client.is_gone()) {
            // These make place for others.
            if self.choices.one_in(4) {
                client.vanish(self.elapsed);
                client.pipe.borrow_mut().is_reset = true;
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
        for _ in 0..self.choices.below(4) {
            self.exchange();
            self.turn();
        }
        for client in self.clients.iter_mut().filter(|client| client.is_guest() && client.is_open()) {
            client.plan_line(&format!("/join {}", self.choices.choose(vocabulary::ROOMS)), &mut self.choices);
        }
        self.is_stuck.set(self.choices.one_in(2));
        for _ in 0..1 + self.choices.below(3) {
            self.exchange();
            self.turn();
        }
    }

    /// Everybody goes, in the end: because nobody answers any more, or because the daemon says so.
    pub(super) fn come_to_an_end(&mut self) {
        self.report_the_rest();
        match self.choices.below(4) {
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
            let is_empty = self.hub.connections() == 0 && self.under_way.get() == 0;
            if is_empty && !self.hub.has_work() && self.hub.deadline() == Moment::NEVER {
                break;
            }
            self.elapsed += Duration::from_secs(5);
            self.turn();
        }
        self.exchange();
        assert_eq!(self.hub.connections(), 0, "somebody stays for ever");
        assert_eq!(self.hub.queued_bytes(), 0);
        assert!(!self.hub.has_work(), "an empty hub has nothing to do");
        assert_eq!(self.hub.deadline(), Moment::NEVER, "nor anything to wait for");
        assert!(self.clients.iter().all(|client| client.pipe.borrow().is_closed));
        let endings: u64 = self.hub.endings().values().sum();
        assert_eq!(endings, self.clients.len() as u64, "every connection has ended once, under a name");
        let broken = self.hub.endings().get("broken").copied().unwrap_or_default();
        let resets = self.clients.iter().filter(|client| client.pipe.borrow().is_reset).count();
        assert!(broken <= resets as u64, "{broken} connections count as broken, and {resets} were reset");
        // Rooms of which only the memory knows what was said are kept, and no others.
        let (open, with_messages) = self.record.borrow().open_rooms();
        let has_memory = !self.is_late && self.limits.kept.messages > 0;
        assert_eq!(open, if has_memory { with_messages } else { 0 }, "rooms that nobody needs");
    }

    pub(super) fn vanish_all(&mut self) {
        let mut vanishing: Vec<usize> = (0..self.clients.len()).filter(|nth| !self.clients[*nth].is_gone()).collect();
        while !vanishing.is_empty() {
            let client = &mut self.clients[vanishing.swap_remove(self.choices.below(vanishing.len()))];
            client.vanish(self.elapsed);
            let is_reset = self.choices.one_in(2);
            client.pipe.borrow_mut().is_reset |= is_reset;
            client.pipe.borrow_mut().is_finished = true;
            self.hub.ready(client.id, Readiness { readable: true, writable: is_reset, hung_up: true });
            if is_reset {
                self.hub.failed(client.id);
            }
            if self.choices.one_in(2) {
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
    pub(super) fn check_that_all_names_are_free(&mut self) {
        let room = *self.choices.choose(vocabulary::ROOMS);
        let first = self.clients.len();
        for name in vocabulary::people() {
            self.connect_as(Kind::Full, Wish { room, name: Some(name), since: None });
        }
        self.come_to_rest();
        for client in &self.clients[first..] {
            assert_eq!(client.heard.name.as_deref(), client.wish.name, "nobody else is here");
        }
    }
}
