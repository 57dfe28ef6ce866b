//! What a request shows of who sends it. It is read once, and never logged.

use super::person::Secret;
use crate::chat::person::BadSecret;

/// The header with the secret of a person, for programs: an address ends in the logs of proxies, a header does not.
pub const ME_HEADER: &str = "x-roomd-me";

/// The cookie with the secret of a person. The chat page sets it: a browser lets no page send a header with a handshake.
pub const ME_COOKIE: &str = "roomd-me";

/// What a request shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The secret of a person. One that is none keeps nobody out: its owner is told, and has no tag.
    pub me: Option<Result<Secret, BadSecret>>,
}

impl Credentials {
    /// What counts of what a request shows: what it says in its address, before a header, before a cookie. So somebody can be
    /// another person in one tab.
    #[must_use]
    pub fn new<'a>(
        in_query: Option<&str>,
        mut in_headers: impl Iterator<Item = &'a [u8]>,
        cookie_headers: impl Iterator<Item = &'a [u8]>,
    ) -> Credentials {
        let shown = in_query.map(str::as_bytes).or_else(|| in_headers.next());
        let shown = shown.or_else(|| cookie_headers.filter_map(|header| cookie(header, ME_COOKIE)).next());
        Credentials { me: shown.map(Secret::parse) }
    }
}

/// The value of the first cookie of that name (RFC 6265 section 4.2.1). Names of cookies count with their case.
fn cookie<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    header.split(|byte| *byte == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(unquoted.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccc";

    fn shown(query: Option<&str>, header: &[&str], cookies: &[&str]) -> Option<Result<Secret, BadSecret>> {
        let bytes = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>();
        let (header, cookies) = (bytes(header), bytes(cookies));
        Credentials::new(query, header.iter().map(Vec::as_slice), cookies.iter().map(Vec::as_slice)).me
    }

    fn secret(text: &str) -> Option<Result<Secret, BadSecret>> {
        Some(Secret::parse(text.as_bytes()))
    }

    #[test]
    fn the_address_counts_before_the_header_and_the_header_before_the_cookie() {
        let cookie = &[&*format!("roomd-me={C}")];
        assert_eq!(shown(Some(A), &[B], cookie), secret(A));
        assert_eq!(shown(None, &[B, A], cookie), secret(B), "the first header");
        assert_eq!(shown(None, &[], cookie), secret(C));
        assert_eq!(shown(None, &[], &[]), None);
        assert_eq!(shown(Some(""), &[B], cookie), Some(Err(BadSecret::TooShort)), "what is empty is shown, too");
    }

    #[test]
    fn a_cookie_is_found_among_others_and_only_by_its_whole_name() {
        for header in
            ["roomd-me=#", "a=b; roomd-me=#", "a;roomd-me=#;b=c", "=;; roomd-me=\"#\" ;", "roomd-me=#; roomd-me=x"]
        {
            assert_eq!(shown(None, &[], &[&header.replace('#', A)]), secret(A), "{header}");
        }
        for header in ["", ";", "roomd-me", "Roomd-Me=#", "xroomd-me=#", "roomd-me2=#", "a=roomd-me=#", "roomd-me =#"] {
            assert_eq!(shown(None, &[], &[&header.replace('#', A)]), None, "{header}");
        }
        assert_eq!(shown(None, &[], &["a=b", &format!("roomd-me={B}")]), secret(B), "in the second header");
    }

    #[test]
    fn bytes_that_are_no_text_are_no_secret_and_nothing_worse() {
        let header: &[u8] = b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe";
        let credentials = Credentials::new(None, std::iter::once(header), std::iter::empty());
        assert_eq!(credentials.me, Some(Err(BadSecret::NotPrintable)));
        let cookies: &[u8] = b"\xff=\xfe; roomd-me=\x80\x81";
        let credentials = Credentials::new(None, std::iter::empty(), std::iter::once(cookies));
        assert_eq!(credentials.me, Some(Err(BadSecret::NotPrintable)));
    }
}
