//! A server that gives out the daemon's own page but speaks WebSocket as a test tells it to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::browser::{Browser, Tab};
use crate::proxy::last_of_its_connection;
use crate::support::{Daemon, PATIENCE};

/// A server that gives out the daemon's own page, with its headers, but speaks WebSocket as a test tells it to.
pub(crate) struct Impostor {
    pub(crate) address: String,
    visitors: Receiver<TcpStream>,
}

impl Impostor {
    pub(crate) fn start(daemon: &Daemon) -> Impostor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().unwrap().to_string();
        let (sender, visitors) = mpsc::channel();
        let behind = daemon.address.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Browsers open connections in advance and say nothing on them, so that none may hold up the others.
                let (sender, behind) = (sender.clone(), behind.clone());
                std::thread::spawn(move || Impostor::meet(stream, &behind, &sender));
            }
        });
        Impostor { address, visitors }
    }

    fn meet(mut stream: TcpStream, behind: &str, visitors: &Sender<TcpStream>) {
        let mut head = vec![0; 16 * 1024];
        let len = loop {
            match stream.peek(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(len) if head[..len].windows(4).any(|bytes| bytes == b"\r\n\r\n") => break len,
                Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if String::from_utf8_lossy(&head[..len]).to_lowercase().contains("\r\nupgrade: websocket\r\n") {
            let _ = visitors.send(stream);
            return;
        }
        // A page is asked for, and the daemon answers. It is told to close the connection behind its answer, and so do we.
        let mut request = vec![0; len];
        let Ok(mut daemon) = TcpStream::connect(behind) else { return };
        let mut answer = Vec::new();
        if stream.read_exact(&mut request).is_ok()
            && daemon.write_all(last_of_its_connection(&String::from_utf8_lossy(&request)).as_bytes()).is_ok()
            && daemon.read_to_end(&mut answer).is_ok()
        {
            let _ = stream.write_all(&answer);
        }
    }

    /// Waits for a page that asks for a WebSocket. It gets no answer yet.
    pub(crate) fn visitor(&self) -> TcpStream {
        self.visitors.recv_timeout(PATIENCE).expect("the page asks for a WebSocket")
    }

    /// Opens the page, and answers its handshake.
    pub(crate) fn visited_by(&self, browser: &mut Browser) -> (Tab, WebSocket<TcpStream>) {
        let tab = browser.open(&format!("http://{}/", self.address));
        (tab, Impostor::open(self.visitor()))
    }

    /// Answers the handshake.
    pub(crate) fn open(stream: TcpStream) -> WebSocket<TcpStream> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        tungstenite::accept(stream).expect("the page's handshake is a proper one")
    }
}

pub(crate) fn tell(socket: &mut WebSocket<TcpStream>, event: &Value) {
    socket.send(Message::text(event.to_string())).expect("the page listens");
}

pub(crate) fn welcome(name: &str) -> Value {
    json!({ "type": "welcome", "room": "lobby", "online": 1, "users": [name], "last": 0, "name": name, "mess": "hello" })
}
