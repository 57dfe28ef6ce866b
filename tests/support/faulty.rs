//! A way to a daemon on which a line goes wrong, for the tests of what has to find that out.

#![allow(dead_code, reason = "each test binary makes its own faults")]

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{Daemon, Raw, parse_frame};

/// What can go wrong with a line on its way.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Lose,
    Repeat,
    /// It comes behind the one after it.
    Swap,
    /// The last letter of its text is another.
    Spoil,
    /// The last letters of its text are missing.
    Shorten,
    /// It and all behind it come two seconds late.
    Stall,
    /// The connection ends in its place.
    Hang,
}

/// How long [`Fault::Stall`] stalls.
const STALL: Duration = Duration::from_secs(2);

/// A way to the daemon on which the seventh line of each talker goes wrong, for every listener. Returns its address.
pub(crate) fn faulty(daemon: &Daemon, fault: Fault) -> String {
    faulty_at(daemon, fault, " 00000007")
}

/// The same, for lines that hold `part`. Its threads end with their connections, and with the test's process.
pub(crate) fn faulty_at(daemon: &Daemon, fault: Fault, part: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().unwrap().to_string();
    let behind = daemon.address.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&behind) else { return };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || deliver(Raw::over(server), client, fault, part));
        }
    });
    address
}

/// Hands on what the server says, one frame at a time, and makes the mistake.
fn deliver(mut server: Raw, mut client: TcpStream, fault: Fault, part: &str) {
    // websocat may leave at any time; then there is nobody to hand anything to.
    let mut hand_on = |bytes: &[u8]| client.write_all(bytes).is_ok();
    let mut held = None;
    if !hand_on(server.read_head().as_bytes()) {
        return;
    }
    while let Some(frame) = server.next_frame() {
        let bytes = unmasked(frame.first_byte, &frame.payload);
        let is_hit = frame.payload.windows(part.len()).any(|window| window == part.as_bytes());
        let is_fine = match fault {
            Fault::Lose if is_hit => true,
            Fault::Repeat if is_hit => hand_on(&bytes) && hand_on(&bytes),
            Fault::Swap if is_hit => {
                held = Some(bytes);
                true
            }
            Fault::Spoil if is_hit => {
                hand_on(&changed(&frame.payload, |end| b"?".iter().chain(&end[1..]).copied().collect()))
            }
            Fault::Shorten if is_hit => hand_on(&changed(&frame.payload, |end| end[1..].to_vec())),
            Fault::Stall if is_hit => {
                std::thread::sleep(STALL);
                hand_on(&bytes)
            }
            Fault::Hang if is_hit => false,
            _ => hand_on(&bytes) && held.take().is_none_or(|held| hand_on(&held)),
        };
        if !is_fine {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// The frame of an event whose text ends otherwise: from its last letter on, what is behind the text included.
fn changed(payload: &[u8], change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (front, end) = payload.split_at(payload.len() - b"x\"}".len());
    unmasked(0x81, &[front, &change(end)].concat())
}

/// A server's frame.
fn unmasked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match u16::try_from(payload.len()) {
        Ok(len @ 0..=125) => bytes.push(len as u8),
        Ok(len) => {
            bytes.push(126);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => panic!("no line of these tests is that long"),
    }
    bytes.extend_from_slice(payload);
    assert!(parse_frame(&bytes).is_some_and(|(_, len)| len == bytes.len()));
    bytes
}
