//! Files that are there whole or not at all.
//!
//! A file is written under another name in the same folder, flushed to the disk,
//! and renamed; then the folder is flushed too. A crash leaves the old file or
//! the new one. This module must not know what is in a file.

use std::fs::{DirBuilder, File, OpenOptions};
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
