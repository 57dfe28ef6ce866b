//! The second phase of a connection: WebSocket frames, up to the Close.

use super::life::{Phase, State, Trigger};
use super::outgoing::queue_frame;
use super::{Connection, Incoming, Purpose};
use crate::close_reason::CloseReason;
use crate::limits::Limits;
use crate::moment::Moment;
use crate::websocket::close::close_payload;
use crate::websocket::frame::Opcode;
use crate::websocket::{Close, CloseCode, Input, Received};

impl Connection {
    pub(super) fn next_of_frames<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
        limits: &Limits,
        now: Moment,
    ) -> Incoming<'a> {
        if input.rest().is_empty() {
            self.decoder.forget_delivered();
            return Incoming::NeedMore;
        }
        if !self.decoder.is_amid_message() {
            self.message_since = now;
        }
        let received = match self.decoder.decode(input, &limits.message) {
            Ok(received) => received,
            Err(violation) => {
                self.life.set_reason(CloseReason::Violated(violation));
                self.life.step(Trigger::Violated, self.queue.len(), now);
                return Incoming::Departing;
            }
        };
        match (received, self.purpose) {
            (Received::Text(text), Purpose::Chat) => Incoming::Text(text),
            (Received::Binary(bytes), Purpose::Chat) => Incoming::Binary(bytes),
            (Received::Text(text), Purpose::Echo) => {
                queue_frame(&mut self.queue, Opcode::Text, text.as_bytes());
                Incoming::Handled
            }
            (Received::Binary(bytes), Purpose::Echo) => {
                queue_frame(&mut self.queue, Opcode::Binary, bytes);
                Incoming::Handled
            }
            // 5.5.2: a Pong with the same payload, as soon as is practical. Every Ping gets one, though the RFC would
            // let us answer only the latest: the rate limits a peer that asks too often.
            (Received::Ping(payload), _) => {
                queue_frame(&mut self.queue, Opcode::Pong, payload);
                Incoming::Handled
            }
            (Received::Close(Close { code, .. }), _) => {
                self.life.set_reason(CloseReason::PeerClosed(code));
                self.life.step(Trigger::CloseReceived, self.queue.len(), now);
                Incoming::Departing
            }
            (Received::Pong | Received::Fragment, _) => Incoming::Handled,
            (Received::NeedMore, _) => Incoming::NeedMore,
        }
    }

    /// 5.5.1: after our Close, only the peer's Close is of interest. What it sent before it saw ours is passed over.
    pub(super) fn look_for_close(&mut self, input: &mut Input<'_>, limits: &Limits, now: Moment) -> Incoming<'static> {
        loop {
            let trigger = match self.decoder.decode(input, &limits.message) {
                Ok(Received::NeedMore) => return Incoming::NeedMore,
                Ok(Received::Close(_)) => Trigger::CloseReceived,
                Ok(_) => continue,
                Err(_) => Trigger::Violated,
            };
            self.step(trigger, now);
            input.take(usize::MAX);
            return Incoming::Finished;
        }
    }

    /// Everything that was said before the peer's last frame is queued for it: now comes ours, as an answer
    /// (section 5.5.1: with the code that was received) or as the verdict on a violation (section 7.1.7).
    pub fn depart(&mut self, now: Moment) {
        if !matches!(self.state(), State::Closing(Phase::Departing | Phase::DepartingLast)) {
            return;
        }
        match self.life.reason() {
            Some(CloseReason::PeerClosed(code)) => self.queue_close(code, ""),
            Some(reason @ CloseReason::Violated(_)) => self.queue_close(reason.close_code(), &reason.to_string()),
            // Its stream has ended without a Close, so none is answered.
            _ => {}
        }
        self.step(Trigger::Departed, now);
    }

    /// Says Close first, for a reason of ours. Only a connection in use can be closed so; others change nothing.
    pub fn close(&mut self, reason: CloseReason, now: Moment) {
        if !self.is_in_use() {
            // The peer has said Close and is still sent what was said before. A part of that is missing now, so it must not
            // be answered as if it had heard all.
            if reason == CloseReason::TooSlow && self.is_heard_out() {
                self.cut(reason, now);
            }
            return;
        }
        // Too much waits already: what has not begun to leave is given up, so that the Close has a chance to arrive.
        if reason == CloseReason::TooSlow {
            self.give_up_waiting();
        }
        self.queue_close(reason.close_code(), &reason.to_string());
        self.life.set_reason(reason);
        self.step(Trigger::CloseSent, now);
    }

    pub(super) fn queue_close(&mut self, code: Option<CloseCode>, reason: &str) {
        let payload = code.map_or(Vec::new(), |code| close_payload(code, reason));
        queue_frame(&mut self.queue, Opcode::Close, &payload);
    }

    /// No payload: any Pong will do, and any other frame as well.
    pub(super) fn queue_ping(&mut self, now: Moment) {
        queue_frame(&mut self.queue, Opcode::Ping, &[]);
        self.life.asked(now);
    }
}
