//! One daemon at a time: the lock that a daemon holds while it has a history open.
//!
//! SQLite's own locks cannot say that, for other programs may read and write the file beside the daemon. So it is a lock of
//! the operating system (`flock`), which ends with the process in whatever way that ends: no stale lock is left behind.
//!
//! On Linux it lies on the file itself. Unlike a lock file beside it, it cannot be deleted, and it holds under every name
//! of the file: through a link, and after the file was moved. There, `flock` and SQLite's locks (`fcntl`) do not see each
//! other. On other systems they do, and a lock file `FILE-lock` is used. It stays behind, unlocked.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held for as long as it lives. It must be dropped after the connection to the file.
#[derive(Debug)]
pub(super) struct DaemonLock {
    file: File,
}

impl DaemonLock {
    /// Takes the lock of the file at `path`, which is there.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if another daemon has it.
    pub(super) fn take(path: &Path) -> Result<DaemonLock, TryLockError> {
        let file = if cfg!(target_os = "linux") {
            File::open(path)
        } else {
            let path = lock_path(&path.canonicalize().map_err(TryLockError::Error)?);
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
        };
        let file = file.map_err(TryLockError::Error)?;
        match file.try_lock() {
            Ok(()) => Ok(DaemonLock { file }),
            Err(error) => {
                // To close it would release the locks that SQLite has on the file in this process, if the daemon that has it
                // open is this one. That is only so in tests; a second daemon ends now.
                std::mem::forget(file);
                Err(error)
            }
        }
    }
}

impl Drop for DaemonLock {
    /// To close the file is not enough: a process that is being started has it open, too, for a moment.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push("-lock");
    lock.into()
}
