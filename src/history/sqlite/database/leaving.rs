//! How the files are left: after each write, when the write-ahead log is folded into the file, and at the end.

use std::fs::File;

use rusqlite::config::DbConfig;

use super::super::end_mark::Phase;
use super::super::errors::{self, Cause, DatabaseError, Doing, Lost};
use super::super::file_watch::Found;
use super::super::log_end::log_path;
use super::super::log_growth::LogPages;
use super::opening::set_journal;
use super::{Database, InFile};
use crate::limits::fixed::WAL_BYTES;

/// What SQLite adds to a page in the log, and to all of them.
const LOG_HEADER_BYTES: u64 = 32;
const LOG_PAGE_HEADER_BYTES: u64 = 24;

/// How a checkpoint treats those who read.
#[derive(Debug, Clone, Copy)]
enum Checkpoint {
    /// It waits for nobody, and folds what nobody needs in the log.
    Passive,
    /// It waits for readers as long as SQLite waits for any lock, and cuts the log to nothing.
    Truncate,
}

impl Database {
    /// Whether what is written now is in the file at the path. A write-ahead log that somebody has deleted is made anew: what
    /// was in it is still open here.
    pub(super) fn is_in_place(&mut self) -> Result<(), DatabaseError> {
        match self.watch.look() {
            Ok(Found::AsLeft) => return Ok(()),
            Ok(Found::Changed) => {
                // A mark that does not know it would not fit after a kill.
                self.left();
                return Ok(());
            }
            Ok(Found::Shorter) => {
                if self.is_whole() {
                    self.left();
                    return Ok(());
                }
                self.watch.is_cut();
                return Err(DatabaseError::new(&self.path, Doing::Writing, Cause::Lost(Lost::Cut)));
            }
            Ok(Found::LogGone) => {}
            Err(lost) => {
                // The file that is open shall have all that was said. And the log must not be taken for one of the file that
                // lies there now: the next to open that would write our pages into it.
                if lost != Lost::Cut {
                    self.fold_log();
                }
                return Err(DatabaseError::new(&self.path, Doing::Writing, Cause::Lost(lost)));
            }
        }
        // Leaving the mode folds the log into the file and closes it; coming back makes a new one.
        let renewed = set_journal(&self.connection, "DELETE").and_then(|()| set_journal(&self.connection, "WAL"));
        self.watch.renewed();
        renewed.map_err(|error| self.not_written(error))
    }

    /// Whether the files are as long as SQLite takes them to be. It knows of all that was done with its help.
    fn is_whole(&self) -> bool {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        let (Ok(page_bytes), Ok(pages)) = (pragma("page_size"), pragma("page_count")) else { return false };
        let LogPages { logged, folded } = self.log_pages();
        let log_bytes = if logged == 0 { 0 } else { LOG_HEADER_BYTES + logged * (LOG_PAGE_HEADER_BYTES + page_bytes) };
        // Pages at the end may be in the log only.
        let file_bytes = pages.saturating_sub(logged.saturating_sub(folded)) * page_bytes;
        let [file, log] = self.watch.lengths();
        file >= file_bytes && log >= log_bytes
    }

    /// A file that is not as the last daemon has left it begins anew. That is on the disk, and in the file itself, before
    /// anything is said: so the next daemon knows of it, whatever becomes of the write-ahead log.
    pub(super) fn save_lineage(&mut self) -> Result<(), DatabaseError> {
        if self.in_file != InFile::NotYet {
            return Ok(());
        }
        let saved = self.lineage.save(&self.connection).and_then(|()| self.checkpoint(Checkpoint::Truncate));
        self.watch.folded();
        self.in_file = match saved {
            Ok(()) => {
                self.sync_log();
                InFile::Yes
            }
            Err(error) if errors::is_damage(&error) => InFile::Never,
            Err(error) => return Err(self.not_written(error)),
        };
        Ok(())
    }

    /// After whatever may have changed the files: notes how they are left. A log that has become long is folded.
    pub(super) fn left(&mut self) {
        self.watch.left();
        let pages = self.log_pages();
        self.note(Phase::Logging, pages);
        if self.growth.is_to_fold(pages) {
            self.fold();
        }
    }

    /// Copies what is in the write-ahead log to the file. The next batch overwrites the log. SQLite does not do it by itself:
    /// while it is done, the mark has to say so.
    fn fold(&mut self) {
        self.note(Phase::Folding, self.log_pages());
        let _ = self.checkpoint(Checkpoint::Passive);
        self.watch.left();
        let pages = self.log_pages();
        self.note(Phase::Logging, pages);
        self.growth.folded(pages, self.watch.log_bytes());
    }

    /// Once in a while: the reader that was in the way may have ended.
    pub(super) fn fold_what_was_left(&mut self) {
        if !self.growth.is_blocked() {
            return;
        }
        self.fold();
        if !self.growth.is_blocked() && self.watch.log_bytes() > WAL_BYTES {
            self.fold_log();
        }
    }

    /// Moves what is in the write-ahead log to the file. If that cannot be done now, it is tried again the next time.
    pub(super) fn fold_log(&mut self) {
        self.note(Phase::Folding, self.log_pages());
        let _ = self.checkpoint(Checkpoint::Passive);
        let _ = self.checkpoint(Checkpoint::Truncate);
        self.watch.folded();
        let pages = self.log_pages();
        self.note(Phase::Logging, pages);
        self.growth.folded(pages, self.watch.log_bytes());
    }

    fn checkpoint(&self, how: Checkpoint) -> rusqlite::Result<()> {
        let sql = match how {
            Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        self.connection.query_row(sql, [], |_| Ok(()))
    }

    fn note(&mut self, phase: Phase, pages: LogPages) {
        if self.in_file == InFile::Yes {
            // What of the log is not in the file: nothing, if all of it is.
            let log = if pages.are_in_file() { None } else { self.watch.log_end(pages.logged) };
            self.mark.note(phase, self.watch.file_changed(), log);
        }
    }

    fn log_pages(&self) -> LogPages {
        let pages = self.connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)").and_then(|mut statement| {
            statement.query_row([], |row| Ok(LogPages { logged: row.get(1)?, folded: row.get(2)? }))
        });
        pages.unwrap_or_default()
    }

    /// What a reader keeps in the log is on the disk as well.
    fn sync_log(&self) {
        if !self.log_pages().are_in_file() && !cfg!(test) {
            // A disk that fails now shows itself at the next batch.
            let _ = File::open(log_path(&self.path)).and_then(|log| log.sync_all());
        }
    }

    /// The last writes: the next daemon goes on from here.
    fn end_in_order(&mut self) {
        self.fold();
        if self.in_file != InFile::Yes {
            return;
        }
        let is_marked = self.mark.end(&self.connection);
        // Not with a note: the mark must stay as it was written.
        let _ = self.checkpoint(Checkpoint::Passive);
        self.sync_log();
        if !is_marked {
            self.note(Phase::Logging, self.log_pages());
        }
    }
}

impl Drop for Database {
    /// If no other program has the file open, SQLite folds the log into it and deletes the log, by its name: that may be
    /// another file's by now.
    fn drop(&mut self) {
        let lost = self.watch.look();
        if matches!(lost, Err(Lost::Replaced)) {
            self.fold_log();
        }
        if matches!(lost, Err(Lost::Replaced | Lost::Cut)) {
            // If it cannot be set, there is nothing else that could be done.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        if lost.is_ok() {
            self.end_in_order();
        }
    }
}
