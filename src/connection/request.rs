//! The first phase of a connection: one HTTP request, which becomes a WebSocket or is answered.

use super::life::Trigger;
use super::{Connection, Incoming, Purpose};
use crate::close_reason::CloseReason;
use crate::door::{Endpoint, Refusal, Route, Site};
use crate::gate::{Caller, PeerAddress};
use crate::http::{BodyWanted, Head, HeadError, HeadScanner, RequestLine};
use crate::limits::Limits;
use crate::moment::Moment;
use crate::websocket::Input;

/// A request while it comes, and what the log says of it afterwards.
#[derive(Debug)]
pub struct Request {
    caller: Caller,
    scanner: HeadScanner,
    /// The head so far, when it did not come in one read.
    bytes: Vec<u8>,
    /// What is logged of it, once it has been parsed.
    line: Option<RequestLine>,
}

impl Request {
    /// Nothing has come yet.
    pub(super) fn of(peer: PeerAddress) -> Request {
        Request { caller: Caller::of(peer), scanner: HeadScanner::default(), bytes: Vec::new(), line: None }
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What is logged of it: none if it could not be read.
    #[must_use]
    pub fn line(&self) -> Option<&RequestLine> {
        self.line.as_ref()
    }

    /// Takes what has come of the head. Gives the head once it is there whole, and takes nothing behind it.
    fn take_head<'a>(&'a mut self, input: &'a mut Input<'_>, limits: &Limits) -> Result<Option<&'a [u8]>, HeadError> {
        match self.scanner.scan(input.rest(), limits.max_head_bytes)? {
            None => {
                self.bytes.extend_from_slice(input.take(usize::MAX));
                Ok(None)
            }
            // It came in one read: nothing is copied.
            Some(len) if self.bytes.is_empty() => Ok(Some(input.take(len))),
            Some(len) => {
                self.bytes.extend_from_slice(input.take(len));
                Ok(Some(&self.bytes))
            }
        }
    }

    /// Bytes that are held of it.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// What becomes of a head that is there whole.
struct Answer {
    route: Result<Route, Refusal>,
    body_wanted: BodyWanted,
    /// An upgrade has its own line in the log, and does without this one.
    line: Option<RequestLine>,
}

impl Answer {
    fn to(head: &[u8], site: &Site) -> Answer {
        match Head::parse(head) {
            Ok(head) => {
                let route = Route::of(&head, site);
                let line = if matches!(route, Ok(Route::Upgrade(..))) { None } else { Some(head.line()) };
                Answer { route, body_wanted: head.body_wanted(), line }
            }
            Err(error) => Answer { route: Err(error.into()), body_wanted: BodyWanted::Yes, line: None },
        }
    }
}

impl Connection {
    /// A connection of `peer` for which there is no room: answered before it has asked, which costs no parsing.
    #[must_use]
    pub fn turned_away(peer: PeerAddress, refusal: Refusal, now: Moment) -> Connection {
        let mut connection = Connection::accepted(peer, now);
        connection.refuse(refusal, BodyWanted::Yes, now);
        connection
    }

    pub(super) fn next_of_request(
        &mut self,
        input: &mut Input<'_>,
        site: &Site,
        limits: &Limits,
        now: Moment,
    ) -> Incoming<'static> {
        let Some(request) = self.request.as_deref_mut() else { return Incoming::Finished };
        match request.take_head(input, limits) {
            Ok(Some(head)) => {
                let Answer { route, body_wanted, line } = Answer::to(head, site);
                request.bytes = Vec::new();
                request.line = line;
                self.answer(route, body_wanted, now)
            }
            Ok(None) => Incoming::NeedMore,
            Err(error) => {
                self.refuse(error.into(), BodyWanted::Yes, now);
                Incoming::Finished
            }
        }
    }

    fn answer(&mut self, route: Result<Route, Refusal>, body_wanted: BodyWanted, now: Moment) -> Incoming<'static> {
        match route {
            // 4.1: what follows the head in the same segment are frames already; they stay in the input.
            Ok(Route::Upgrade(upgrade, endpoint)) => {
                let Some(request) = self.request.take() else { return Incoming::Finished };
                self.queue.push_unit(upgrade.response());
                self.purpose = match endpoint {
                    Endpoint::Room(_) => Purpose::Chat,
                    Endpoint::Echo => Purpose::Echo,
                };
                self.step(Trigger::Upgraded, now);
                return Incoming::Upgraded(endpoint, request.caller);
            }
            Ok(Route::Answer(response)) => {
                self.life.set_reason(CloseReason::Answered(response.status));
                self.queue.push_unit(response.into_bytes(body_wanted));
                self.step(Trigger::Answered, now);
            }
            Err(refusal) => self.refuse(refusal, body_wanted, now),
        }
        Incoming::Finished
    }

    /// Queues the answer to a request that gets neither page nor WebSocket.
    pub(super) fn refuse(&mut self, refusal: Refusal, body_wanted: BodyWanted, now: Moment) {
        if let Some(request) = &mut self.request {
            request.bytes = Vec::new();
        }
        self.life.set_reason(CloseReason::Refused(refusal));
        self.queue.push_unit(refusal.response().into_bytes(body_wanted));
        self.step(Trigger::Answered, now);
    }
}
