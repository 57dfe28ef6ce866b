//! What roomd can do instead of serving: each subcommand with its arguments and its help.

use std::path::PathBuf;

use super::history::HistoryFile;

/// What roomd can do instead of serving.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, reason = "these comments are the help text, too")]
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Subcommand {
    /// Show the WebSocket frames in some bytes, bit by bit, and what is wrong with them.
    ///
    /// Masked frames are taken for a client's, unmasked ones for a server's; both may be mixed, as in a capture. The
    /// fragments of a message are joined at its end. Decoding stops at the first fault, as a server does.
    ///
    /// Exit code 0: well-formed; 1: something is wrong with a frame, or its end is missing; 2: not hex.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd decode 81 85 37 fa 21 3d 7f 9f 4d 51 58     the masked \"Hello\" of RFC 6455 section 5.7\n  \
            roomd decode 0x88 0x02 0x03 0xe8                  a Close with code 1000\n  \
            roomd decode 01:03:48:65:6c 80:02:6c:6f           a message in two fragments\n  \
            xxd -p capture | roomd decode -                   what a file holds"
    )]
    Decode {
        /// The bytes in hex: with or without blanks, newlines, colons, commas and 0x; several are joined. "-" reads
        /// standard input
        #[arg(required = true, value_name = "HEX")]
        hex: Vec<String>,
    },

    /// Find what is damaged in the file of a history.
    ///
    /// Looks at its pages, at the checksum of every message, and for ids that are missing. Names the messages that cannot be read any more, by room and id. Changes nothing. A daemon may be at work
    /// meanwhile.
    ///
    /// Exit code 0: fine; 1: damaged; 2: it could not be checked, and one sentence says why.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd check roomd.db                              the file in the working directory\n  \
            roomd check /var/lib/roomd/history.db             that of the service\n"
    )]
    Check {
        /// The file, as in --history
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },

    /// Write a copy of the history to a new file, also while a daemon is at work.
    ///
    /// The copy has all that was said up to one moment. It is a history as any other: to restore it, stop the daemon and put
    /// it in the place of the file, without the -wal and -shm that lie there. An existing FILE is not overwritten.
    ///
    /// Exit code 0: written; 2: not written, and one sentence says why.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd backup \"/backup/roomd-$(date +%F).db\"\n  \
            roomd backup --history /var/lib/roomd/history.db /backup/roomd.db\n"
    )]
    Backup {
        /// Where the copy is written
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[allow(missing_docs, reason = "a comment would be help text")]
        #[command(flatten)]
        history: HistoryFile,
    },

    /// List the rooms of the history with the size of each, also while a daemon is at work.
    ///
    /// A line for each room, where something was said last first: how many messages are kept, bytes of their texts and names, the
    /// ids and times (UTC) of the oldest and the newest. Who is in a room now is not in the file: the daemon tells that to members, with /who.
    ///
    /// Exit code 0: listed; 1: some rooms are damaged; 2: it could not be read, and one sentence says why.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd rooms                                       of the file in the working directory\n  \
            roomd rooms --history /var/lib/roomd/history.db   of that of the service\n"
    )]
    Rooms {
        #[allow(missing_docs, reason = "a comment would be help text")]
        #[command(flatten)]
        history: HistoryFile,
    },

    /// Show, step by step, how Sec-WebSocket-Accept is made out of a client's Sec-WebSocket-Key.
    ///
    /// Exit code 0: the key is good; 1: it is not, and a server refuses it.
    #[command(
        max_term_width = 100,
        after_help = "Try it:\n  \
            roomd handshake                                   with the key of RFC 6455 section 1.3\n  \
            roomd handshake \"$(head -c 16 /dev/urandom | base64)\"\n"
    )]
    Handshake {
        /// The key, as the client sent it; without it, the RFC's example
        #[arg(value_name = "KEY")]
        key: Option<String>,
    },
}
