//! The answer that a plain HTTP request gets.

/// The statuses that are ever sent, besides the 101 of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the standard's own words")]
pub enum Status {
    Ok,
    NoContent,
    NotModified,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ContentTooLarge,
    UpgradeRequired,
    TooManyRequests,
    HeadersTooLarge,
    InternalError,
    Unavailable,
    HttpVersion,
}

impl Status {
    /// Number and reason phrase, as they stand in the status line.
    #[must_use]
    pub fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::NoContent => "204 No Content",
            Status::NotModified => "304 Not Modified",
            Status::BadRequest => "400 Bad Request",
            Status::Forbidden => "403 Forbidden",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::RequestTimeout => "408 Request Timeout",
            Status::ContentTooLarge => "413 Content Too Large",
            Status::UpgradeRequired => "426 Upgrade Required",
            Status::TooManyRequests => "429 Too Many Requests",
            Status::HeadersTooLarge => "431 Request Header Fields Too Large",
            Status::InternalError => "500 Internal Server Error",
            Status::Unavailable => "503 Service Unavailable",
            Status::HttpVersion => "505 HTTP Version Not Supported",
        }
    }
}

/// The methods that are answered, as a list for `Allow`.
pub const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS";

/// Whether the body is sent, or only described: the answer to HEAD is the answer to GET without its body
/// (RFC 9110 section 9.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyWanted {
    /// GET.
    Yes,
    /// HEAD.
    No,
}

/// What becomes of the connection behind an answer (RFC 9112 section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It closes, and the answer says so.
    Closes,
    /// It stays for another request. In HTTP/1.1 that needs no word.
    Stays,
    /// It stays, and the answer says so: an HTTP/1.0 client has asked for it.
    StaysAsAsked,
}

/// Status, headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What the log line says, too.
    pub status: Status,
    headers: String,
    body: Vec<u8>,
}

impl Response {
    /// A response with a body of the given media type.
    #[must_use]
    pub fn new(status: Status, media_type: &str, body: Vec<u8>) -> Response {
        let mut response = Response { status, headers: String::new(), body };
        response.header("Content-Type", media_type);
        // A browser shall not guess another type from the bytes.
        response.header("X-Content-Type-Options", "nosniff");
        response
    }

    /// What may be asked of everything here. The check that haproxy makes, unless it is told another.
    #[must_use]
    pub fn options() -> Response {
        let mut response = Response { status: Status::NoContent, headers: String::new(), body: Vec::new() };
        response.header("Allow", ALLOWED_METHODS);
        response
    }

    /// A sentence for people.
    #[must_use]
    pub fn text(status: Status, sentence: &str) -> Response {
        let mut response = Response::new(status, "text/plain; charset=utf-8", sentence.as_bytes().to_vec());
        response.header("Cache-Control", "no-store");
        // Behind a proxy, a page can tell by it whose answer this is.
        response.header("Answered-By", "roomd");
        response
    }

    /// Adds a header. Name and value are our own words; what a peer sent never comes here unchecked.
    pub fn header(&mut self, name: &str, value: &str) {
        debug_assert!(!value.contains(['\r', '\n']), "a header value is one line");
        self.headers.extend([name, ": ", value, "\r\n"]);
    }

    /// The bytes on the wire, with what they say of connection and length.
    #[must_use]
    pub fn into_bytes(self, body_wanted: BodyWanted, persistence: Persistence) -> Vec<u8> {
        let connection = match persistence {
            // A 426 names what to upgrade to, and RFC 9110 section 7.8 then wants `upgrade` among the connection options.
            Persistence::Closes if self.status == Status::UpgradeRequired => "Connection: close, Upgrade\r\n",
            Persistence::Closes => "Connection: close\r\n",
            Persistence::Stays => "",
            Persistence::StaysAsAsked => "Connection: keep-alive\r\n",
        };
        let mut bytes = format!("HTTP/1.1 {}\r\n{connection}", self.status.line()).into_bytes();
        bytes.extend_from_slice(self.headers.as_bytes());
        // A 304 has no body by definition, and a length would describe one. For a 204, RFC 9110 section 8.6 forbids it.
        if !matches!(self.status, Status::NotModified | Status::NoContent) {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if body_wanted == BodyWanted::Yes {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}
