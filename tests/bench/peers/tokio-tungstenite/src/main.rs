//! A chat room on tokio-tungstenite: a task for each connection, and tokio's broadcast channel between them. As the
//! documentation of tungstenite says, messages are fed to the sink while there are more and flushed then, and the read buffer
//! is small because there are many connections. The text is encoded once; what the channel clones is a reference.

use std::io;

use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::broadcast::{self, Sender, error::RecvError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

#[derive(Serialize)]
struct Event<'a> {
    mess: &'a str,
    name: &'a str,
}

/// Messages that a slow connection may be behind; then it loses some.
const BEHIND: usize = 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = listen()?;
    eprintln!("listening on http://{}/", listener.local_addr()?);
    let (room, _) = broadcast::channel(BEHIND);
    let mut tourists = 0;
    loop {
        let (stream, _) = listener.accept().await?;
        tourists += 1;
        tokio::spawn(member(stream, format!("Tourist {tourists}"), room.clone()));
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(4096)
}

/// A broken connection ends its task, and that is all.
async fn member(stream: TcpStream, name: String, room: Sender<Utf8Bytes>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    let (mut sink, mut stream) = socket.split();
    let mut events = room.subscribe();
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let event = serde_json::to_string(&Event { mess: &text, name: &name }).unwrap_or_default();
                    let _ = room.send(event.into());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {}
            },
            event = events.recv() => {
                match event {
                    Ok(event) => sink.feed(Message::Text(event)).await?,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Ok(()),
                }
                while let Ok(event) = events.try_recv() {
                    sink.feed(Message::Text(event)).await?;
                }
                sink.flush().await?;
            }
        }
    }
}
