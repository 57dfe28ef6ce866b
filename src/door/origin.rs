//! Which web pages may open a WebSocket here (RFC 6455 section 10.2).
//!
//! A browser lets any page connect to any address, and only says in `Origin` whose page it is. Without a check, every
//! site somebody visits could read along in a room on that person's own machine: listening on loopback does not help,
//! for the browser is on loopback, too.
//!
//! Programs that are no browsers send no `Origin`, or whatever they like; they are not whom this protects against.

use super::allowed_origin::AllowedOrigin;
use super::refusal::Refusal;
use crate::http::Head;

/// Same-origin, and what `--origin` adds to it.
#[derive(Debug, Clone, Default)]
pub struct OriginPolicy {
    allowed: Vec<AllowedOrigin>,
}

/// Scheme, host and port of a page, in one canonical form: lower case, the scheme's own port left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `https`.
    pub(super) scheme: String,
    /// `example.com:8443`.
    pub(super) authority: String,
}

impl OriginPolicy {
    /// Allows these besides the daemon's own page.
    #[must_use]
    pub fn new(allowed: Vec<AllowedOrigin>) -> OriginPolicy {
        OriginPolicy { allowed }
    }

    /// Lets a handshake pass or not.
    ///
    /// # Errors
    /// [`Refusal::Origin`], or what is wrong with the headers themselves.
    pub fn check(&self, head: &Head<'_>) -> Result<(), Refusal> {
        match head.only("Origin")? {
            Some(value) => self.judge(value, head),
            None => Ok(()),
        }
    }

    /// The same for what an `Origin` would say: `value`. The rest of the handshake is as in `head`.
    ///
    /// # Errors
    /// [`Refusal::Origin`].
    pub fn judge(&self, value: &str, head: &Head<'_>) -> Result<(), Refusal> {
        let allowed = |wanted: &AllowedOrigin| self.allowed.contains(wanted);
        if allowed(&AllowedOrigin::Any) {
            return Ok(());
        }
        if value == "null" {
            return if allowed(&AllowedOrigin::Null) { Ok(()) } else { Err(Refusal::Origin) };
        }
        let origin = Origin::of_header(value).ok_or(Refusal::Origin)?;
        // Whole names are compared, never beginnings or ends: `example.com.evil.org` and `evil-example.com` are others.
        let host = head.host().unwrap_or_default();
        let is_allowed = self.allowed.iter().any(|allowed| allowed.allows(&origin));
        if is_allowed || canonical_authority(&origin.scheme, host) == origin.authority {
            Ok(())
        } else {
            Err(Refusal::Origin)
        }
    }
}

impl Origin {
    /// The value of an `Origin` header, if it is a site.
    fn of_header(value: &str) -> Option<Origin> {
        let (scheme, authority) = value.split_once("://")?;
        let is_authority = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\,".contains(&byte));
        if !is_scheme(scheme) || !is_authority {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let authority = canonical_authority(&scheme, authority);
        Some(Origin { scheme, authority })
    }
}

/// RFC 3986 section 3.1.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// `Host` of a page at `https://x` may be `x` or `x:443`, and a proxy may pass on either.
fn canonical_authority(scheme: &str, authority: &str) -> String {
    let own_port = match scheme {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => "",
    };
    authority.strip_suffix(own_port).unwrap_or(authority).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadError;

    fn check(policy: &[&str], host: &str, origin: &str) -> Result<(), Refusal> {
        let allowed = policy.iter().filter_map(|text| text.parse().ok()).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
        Head::parse(head.as_bytes()).map_err(Refusal::from).and_then(|head| OriginPolicy::new(allowed).check(&head))
    }

    /// docs/rfc6455.md row 7.
    #[test]
    fn the_daemon_s_own_page_may_connect_and_others_may_not() {
        assert_eq!(check(&[], "127.0.0.1:8000", "http://127.0.0.1:8000"), Ok(()));
        assert_eq!(check(&[], "[::1]:8000", "http://[::1]:8000"), Ok(()));
        assert_eq!(check(&[], "Chat.Example", "https://chat.example"), Ok(()));
        assert_eq!(check(&[], "chat.example:443", "https://chat.example"), Ok(()));
        for other in [
            "http://127.0.0.1",
            "http://127.0.0.1:80",
            "http://127.0.0.1:9000",
            "http://localhost:8000",
            "http://127.0.0.1:8000.evil.example",
            "http://evil.example",
            "http://evil.example:8000",
            "http://evil127.0.0.1:8000",
            "null",
            "",
            "127.0.0.1:8000",
            "http://127.0.0.1:8000/",
            "http://x@127.0.0.1:8000",
            "http://127.0.0.1:8000, http://evil.example",
        ] {
            assert_eq!(check(&[], "127.0.0.1:8000", other), Err(Refusal::Origin), "{other}");
        }
    }

    #[test]
    fn a_listed_origin_may_connect_just_as_it_is_written() {
        let policy = ["https://Example.com/", "http://localhost:3000"];
        for good in ["https://example.com", "https://example.com:443", "http://localhost:3000", "http://LOCALHOST:3000"]
        {
            assert_eq!(check(&policy, "x", good), Ok(()), "{good}");
        }
        for bad in [
            "http://example.com",
            "https://example.com:8443",
            "https://evil-example.com",
            "https://example.com.evil.org",
            "https://sub.example.com",
            "null",
        ] {
            assert_eq!(check(&policy, "x", bad), Err(Refusal::Origin), "{bad}");
        }
        let sub_domains = ["https://*.example.com"];
        for good in ["https://a.example.com", "https://A.B.Example.com:443"] {
            assert_eq!(check(&sub_domains, "x", good), Ok(()), "{good}");
        }
        for bad in [
            "https://example.com",
            "http://a.example.com",
            "https://evil-example.com",
            "https://a.example.com:1",
            "null",
        ] {
            assert_eq!(check(&sub_domains, "x", bad), Err(Refusal::Origin), "{bad}");
        }
        assert_eq!(check(&["null"], "x", "null"), Ok(()));
        assert_eq!(check(&["*"], "x", "https://anything.example"), Ok(()));
        assert_eq!(check(&["*"], "x", "null"), Ok(()));
    }

    #[test]
    fn two_origins_in_one_request_are_refused() {
        let head = Head::parse(b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nOrigin: http://x\r\n\r\n");
        let answer = head.map_err(Refusal::from).and_then(|head| OriginPolicy::default().check(&head));
        assert_eq!(answer, Err(Refusal::Head(HeadError::DuplicateHeader)));
    }
}
