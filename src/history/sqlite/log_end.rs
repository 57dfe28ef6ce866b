//! Reads the write-ahead log to find its end, and commits that SQLite will not read.
//!
//! SQLite reads the log up to the first page with a wrong checksum, and takes the rest for a write that a crash has cut
//! off. Mostly it is one. But after a flipped bit in the middle, all later commits are lost, and SQLite does not say so.
//! The two cases can be told apart: the last page of a transaction says that it was committed.
//!
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The first number of a log. One more if its checksums read numbers with the highest byte first.
const MAGIC: u32 = 0x377F_0682;

/// The write-ahead log of the database at `path`.
pub(super) fn log_path(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// The index of that log, which lies in memory that SQLite's users share.
pub(super) fn index_path(path: &Path) -> PathBuf {
    beside(path, "-shm")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEnd {
    /// Which file it is.
    pub(super) inode: u64,
    /// Random numbers of this round through the log. Each round has others.
    pub(super) salts: [u32; 2],
    /// Pages up to the end of the last transaction.
    pub(super) frames: u64,
}

impl LogEnd {
    /// Reads the log of the database at `path` to its end. None if there is no log.
    pub(super) fn of(path: &Path) -> Option<LogEnd> {
        let log = File::open(log_path(path)).ok()?;
        let inode = log.metadata().ok()?.ino();
        let Scan { salts, frames, .. } = scan(BufReader::new(log)).ok()?;
        Some(LogEnd { inode, salts: salts?, frames })
    }

    /// The end of the log when the number of its pages is known: only the header is read.
    pub(super) fn in_file(log: &File, inode: u64, frames: u64) -> Option<LogEnd> {
        let mut header = [0; HEADER_BYTES];
        log.read_exact_at(&mut header, 0).ok()?;
        let [.., salt_0, salt_1, _, _] = numbers::<8>(&header);
        Some(LogEnd { inode, salts: [salt_0, salt_1], frames })
    }

    /// Whether this log has everything that the other end had.
    pub(super) fn reaches(self, other: LogEnd) -> bool {
        (self.inode, self.salts) == (other.inode, other.salts) && self.frames >= other.frames
    }

    pub(super) fn from_words(words: &[&str]) -> Option<LogEnd> {
        let [inode, salt_0, salt_1, frames] = words else { return None };
        let salts = [salt_0.parse().ok()?, salt_1.parse().ok()?];
        Some(LogEnd { inode: inode.parse().ok()?, salts, frames: frames.parse().ok()? })
    }
}

impl fmt::Display for LogEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogEnd { inode, salts: [salt_0, salt_1], frames } = self;
        write!(formatter, "{inode} {salt_0} {salt_1} {frames}")
    }
}

/// The number of committed transactions that SQLite will not read, because they lie behind a damaged page. Each is a batch
/// of messages. Must be called before the database is opened, which may overwrite them.
pub(super) fn lost_batches(path: &Path) -> u64 {
    // If the log cannot be read, SQLite reports it when it opens the database.
    File::open(log_path(path)).and_then(|log| scan(BufReader::new(log))).map_or(0, |scan| scan.lost)
}

/// The same while a daemon may write to the log, which looks like damage just where it does so. If the log has not changed
/// between two looks, nobody does.
pub(super) fn surely_lost_batches(path: &Path) -> u64 {
    let [first, second] = [(); 2].map(|()| File::open(log_path(path)).and_then(|log| scan(BufReader::new(log))).ok());
    if first == second { first.map_or(0, |scan| scan.lost) } else { 0 }
}

/// What was found in a log.
#[derive(Default, PartialEq, Eq)]
struct Scan {
    /// None if there is no header.
    salts: Option<[u32; 2]>,
    /// Pages up to the end of the last transaction that can be read.
    frames: u64,
    /// Committed transactions behind that end.
    lost: u64,
}

fn scan(mut log: impl Read) -> io::Result<Scan> {
    let mut found = Scan::default();
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? {
        return Ok(found);
    }
    let [magic, _version, page_bytes, _sequence, salt_0, salt_1, sum_0, sum_1] = numbers(&header);
    let mut sum = Checksum { numbers: (0, 0), is_big_endian: magic == MAGIC + 1 };
    sum.add(&header[..HEADER_BYTES - 8]);
    let mut is_whole = magic & !1 == MAGIC && sum.numbers == (sum_0, sum_1);
    let page_bytes = if page_bytes.is_power_of_two() && page_bytes <= 1 << 16 { page_bytes as usize } else { 4_096 };
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    // If the header is damaged, the salts of the first page stand in for it.
    let mut salts = is_whole.then_some([salt_0, salt_1]);
    found.salts = salts;
    let mut count = 0;
    while fill(&mut log, &mut frame)? {
        count += 1;
        let [_page, pages_after_commit, frame_salt_0, frame_salt_1, sum_0, sum_1] = numbers(&frame);
        // Pages of an earlier round have other salts; a hole has zeros.
        let frame_salts = [frame_salt_0, frame_salt_1];
        salts = salts.or(Some(frame_salts).filter(|salts| *salts != [0; 2]));
        let is_of_this_round = salts == Some(frame_salts);
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER_BYTES..]);
        is_whole &= is_of_this_round && sum.numbers == (sum_0, sum_1);
        let is_end = is_of_this_round && pages_after_commit > 0;
        if is_whole && is_end {
            found.frames = count;
        }
        found.lost += u64::from(!is_whole && is_end);
    }
    Ok(found)
}

/// Reads as many bytes. False if the log ends before.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first numbers of `bytes`.
fn numbers<const COUNT: usize>(bytes: &[u8]) -> [u32; COUNT] {
    let mut numbers = [0; COUNT];
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *number = u32::from_be_bytes(*bytes);
    }
    numbers
}

/// Over all that comes before it in the log.
struct Checksum {
    numbers: (u32, u32),
    is_big_endian: bool,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let number = if self.is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        let (mut first, mut second) = self.numbers;
        for pair in bytes.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *pair;
            first = first.wrapping_add(number([a, b, c, d])).wrapping_add(second);
            second = second.wrapping_add(number([e, f, g, h])).wrapping_add(first);
        }
        self.numbers = (first, second);
    }
}
