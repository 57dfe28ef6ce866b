//! The whole process stands still: everybody who was there is there afterwards, in the middle of an attack as well.

use std::time::{Duration, Instant};

use crate::peer::Target;
use crate::support::{Daemon, handshake, masked_frame};
use crate::vanishing::ghosts;

const FIN: u8 = 0x80;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Longer than each of the deadlines.
const PAUSE: Duration = Duration::from_millis(2_500);

const FLAGS: &[&str] =
    &["--ping-interval", "300ms", "--ping-timeout", "2s", "--handshake-timeout", "2s", "--max-connections", "500"];

#[test]
#[ignore = "takes 5 s: tests/run runs it"]
fn a_pause_in_the_middle_of_an_attack_drops_nobody_who_was_there() {
    rlimit::increase_nofile_limit(u64::MAX).expect("a test may have as many files as the system allows");
    let daemon = Daemon::start(FLAGS);
    let mut members: Vec<_> = (0..100).map(|_| daemon.open("/?quiet=1")).collect();
    let address = daemon.address.parse().expect("the daemon listens on an address");
    std::thread::scope(|scope| {
        let target = Target { address, end: Instant::now() + 2 * PAUSE, peers: 50 };
        let attacker = scope.spawn(move || ghosts(&target));
        for member in &mut members {
            assert_eq!(member.frame().first_byte, FIN | PING);
        }
        daemon.signal("STOP");
        for member in &mut members {
            member.send(&masked_frame(FIN | PONG, b""));
        }
        let mut newcomers: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
        for newcomer in &mut newcomers {
            newcomer.send(handshake("/?quiet=1").as_bytes());
        }
        // The pause itself is what is tested.
        std::thread::sleep(PAUSE);
        daemon.signal("CONT");
        for newcomer in &mut newcomers {
            let head = newcomer.read_head();
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        }
        for member in &mut members {
            member.send(&masked_frame(FIN | PING, b"still here?"));
            while member.frame().first_byte != FIN | PONG {}
        }
        assert!(attacker.join().expect("the attacker does not fail") > 0);
    });
}
