//! `roomd rooms` and `roomd backup`: what is shown of them.

use std::fmt::{self, Write as _};

use crate::history::sqlite::backup::Backup;
use crate::history::sqlite::room_sizes::{RoomSize, RoomSizes};

/// A table, a line for each room, and the sums.
pub(super) fn table(sizes: &RoomSizes) -> Result<String, fmt::Error> {
    let mut text = String::new();
    if !sizes.rooms.is_empty() {
        let head = ["messages", "bytes", "first id", "last id", "oldest", "newest"];
        writeln!(
            text,
            "{:>10} {:>12} {:>16} {:>16}  {:<20}  {:<20}  room",
            head[0], head[1], head[2], head[3], head[4], head[5]
        )?;
    }
    for RoomSize { name, messages, bytes, ends } in &sizes.rooms {
        let [oldest, newest] = match ends {
            Some(ends) => [&ends[0], &ends[1]].map(|said| (said.id.to_string(), &*said.time)),
            None => [(); 2].map(|()| ("-".to_owned(), "-")),
        };
        writeln!(
            text,
            "{messages:>10} {bytes:>12} {:>16} {:>16}  {:<20}  {:<20}  {name}",
            oldest.0, newest.0, oldest.1, newest.1
        )?;
    }
    for name in &sizes.damaged {
        writeln!(text, "{name} is damaged; run `roomd check` on the file")?;
    }
    let sum = |of: fn(&RoomSize) -> u64| sizes.rooms.iter().map(of).sum::<u64>();
    let (messages, bytes) = (sum(|room| room.messages), sum(|room| room.bytes));
    writeln!(text, "{}, {}, {bytes} bytes", counted(sizes.rooms.len() as u64, "room"), counted(messages, "message"))?;
    Ok(text)
}

pub(super) fn written(Backup { path, rooms, messages, bytes }: &Backup) -> String {
    format!("wrote {}: {}, {}, {bytes} bytes\n", path.display(), counted(*rooms, "room"), counted(*messages, "message"))
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
