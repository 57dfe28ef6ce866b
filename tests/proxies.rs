//! The recipes of docs/operating.md, "Behind a proxy", as they stand there: real proxies let people in, and the log says who
//! they are.
//!
//! Each test's proxy listens on an address of the loopback interface of its own, and the client connects from another
//! one, which is not trusted.

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::{Daemon, Folder, PATIENCE, Raw, handshake};

/// Where the clients of these tests are.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The code block number `nth` of that language in the guide.
fn recipe(language: &str, nth: usize) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let block = guide.split(&format!("```{language}\n")).nth(nth + 1).expect("the guide has that block");
    block.split("```").next().unwrap().to_owned()
}

/// A free port on an address that no other test uses.
fn place() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(3);
    let pid = std::process::id();
    let address = Ipv4Addr::new(127, (pid >> 8) as u8 | 1, pid as u8, NEXT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}

/// A proxy with its files, ended when dropped.
struct Proxy {
    child: Child,
    place: SocketAddr,
    _folder: Folder,
}

impl Proxy {
    fn start(mut command: Command, place: SocketAddr, folder: Folder) -> Proxy {
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let log = std::fs::File::create(folder.file("log")).unwrap();
        command.env("PATH", path).env("HOME", folder.path()).current_dir(folder.path());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let mut proxy = Proxy { child: child.expect("tests/run installs it"), place, _folder: folder };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(place).is_err() {
            let has_ended = proxy.child.try_wait().unwrap().is_some();
            assert!(!has_ended && Instant::now() < deadline, "it does not listen: {}", proxy.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self._folder.file("log")).unwrap()
    }

    fn nginx(backend: &str) -> Proxy {
        let (place, folder) = (place(), Folder::new());
        let recipe = recipe("nginx", 0).replace("127.0.0.1:8000", backend);
        let (http, server) = recipe.split_once("# In server { }.").expect("two parts");
        let server = server.split_once('\n').unwrap().1;
        let file = folder.file("nginx.conf");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", folder.file(kind)))
            .concat();
        let whole = format!(
            "daemon off;\nmaster_process off;\nerror_log stderr;\npid {};\nevents {{ }}\nhttp {{\naccess_log off;\n{temporary}{http}\n\
             server {{\nlisten {place};\n{server}\n}}\n}}\n",
            folder.file("pid")
        );
        std::fs::write(&file, whole).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-c", &file]);
        Proxy::start(command, place, folder)
    }

    fn caddy(backend: &str) -> Proxy {
        let (place, folder) = (place(), Folder::new());
        let site = format!("http://:{} {{\n\tbind {}\n", place.port(), place.ip());
        let recipe = recipe("caddyfile", 0).replace("127.0.0.1:8000", backend).replace("example.com {\n", &site);
        let file = folder.file("Caddyfile");
        std::fs::write(&file, format!("{{\n\tadmin off\n}}\n{recipe}")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config", &file]);
        command.env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        Proxy::start(command, place, folder)
    }

    fn haproxy(nth: usize, backend: &str, send: &str) -> Proxy {
        let (place, folder) = (place(), Folder::new());
        let recipe =
            recipe("haproxy", nth).replace("127.0.0.1:8000", backend).replace("bind :80", &format!("bind {place}"));
        let defaults =
            "defaults\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n  timeout tunnel 1m\n";
        let file = folder.file("haproxy.cfg");
        std::fs::write(&file, format!("{defaults}{}", recipe.replace("send-proxy-v2", send))).unwrap();
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f", &file]);
        Proxy::start(command, place, folder)
    }

    /// A client at [`CLIENT`] asks for a room, and says that it is somebody else.
    fn ask(&self, path: &str) -> Raw {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(IpAddr::V4(CLIENT), 0).into()).unwrap();
        socket.connect(&self.place.into()).unwrap();
        let mut client = Raw::over(socket.into());
        let lie = "\r\nX-Forwarded-For: 203.0.113.66, 127.0.0.1\r\nHost";
        client.send(handshake(path).replacen("\r\nHost", lie, 1).as_bytes());
        client
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody comes in through the proxy and is known by its own address. That it is counted, too, `addresses.rs` tests: an
/// address of the loopback interface never is.
#[track_caller]
fn assert_known(daemon: &mut Daemon, proxy: &Proxy, path: &str, expected: &str) {
    let mut member = proxy.ask(path);
    let head = member.read_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}\n{}", proxy.log());
    member.event("welcome");
    let line = daemon.wait_for_log("came to lobby");
    let from = line.split(" from ").nth(1).unwrap().split(" came to lobby").next().unwrap();
    // A port that the system has chosen.
    let (address, via) = from.split_once(" via ").expect("by way of the proxy");
    assert_eq!(format!("{} via {via}", address.split(':').next().unwrap()), expected);
}

const FLAGS: [&str; 2] = ["--trusted-proxy", "127.0.0.1"];

#[test]
#[ignore = "needs nginx: tests/run installs it and runs this"]
fn the_recipe_for_nginx_lets_people_in_under_their_own_address() {
    let mut daemon = Daemon::start(&FLAGS);
    let proxy = Proxy::nginx(&daemon.address);
    assert_known(&mut daemon, &proxy, "/chat/", "127.0.0.2 via 127.0.0.1");
}

#[test]
#[ignore = "needs nginx: tests/run installs it and runs this"]
fn over_a_socket_file_nginx_is_believed_as_well() {
    let folder = Folder::new();
    let path = folder.file("roomd.sock");
    let flags = ["--listen", &format!("unix:{path}"), "--trusted-proxy", "unix"];
    let mut daemon = Daemon::start_without_address(&flags);
    let proxy = Proxy::nginx(&format!("unix:{path}:"));
    assert_known(&mut daemon, &proxy, "/chat/", "127.0.0.2 via a unix socket");
}

#[test]
#[ignore = "needs Caddy: tests/run installs it and runs this"]
fn the_recipe_for_caddy_lets_people_in_under_their_own_address() {
    let mut daemon = Daemon::start(&FLAGS);
    let proxy = Proxy::caddy(&daemon.address);
    assert_known(&mut daemon, &proxy, "/chat/", "127.0.0.2 via 127.0.0.1");
}

#[test]
#[ignore = "needs HAProxy: tests/run installs it and runs this"]
fn the_recipe_for_haproxy_lets_people_in_under_their_own_address() {
    let mut daemon = Daemon::start(&FLAGS);
    let proxy = Proxy::haproxy(0, &daemon.address, "");
    assert_known(&mut daemon, &proxy, "/chat/", "127.0.0.2 via 127.0.0.1");
}

#[test]
#[ignore = "needs HAProxy: tests/run installs it and runs this"]
fn haproxy_says_who_it_is_in_both_versions_of_the_proxy_protocol() {
    for version in ["send-proxy-v2", "send-proxy"] {
        let mut daemon = Daemon::start(&["--trusted-proxy", "127.0.0.1", "--proxy-protocol"]);
        let proxy = Proxy::haproxy(1, &daemon.address, version);
        assert_known(&mut daemon, &proxy, "/", "127.0.0.2 via 127.0.0.1");
    }
}

/// Without the flag in roomd, or without the header from the proxy: nobody gets in, and both ends say why.
#[test]
#[ignore = "needs HAProxy: tests/run installs it and runs this"]
fn when_haproxy_and_roomd_do_not_agree_on_the_proxy_protocol_the_log_says_what_is_missing() {
    for (flags, send, part) in [
        (
            &["--trusted-proxy", "127.0.0.1", "--proxy-protocol"][..],
            "",
            "has to begin with a header of the PROXY protocol",
        ),
        (&["--trusted-proxy", "127.0.0.1"], "send-proxy", "see --proxy-protocol and --trusted-proxy"),
        (&["--trusted-proxy", "127.0.0.1"], "send-proxy-v2", "see --proxy-protocol and --trusted-proxy"),
    ] {
        let mut daemon = Daemon::start(flags);
        let proxy = Proxy::haproxy(1, &daemon.address, send);
        let answer = String::from_utf8_lossy(&proxy.ask("/").read_to_end()).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(part), "{answer}");
        let line = daemon.wait_for_log(part);
        assert!(line.contains(" INFO "), "{line}");
    }
}
