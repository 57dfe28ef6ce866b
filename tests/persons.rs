//! The same person again: who shows the same secret is one person, on however many connections, and has the same mark.

#[path = "testing/clocked_hub.rs"]
mod clocked_hub;
#[path = "testing/fake_socket.rs"]
mod fake_socket;
mod support;

use std::time::Duration;

use clocked_hub::{ClockedHub, FakeClient};
use roomd::history::log::InMemoryLog;
use roomd::hub::PeerId;
use roomd::limits::Limits;
use serde_json::Value;
use support::{Daemon, Folder, handshake, masked_frame};

const ANN: &str = "me=ann-has-this-secret";
const BOB: &str = "me=bob-has-another-one";

struct House(ClockedHub);

impl House {
    fn new() -> House {
        House::with(Limits::default())
    }

    fn with(limits: Limits) -> House {
        House(ClockedHub::new(limits, Box::new(InMemoryLog::new())))
    }

    /// Somebody comes with this behind the question mark.
    fn come(&mut self, query: &str) -> Guest {
        self.come_with(&handshake(&format!("/?{query}")))
    }

    fn come_with(&mut self, request: &str) -> Guest {
        let (id, client) = self.0.accept();
        self.0.say(id, &client, request.as_bytes());
        self.0.settle();
        Guest { id, client }
    }

    fn say(&mut self, guest: &Guest, text: &str) {
        self.0.say(guest.id, &guest.client, &masked_frame(0x81, text.as_bytes()));
        self.0.settle();
    }

    /// Its connection is gone.
    fn go(&mut self, guest: &Guest) {
        self.0.hang_up(guest.id, &guest.client);
        self.0.settle();
    }

    /// So long that who is away has left.
    fn wait(&mut self) {
        self.0.pass(Duration::from_secs(2));
        self.0.settle();
    }
}

struct Guest {
    id: PeerId,
    client: FakeClient,
}

impl Guest {
    fn welcome(&self) -> Value {
        self.client.events("welcome").pop().unwrap_or_else(|| panic!("a welcome: {}", self.client.heard()))
    }

    fn name(&self) -> String {
        self.welcome()["name"].as_str().unwrap().to_owned()
    }

    fn tag(&self) -> Option<String> {
        self.welcome().get("tag").map(|tag| tag.as_str().unwrap().to_owned())
    }

    fn count(&self, kind: &str) -> usize {
        self.client.events(kind).len()
    }

    fn texts(&self, kind: &str) -> Vec<String> {
        self.client.events(kind).iter().map(|event| event["mess"].as_str().unwrap().to_owned()).collect()
    }

    fn codes(&self) -> Vec<String> {
        self.client.events("error").iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect()
    }
}

// ---- The mark -----------------------------------------------------------------------------------------------------

#[test]
fn who_shows_a_secret_has_a_tag_in_each_event_about_it_and_who_shows_none_has_none() {
    let mut house = House::new();
    let watcher = house.come("name=Cid");
    let ann = house.come(&format!("name=Ann&{ANN}"));
    let tag = ann.tag().expect("a tag");
    assert_eq!((tag.len(), watcher.tag()), (6, None));
    house.say(&ann, "hello");
    house.say(&ann, "/me waves");
    house.say(&ann, "/msg Cid psst");
    house.say(&ann, "/nick Anna");
    house.go(&ann);
    house.wait();
    for kind in ["join", "message", "action", "private", "rename", "leave"] {
        let events = watcher.client.events(kind);
        assert!(!events.is_empty() && events.iter().all(|event| event["tag"] == *tag), "{kind}: {events:?}");
    }
    house.say(&watcher, "nobody knows me");
    house.say(&watcher, "/nick Dee");
    for kind in ["message", "rename"] {
        assert_eq!(watcher.client.events(kind).pop().unwrap().get("tag"), None, "{kind}");
    }
}

#[test]
fn a_tag_is_the_same_on_every_connection_in_every_room_and_another_for_another_secret() {
    let mut house = House::new();
    let first = house.come(ANN);
    let elsewhere = house.come_with(&handshake(&format!("/r/garden?{ANN}")));
    assert_eq!(elsewhere.tag(), first.tag());
    assert_ne!(house.come(BOB).tag(), first.tag());
    house.go(&first);
    assert_eq!(house.come(ANN).tag(), first.tag());
}

#[test]
fn a_secret_is_shown_in_the_address_a_header_or_a_cookie() {
    let mut house = House::new();
    let tag = house.come(ANN).tag();
    for line in ["X-Roomd-Me: ann-has-this-secret", "cookie: a=b; roomd-me=ann-has-this-secret"] {
        let request = handshake("/").replacen("\r\nHost", &format!("\r\n{line}\r\nHost"), 1);
        assert_eq!(house.come_with(&request).tag(), tag, "{line}");
    }
}

#[test]
fn who_comes_later_is_told_the_tags_of_what_was_said() {
    let mut house = House::new();
    let ann = house.come(&format!("name=Ann&{ANN}"));
    house.say(&ann, "hello");
    let later = house.come("name=Cid");
    assert_eq!(later.client.events("message").pop().unwrap()["tag"], *ann.tag().unwrap());
}

#[test]
fn what_cannot_be_a_secret_keeps_nobody_out_and_is_told() {
    let mut house = House::new();
    let long = "x".repeat(129);
    for secret in [
        "",
        "too-short",
        &long,
        "with%20a%20space%20in%20it",
        "control%00characters",
        "%ff%fe%fd%ff%fe%fd%ff%fe%fd%ff%fe%fd%ff%fe",
        "汉字汉字汉字汉字汉字汉字",
    ] {
        let secret: String =
            secret.chars().map(|c| if c.is_ascii() { c.to_string() } else { "%E6%B1%89".into() }).collect();
        let guest = house.come(&format!("me={secret}"));
        assert_eq!((guest.tag(), guest.codes()), (None, vec!["bad-me".to_owned()]), "{secret}");
    }
}

// ---- One person, several connections ------------------------------------------------------------------------------

#[test]
fn a_second_tab_is_nobody_new_and_has_the_name_of_the_first() {
    let mut house = House::new();
    let watcher = house.come("name=Cid");
    let one = house.come(&format!("name=Ann&{ANN}"));
    let two = house.come(&format!("name=Zoe&{ANN}"));
    assert_eq!((two.name(), two.welcome()["online"].as_u64()), ("Ann".into(), Some(2)));
    assert_eq!(two.welcome()["users"].as_array().unwrap().len(), 2, "once");
    assert_eq!(two.codes(), [] as [&str; 0]);
    assert_eq!((watcher.count("join"), one.count("join")), (1, 0), "only the first was announced");
    house.say(&two, "from the second");
    assert_eq!(one.client.events("message").pop().unwrap()["name"], "Ann");
    house.go(&one);
    house.say(&watcher, "/who");
    assert_eq!(
        (watcher.count("leave"), watcher.client.events("users").pop().unwrap()["online"].as_u64()),
        (0, Some(2))
    );
    house.say(&two, "still here");
    assert_eq!(watcher.client.events("message").pop().unwrap()["name"], "Ann");
}

#[test]
fn a_connection_that_is_dead_and_does_not_know_it_does_not_keep_its_person_from_its_name() {
    let mut house = House::new();
    let _dead = house.come(&format!("name=Ann&{ANN}"));
    let again = house.come(&format!("name=Ann&{ANN}"));
    assert_eq!((again.name(), again.codes()), ("Ann".into(), Vec::new()));
    let stranger = house.come(&format!("name=Ann&{BOB}"));
    assert_eq!(stranger.codes(), ["name-taken"]);
}

#[test]
fn two_persons_who_want_one_name_at_the_same_time_get_one_each() {
    let mut house = House::new();
    let guests: Vec<Guest> = [ANN, BOB, ANN]
        .map(|secret| {
            let (id, client) = house.0.accept();
            house.0.send(id, &client, handshake(&format!("/?name=Ann&{secret}")).as_bytes());
            Guest { id, client }
        })
        .into();
    house.0.hub.turn(house.0.now);
    house.0.settle();
    let names: Vec<String> = guests.iter().map(Guest::name).collect();
    assert_eq!((&*names[0], &*names[2], guests[1].codes()), ("Ann", "Ann", vec!["name-taken".to_owned()]));
    assert!(names[1].starts_with("Tourist "), "{names:?}");
}

#[test]
fn whichever_tab_takes_another_name_both_are_told() {
    for limits in [Limits::default(), Limits { presence_members: 1, ..Limits::default() }] {
        let mut house = House::with(limits);
        let one = house.come(&format!("name=Ann&{ANN}"));
        let two = house.come(&format!("quiet=1&{ANN}"));
        house.say(&two, "/nick Bea");
        for guest in [&one, &two] {
            let renames = guest.client.events("rename");
            assert_eq!(renames.len(), 1, "{renames:?}");
            assert_eq!((&renames[0]["from"], &renames[0]["name"]), (&"Ann".into(), &"Bea".into()));
        }
        house.say(&one, "hello");
        assert_eq!(two.client.events("message").pop().unwrap()["name"], "Bea");
    }
}

#[test]
fn a_private_message_reaches_all_tabs_of_both_and_each_once() {
    let mut house = House::new();
    let anns = [0; 2].map(|_| house.come(&format!("name=Ann&{ANN}")));
    let bobs = [0; 2].map(|_| house.come(&format!("name=Bob&{BOB}")));
    house.say(&anns[1], "/msg Bob psst");
    house.say(&anns[0], "/msg Ann to myself");
    for ann in &anns {
        assert_eq!(ann.texts("private"), ["psst", "to myself"]);
    }
    for bob in &bobs {
        assert_eq!(bob.texts("private"), ["psst"]);
    }
}

#[test]
fn one_tab_goes_to_another_room_and_the_other_stays() {
    let mut house = House::new();
    let watcher = house.come("name=Cid");
    let one = house.come(&format!("name=Ann&{ANN}"));
    let two = house.come(ANN);
    house.say(&one, "/join garden");
    assert_eq!((one.name(), one.tag(), &one.welcome()["room"]), ("Ann".into(), two.tag(), &"garden".into()));
    assert_eq!(watcher.count("leave"), 0);
    house.say(&two, "still here");
    assert_eq!(watcher.client.events("message").pop().unwrap()["name"], "Ann");
    house.say(&two, "/join garden");
    assert_eq!((two.name(), two.welcome()["online"].as_u64()), ("Ann".into(), Some(1)), "one person there, too");
    assert_eq!(watcher.count("leave"), 1);
}

#[test]
fn two_hundred_connections_of_one_person_are_one_until_the_last_leaves() {
    let mut house = House::new();
    let watcher = house.come("name=Cid");
    let guests: Vec<Guest> = (0..200).map(|_| house.come(&format!("name=Ann&{ANN}"))).collect();
    assert!(guests.iter().all(|guest| guest.name() == "Ann" && guest.welcome()["online"] == 2));
    house.say(&watcher, "hello");
    assert!(guests.iter().all(|guest| guest.count("message") == 1));
    for guest in &guests {
        assert_eq!(watcher.count("leave"), 0);
        house.go(guest);
    }
    house.wait();
    assert_eq!((watcher.count("join"), watcher.count("leave")), (1, 1));
}

// ---- Away for a moment --------------------------------------------------------------------------------------------

#[test]
fn who_is_back_within_two_seconds_has_its_name_and_nobody_is_told_that_it_was_gone() {
    let mut house = House::new();
    let watcher = house.come("name=Cid");
    let mut ann = house.come(ANN);
    let name = ann.name();
    for nth in 0..5 {
        house.go(&ann);
        house.0.pass(Duration::from_millis(1_999));
        house.say(&watcher, "/who");
        assert_eq!(watcher.client.events("users").pop().unwrap()["online"], 2);
        ann = house.come(ANN);
        assert_eq!((ann.name(), ann.welcome()["online"].as_u64()), (name.clone(), Some(2)), "{nth}");
    }
    house.wait();
    house.say(&ann, "hello");
    assert_eq!(watcher.client.events("message").pop().unwrap()["name"], *name);
    assert_eq!((watcher.count("join"), watcher.count("leave")), (1, 0));
    house.go(&ann);
    house.wait();
    assert_eq!((watcher.count("join"), watcher.count("leave")), (1, 1));
}

#[test]
fn the_name_of_who_is_away_is_free_when_its_time_is_over() {
    let mut house = House::new();
    let ann = house.come(&format!("name=Ann&{ANN}"));
    house.go(&ann);
    assert_eq!(house.come("name=Ann").codes(), ["name-taken"]);
    let bob = house.come(&format!("name=Bob&{BOB}"));
    house.say(&bob, "/msg Ann are you there?");
    assert_eq!(bob.codes(), ["no-such-name"]);
    house.wait();
    assert_eq!(house.come("name=Ann").name(), "Ann");
}

#[test]
fn who_shows_no_secret_has_left_at_once() {
    let mut house = House::new();
    let watcher = house.come("name=Cid");
    let ann = house.come("name=Ann");
    house.go(&ann);
    assert_eq!(watcher.count("leave"), 1);
    assert_eq!(house.come("name=Ann").name(), "Ann");
}

#[test]
fn a_room_of_which_all_are_away_is_there_until_their_time_is_over() {
    let mut house = House::with(Limits { max_rooms: 1, ..Limits::default() });
    let ann = house.come(&format!("name=Ann&{ANN}"));
    house.go(&ann);
    let refused = house.come_with(&handshake("/r/other"));
    assert!(refused.client.events("welcome").is_empty());
    house.wait();
    let other = house.come_with(&handshake("/r/other"));
    assert_eq!(other.welcome()["room"], "other");
}

#[test]
fn a_shutdown_waits_for_nobody_who_is_away() {
    let mut house = House::new();
    let watcher = house.come("name=Cid");
    let anns = [ANN, BOB].map(|secret| house.come(secret));
    house.go(&anns[0]);
    house.0.hub.shut_down(house.0.now);
    house.0.settle();
    for guest in [&watcher, &anns[1]] {
        house.go(guest);
    }
    assert_eq!(house.0.hub.connections(), 0);
}

// ---- By the daemon itself -----------------------------------------------------------------------------------------

#[test]
fn a_tag_is_kept_with_what_was_said_and_is_the_same_after_a_restart() {
    let folder = Folder::new();
    let file = folder.file("history.db");
    let tag_of = |daemon: &Daemon| {
        let mut ann = daemon.open(&format!("/?name=Ann&{ANN}"));
        let tag = ann.event("welcome")["tag"].as_str().map(str::to_owned);
        ann.send_text("hello");
        assert_eq!(ann.event("message")["tag"].as_str().map(str::to_owned), tag);
        tag.expect("a tag")
    };
    let mut daemon = Daemon::start(&["--history", &file]);
    let before = tag_of(&daemon);
    daemon.kill();
    let daemon = Daemon::start(&["--history", &file]);
    let past = daemon.open("/").event("message");
    assert_eq!((past["mess"].as_str(), past["tag"].as_str()), (Some("hello"), Some(&*before)));
    assert_eq!(tag_of(&daemon), before);
}

#[test]
fn no_line_of_the_log_has_the_secret() {
    let mut daemon = Daemon::start_with_requests_logged(&[]);
    let line = "\r\nX-Roomd-Me: ann-has-this-secret\r\nCookie: roomd-me=ann-has-this-secret\r\nHost";
    let mut ann = daemon.open(&format!("/?{ANN}"));
    ann.event("welcome");
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    for request in [get(&format!("/nowhere?{ANN}")), get(&format!("/r/a/b#{ANN}")), handshake(&format!("/x?{ANN}"))] {
        let mut asker = daemon.connect();
        asker.send(request.replacen("\r\nHost", line, 1).as_bytes());
        asker.read_head();
    }
    ann.send_text("/nick");
    ann.event("error");
    drop(ann);
    daemon.signal("TERM");
    daemon.wait();
    let log = daemon.rest_of_log();
    assert!(log.iter().any(|line| line.contains("/nowhere")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("has-this-secret")), "{log:?}");
}
