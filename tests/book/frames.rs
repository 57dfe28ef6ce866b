//! Bytes in a page, against the decoder and the encoder that the daemon uses.

use roomd::websocket::close::close_payload;
use roomd::websocket::frame::{Opcode, append_frame};
use roomd::websocket::{CloseCode, Decoder, Input, MessageLimits, Received};

const LIMITS: MessageLimits = MessageLimits { max_message_bytes: 65_536, max_fragments: 64 };

/// Whether the bytes are what `claim` says: `client: text "Hello"; ping ""`.
pub(super) fn check(claim: &str, content: &str) -> Result<(), String> {
    let bytes = bytes_of(content)?;
    let (side, what) = claim.split_once(':').ok_or("a claim begins with client: or server:")?;
    let claimed: Vec<String> = what.split("; ").map(|item| expanded(item.trim())).collect();
    match side.trim() {
        "client" => {
            let whole = decoded([&bytes[..]].into_iter());
            if whole != claimed {
                return Err(format!("it says {}, and the decoder {}", claimed.join("; "), whole.join("; ")));
            }
            let dripped = decoded(bytes.chunks(1));
            if dripped != whole {
                return Err(format!("byte by byte the decoder says {}", dripped.join("; ")));
            }
            Ok(())
        }
        "server" => {
            let mut ours = Vec::new();
            for item in &claimed {
                let (opcode, payload) = of_ours(item).ok_or(format!("{item}: a server's frame is not written so"))?;
                append_frame(&mut ours, opcode, &payload);
            }
            if ours == bytes { Ok(()) } else { Err(format!("roomd sends {ours:02x?}")) }
        }
        other => Err(format!("{other}: frames are a client's or a server's")),
    }
}

/// The bytes of a block: two digits each, `78 * 130` for many of one, and remarks behind `#`.
fn bytes_of(content: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for line in content.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace().peekable();
        while let Some(word) = words.next() {
            if word.len() != 2 {
                return Err(format!("{word:?} is no byte"));
            }
            let byte = u8::from_str_radix(word, 16).map_err(|_| format!("{word:?} is no byte"))?;
            let mut count = 1;
            if words.next_if_eq(&"*").is_some() {
                count = words.next().and_then(|word| word.parse().ok()).ok_or("behind * stands how many")?;
            }
            bytes.extend(std::iter::repeat_n(byte, count));
        }
    }
    Ok(bytes)
}

/// `text "x" * 3` is `text "xxx"`.
fn expanded(item: &str) -> String {
    let many = item.rsplit_once("\" * ").and_then(|(front, count)| Some((front.split_once('"')?, count.parse().ok()?)));
    match many {
        Some(((kind, text), count)) => format!("{kind}\"{}\"", text.repeat(count)),
        None => item.to_owned(),
    }
}

fn decoded<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        loop {
            match decoder.decode(&mut input, &LIMITS) {
                Ok(Received::NeedMore) => break,
                Ok(Received::Text(text)) => seen.push(format!("text {text:?}")),
                Ok(Received::Binary(bytes)) => seen.push(format!("binary {}", hex(bytes)).trim_end().to_owned()),
                Ok(Received::Fragment) => seen.push("fragment".into()),
                Ok(Received::Ping(payload)) => seen.push(format!("ping {:?}", String::from_utf8_lossy(payload))),
                Ok(Received::Pong) => seen.push("pong".into()),
                Ok(Received::Close(close)) => seen.push(match close.code {
                    Some(code) => format!("close {code} {:?}", close.reason),
                    None => "close".into(),
                }),
                Err(violation) => {
                    seen.push(format!("violation {violation:?}"));
                    return seen;
                }
            }
        }
    }
    if decoder.is_amid_message() {
        seen.push("unfinished".into());
    }
    seen
}

fn of_ours(item: &str) -> Option<(Opcode, Vec<u8>)> {
    let (kind, rest) = item.split_once(' ').unwrap_or((item, ""));
    let text = |text: &str| serde_json::from_str::<String>(text).ok();
    Some(match kind {
        "text" => (Opcode::Text, text(rest)?.into_bytes()),
        "binary" => (Opcode::Binary, bytes_of(rest).ok()?),
        "ping" => (Opcode::Ping, text(rest)?.into_bytes()),
        "pong" => (Opcode::Pong, text(rest)?.into_bytes()),
        "close" if rest.is_empty() => (Opcode::Close, Vec::new()),
        "close" => {
            let (code, reason) = rest.split_once(' ')?;
            (Opcode::Close, close_payload(CloseCode::from_wire(code.parse().ok()?).ok()?, &text(reason)?))
        }
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>().trim_end().to_owned()
}

/// What the pages rely on.
mod tests {
    use super::check;

    #[test]
    fn a_claim_holds_for_its_own_bytes_only() {
        let hello = "81 85 37 fa 21 3d # header\n7f 9f 4d 51 58\n";
        assert_eq!(check("client: text \"Hello\"", hello), Ok(()));
        assert!(check("client: text \"Hallo\"", hello).is_err());
        assert!(check("client: text \"Hello\"; ping \"\"", hello).is_err());
        assert_eq!(check("server: text \"x\" * 130", "81 7e 00 82 78 * 130"), Ok(()));
        assert_eq!(check("client: violation Unmasked", "81 05"), Ok(()));
        assert_eq!(check("client: unfinished", "81 85 37"), Ok(()));
        assert_eq!(check("server: close 1000 \"bye\"; pong \"\"", "88 05 03 e8 62 79 65 8a 00"), Ok(()));
    }
}
