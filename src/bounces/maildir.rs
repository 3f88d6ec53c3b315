//! A maildir: one file per letter, taken from `new` and `cur`, put away into two folders of the same file system.
//!
//! A rename is whole or not at all. This module must not know what a letter says.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::Date;
use rustix::fs::OFlags;

use super::{BATCH, BYTES_MAX, Error, KEPT_DAYS, Letter, Shelf, Where, unusable};
use crate::personal::sha256;

/// Folders as mail programs show them (Maildir++).
const PROCESSED: &str = ".Processed/cur";
const TO_LOOK_AT: &str = ".ToLookAt/cur";

#[derive(Debug)]
pub(super) struct Maildir {
    path: PathBuf,
}

impl Maildir {
    /// Opens it, and makes the two folders.
    pub(super) fn open(path: &Path) -> Result<Maildir, Error> {
        if !path.join("new").is_dir() {
            return Err(Error::NotMaildir { path: path.to_path_buf() });
        }
        for folder in [PROCESSED, TO_LOOK_AT] {
            let folder = path.join(folder);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(unusable(&folder))?;
            for beside in ["new", "tmp"] {
                let beside = folder.with_file_name(beside);
                let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&beside);
                made.map_err(unusable(&beside))?;
            }
        }
        Ok(Maildir { path: path.to_path_buf() })
    }

    /// The next letters, the oldest names first.
    pub(super) fn next(&self) -> Result<Vec<Letter>, Error> {
        let mut paths = Vec::new();
        for folder in ["new", "cur"] {
            let folder = self.path.join(folder);
            let listing = match fs::read_dir(&folder) {
                Ok(listing) => listing,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(Error::Maildir { path: folder, source }),
            };
            for entry in listing {
                let entry = entry.map_err(unusable(&folder))?;
                // Only letters: a link would let whoever delivers show us another file.
                if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    paths.push(entry.path());
                }
            }
        }
        paths.sort();
        let mut letters = Vec::new();
        for path in paths.into_iter().take(BATCH) {
            match read(&path) {
                Ok(bytes) => letters.push(Letter { id: sha256(&bytes), bytes, place: Where::File(path) }),
                // A mail program moved it meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Maildir { path, source }),
            }
        }
        Ok(letters)
    }

    /// Moves a letter. Two letters of the same bytes are one.
    pub(super) fn put_away(&self, path: &Path, id: &str, shelf: Shelf) -> Result<(), Error> {
        let folder = self.path.join(match shelf {
            Shelf::Processed => PROCESSED,
            Shelf::ToLookAt => TO_LOOK_AT,
        });
        // Seen, as maildirs say it.
        match fs::rename(path, folder.join(format!("{id}:2,S"))) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            moved => moved.map_err(unusable(path)),
        }
    }

    /// Removes letters that were put away long ago; they are as old as their files.
    pub(super) fn forget(&self, today: Date) -> Result<(), Error> {
        let first_kept = today.saturating_sub(i64::from(KEPT_DAYS).days());
        for folder in [PROCESSED, TO_LOOK_AT] {
            let folder = self.path.join(folder);
            for entry in fs::read_dir(&folder).map_err(unusable(&folder))? {
                let entry = entry.map_err(unusable(&folder))?;
                let Ok(changed) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
                let Ok(changed) = jiff::Timestamp::try_from(changed) else { continue };
                if changed.to_zoned(crate::calendar::vietnam()).date() < first_kept {
                    fs::remove_file(entry.path()).map_err(unusable(&entry.path()))?;
                }
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    // Neither a link that took the file's place nor a pipe: flags are few bits of a positive number.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
