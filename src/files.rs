//! Files that are there whole or not at all.
//!
//! A file is written under another name in the same folder, flushed to the disk,
//! and renamed; then the folder is flushed too. A crash leaves the old file or
//! the new one. This module must not know what is in a file.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder and those above it, readable by the service's account alone.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts `bytes` at `path` in place of what was there; mode 0600.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o600)
}

/// Like [`replace`], with the mode of the new file: 0644 for what is published.
pub fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    // One name, so that what a killed process left is written over by the next; the state folder has one writer.
    let aside = path.with_file_name(format!(".{name}.part"));
    let written = write_through(&aside, bytes, mode).and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        // The first error is the one to report; the leftover is hidden and harmless.
        let _ = std::fs::remove_file(&aside);
    }
    written?;
    match path.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

fn write_through(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Flushes the names in a folder to the disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A lock on a file, held by one process at a time; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Takes the lock, making the file where there is none; none when somebody else has it.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FileLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing alone is not enough: a process that was being started at this
        // moment holds a copy of the descriptor, and the lock with it, until it
        // runs its own program. The file is closed next in any case.
        let _ = self.0.unlock();
    }
}
