//! The first phase of a connection: HTTP requests, of which each is answered, until one becomes a WebSocket.
//!
//! Requests are answered one after the other, in their order (RFC 9112 section 9.3.2): the next one is looked at when the
//! socket has taken the answer to the one before. So a client that sends many at once has one answered in each turn, and
//! one answer waits for it at most.

use super::life::Trigger;
use super::{Connection, Incoming, Purpose};
use crate::close_reason::CloseReason;
use crate::door::handshake::is_attempt;
use crate::door::{Endpoint, Refusal, Route, Site};
use crate::gate::forwarded::HEADER as X_FORWARDED_FOR;
use crate::gate::proxy_header::is_proxy_header;
use crate::gate::{AddressTable, Caller, Forwarded, PeerAddress, ProxyHeaderError, ProxyHeaderReader, Ticket};
use crate::http::{BodyWanted, Head, HeadError, HeadScanner, Persistence, RequestLine, Response};
use crate::limits::Limits;
use crate::moment::Moment;
use crate::websocket::Input;

/// A request while it comes, and what the log says of it afterwards.
#[derive(Debug)]
pub struct Request {
    caller: Caller,
    /// Until a trusted proxy has said for whom it connects, if it is to do so.
    proxy_header: Option<Box<ProxyHeaderReader>>,
    head: HeadReader,
    /// What is logged of it, once it has been parsed.
    line: Option<RequestLine>,
    /// Requests on this connection that were answered before.
    answered: u32,
    /// It has had its line in the log.
    is_logged: bool,
    /// A header of this request named the client, so the address is counted for as long as the request takes.
    is_forwarded: bool,
}

impl Request {
    /// Nothing has come yet.
    pub(super) fn of(peer: PeerAddress) -> Request {
        Request {
            caller: Caller::of(peer),
            proxy_header: None,
            head: HeadReader::default(),
            line: None,
            answered: 0,
            is_logged: false,
            is_forwarded: false,
        }
    }

    /// The next request begins, on the same connection.
    fn begin_next(&mut self) {
        let answered = self.answered + 1;
        let caller = if self.is_forwarded { Caller::of(*self.caller.peer()) } else { self.caller };
        *self = Request { caller, answered, ..Request::of(*caller.peer()) };
    }

    /// It was answered, and has had its line in the log.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What is logged of it: none if it could not be read, or has become a WebSocket.
    #[must_use]
    pub fn line(&self) -> Option<&RequestLine> {
        self.line.as_ref()
    }

    /// Bytes that are held of it.
    pub(super) fn held_bytes(&self) -> usize {
        self.head.bytes.len() + self.proxy_header.as_ref().map_or(0, |reader| reader.held_bytes())
    }

    /// It is answered: nothing more of it is looked at.
    fn drop_bytes(&mut self) {
        self.head.bytes = Vec::new();
        self.proxy_header = None;
    }
}

/// A head while it comes.
#[derive(Debug, Default)]
struct HeadReader {
    scanner: HeadScanner,
    /// The head so far, when it did not come in one read.
    bytes: Vec<u8>,
}

impl HeadReader {
    /// Takes what has come of the head. Gives the head once it is there whole, and takes nothing behind it.
    fn take<'a>(&'a mut self, input: &'a mut Input<'_>, limits: &Limits) -> Result<Option<&'a [u8]>, HeadError> {
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
}

/// What becomes of a request that is there whole.
struct Answer {
    route: Result<Route, Refusal>,
    body_wanted: BodyWanted,
    persistence: Persistence,
}

impl Connection {
    /// A connection of `peer` for which there is no room: answered before it has asked, which costs no parsing.
    #[must_use]
    pub fn turned_away(peer: PeerAddress, refusal: Refusal, now: Moment) -> Connection {
        let mut connection = Connection::accepted(peer, now);
        connection.refuse(refusal, BodyWanted::Yes, now);
        connection
    }

    /// A connection of a trusted proxy that is to begin with a header of the PROXY protocol.
    #[must_use]
    pub fn accepted_from_proxy(peer: PeerAddress, now: Moment) -> Connection {
        let mut connection = Connection::accepted(peer, now);
        if let Some(request) = &mut connection.request {
            request.proxy_header = Some(Box::default());
        }
        connection
    }

    /// It is counted under an address, or under none.
    pub fn count_under(&mut self, ticket: Option<Ticket>) {
        self.ticket = ticket;
    }

    /// It is counted under an address.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.ticket.is_some()
    }

    /// It is gone, and no longer to be counted.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.ticket.take()
    }

    /// Once its answer has been written, it ends: the peer's own end is not waited for.
    pub fn dismiss(&mut self, now: Moment) {
        self.step(Trigger::PeerFinished, now);
    }

    pub(super) fn next_of_request(
        &mut self,
        input: &mut Input<'_>,
        site: &Site,
        addresses: &mut AddressTable,
        limits: &Limits,
        now: Moment,
    ) -> Incoming<'static> {
        match self.take_request(input, site, addresses, limits, now) {
            Ok(Some(answer)) => {
                let incoming = self.answer(answer, now);
                if matches!(incoming, Incoming::Answered) {
                    self.release_forwarded(addresses, now);
                }
                incoming
            }
            Ok(None) => Incoming::NeedMore,
            Err(refusal) => {
                self.refuse_request(refusal, BodyWanted::Yes, now);
                Incoming::Finished
            }
        }
    }

    /// The next request begins to come.
    pub(super) fn begin_next_request(&mut self, now: Moment) {
        if let Some(request) = &mut self.request {
            request.begin_next();
        }
        self.life.clear_reason();
        self.step(Trigger::NextBegun, now);
    }

    /// The request that was answered has had its line in the log.
    pub fn was_logged(&mut self) {
        if let Some(request) = &mut self.request {
            request.is_logged = true;
        }
    }

    /// A proxy's connection is counted under a client's address only while it carries a request of that client.
    fn release_forwarded(&mut self, addresses: &mut AddressTable, now: Moment) {
        if self.request.as_ref().is_some_and(|request| request.is_forwarded)
            && let Some(ticket) = self.ticket.take()
        {
            addresses.left(ticket, now);
        }
    }

    /// Takes what has come of the request, and decides what becomes of it once it is there whole. The address that it comes
    /// from may be known only then: it is counted before anything else is looked at.
    fn take_request(
        &mut self,
        input: &mut Input<'_>,
        site: &Site,
        addresses: &mut AddressTable,
        limits: &Limits,
        now: Moment,
    ) -> Result<Option<Answer>, Refusal> {
        let Some(Request { caller, proxy_header, head, line, answered, is_forwarded, .. }) =
            self.request.as_deref_mut()
        else {
            return Ok(None);
        };
        if let Some(reader) = proxy_header {
            let (taken, client) = reader.take(input.rest())?;
            input.take(taken);
            let Some(client) = client else { return Ok(None) };
            *proxy_header = None;
            caller.speaks_for(client);
            self.ticket = addresses.came(caller, now)?;
        }
        let is_header = is_proxy_header(input.rest());
        let not_http = |error| if is_header { ProxyHeaderError::NotExpected.into() } else { Refusal::Head(error) };
        let Some(bytes) = head.take(input, limits).map_err(not_http)? else { return Ok(None) };
        let head = Head::parse(bytes).map_err(not_http)?;
        let counted = match addresses.policy().forwarded(caller, head.all(X_FORWARDED_FOR)) {
            Forwarded::Nothing => Ok(()),
            Forwarded::NotBelieved => {
                addresses.forwards_unasked(caller.peer());
                Ok(())
            }
            Forwarded::Believed(client) => {
                caller.speaks_for(client);
                *is_forwarded = true;
                addresses.came(caller, now).map(|ticket| self.ticket = ticket)
            }
        };
        let route = counted.map_err(Refusal::FromAddress).and_then(|()| Route::of(&head, site));
        // An upgrade has its own line in the log, and does without this one.
        *line = if matches!(route, Ok(Route::Upgrade(..))) { None } else { Some(head.line()) };
        let is_last = *answered + 1 >= limits.max_requests || is_attempt(&head);
        let persistence = if is_last { Persistence::Closes } else { head.persistence() };
        Ok(Some(Answer { route, body_wanted: head.body_wanted(), persistence }))
    }

    fn answer(&mut self, answer: Answer, now: Moment) -> Incoming<'static> {
        let Answer { route, body_wanted, persistence } = answer;
        match route {
            // 4.1: what follows the head in the same segment are frames already; they stay in the input.
            Ok(Route::Upgrade(upgrade, endpoint)) => {
                let Some(request) = self.request.take() else { return Incoming::Finished };
                self.queue.push_whole(upgrade.response());
                self.purpose = match endpoint {
                    Endpoint::Room(..) => Purpose::Chat,
                    Endpoint::Echo => Purpose::Echo,
                };
                self.step(Trigger::Upgraded, now);
                Incoming::Upgraded(endpoint, request.caller)
            }
            Ok(Route::Answer(response)) => {
                let reason = CloseReason::Answered(response.status);
                self.queue_answer(response, reason, body_wanted, persistence, now)
            }
            Err(refusal) if refusal.leaves_connection() => {
                let reason = CloseReason::Refused(refusal);
                self.queue_answer(refusal.response(), reason, body_wanted, persistence, now)
            }
            Err(refusal) => {
                self.refuse_request(refusal, body_wanted, now);
                Incoming::Finished
            }
        }
    }

    fn refuse_request(&mut self, refusal: Refusal, body_wanted: BodyWanted, now: Moment) {
        self.refuse(refusal, body_wanted, now);
        // Its peer is a proxy, which reads what it has asked for.
        if matches!(refusal, Refusal::FromAddress(_)) {
            self.dismiss(now);
        }
    }

    /// Queues the answer to a request that gets neither page nor WebSocket, and closes behind it: what follows that request
    /// may be its body, and is not looked at.
    pub(super) fn refuse(&mut self, refusal: Refusal, body_wanted: BodyWanted, now: Moment) {
        self.queue_answer(refusal.response(), CloseReason::Refused(refusal), body_wanted, Persistence::Closes, now);
    }

    fn queue_answer(
        &mut self,
        response: Response,
        reason: CloseReason,
        body_wanted: BodyWanted,
        persistence: Persistence,
        now: Moment,
    ) -> Incoming<'static> {
        if let Some(request) = &mut self.request {
            request.drop_bytes();
        }
        self.life.set_reason(reason);
        self.queue.push_whole(response.into_bytes(body_wanted, persistence));
        if persistence == Persistence::Closes {
            self.step(Trigger::AnsweredLast, now);
            return Incoming::Finished;
        }
        self.step(Trigger::Answered, now);
        Incoming::Answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that waits for its next request holds this, and nothing of the request before.
    #[test]
    fn a_request_that_was_answered_is_small() {
        assert!(size_of::<Request>() < 200, "{} bytes", size_of::<Request>());
        let mut request = Request::of(PeerAddress::Unix);
        request.head.bytes = vec![0; 1_000];
        request.drop_bytes();
        assert_eq!((request.held_bytes(), request.head.bytes.capacity()), (0, 0));
    }
}
