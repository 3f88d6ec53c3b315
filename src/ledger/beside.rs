//! What people confirmed, sealed, in a second place: the folder `said.parts` beside `said.journal`.
//!
//! A journal of decisions alone would know that somebody confirmed a dossier, and not what. Each sealed part is a file of
//! its own, named by the dossier and the SHA-256 of its bytes; it is there before the decision is journaled, and goes when
//! nothing of the dossier is kept any more. It must not know what the bytes say, nor the key.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::files;
use crate::personal::{random_numbers, sha256};

/// The folder.
const FOLDER: &str = "said.parts";

/// The folder of a ledger's file.
fn folder(ledger: &Path) -> PathBuf {
    ledger.with_file_name(FOLDER)
}

fn name(dossier: &str, digest: &str) -> String {
    format!("{dossier}.{digest}")
}

/// Keeps parts of a dossier; they are on the disk when this returns. One that is there already stays.
pub(super) fn keep<'p>(ledger: &Path, dossier: &str, parts: impl Iterator<Item = &'p [u8]>) -> io::Result<()> {
    let folder = folder(ledger);
    files::private_folder(&folder)?;
    for part in parts {
        let path = folder.join(name(dossier, &sha256(part)));
        if path.exists() {
            continue;
        }
        // What a killed process left aside is not written over: it may be half of something else.
        let aside = random_numbers(1).and_then(|mut numbers| numbers.pop()).ok_or(io::ErrorKind::Other)?;
        let aside = folder.join(name(dossier, &aside));
        files::replace(&aside, part)?;
        std::fs::rename(&aside, &path)?;
        files::sync_folder(&folder)?;
    }
    Ok(())
}

/// A part of a dossier by its digest; none where it is not there, or another.
pub(super) fn part(ledger: &Path, dossier: &str, digest: &str) -> Option<Vec<u8>> {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let path = folder(ledger).join(name(dossier, digest));
    let bytes = (is_name(dossier) && is_name(digest)).then(|| std::fs::read(path))?.ok()?;
    (sha256(&bytes) == digest).then_some(bytes)
}

/// Removes every part of these dossiers.
pub(super) fn forget(ledger: &Path, dossiers: &[String]) -> io::Result<()> {
    let folder = folder(ledger);
    let listing = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listing => listing?,
    };
    let gone: HashSet<&str> = dossiers.iter().map(String::as_str).collect();
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name();
        let dossier = name.to_str().and_then(|name| name.trim_start_matches('.').split_once('.'));
        if dossier.is_some_and(|(dossier, _)| gone.contains(dossier)) {
            match std::fs::remove_file(entry.path()) {
                // Another window was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
    }
    files::sync_folder(&folder)
}

/// The dossiers of which there are parts.
pub(super) fn kept(ledger: &Path) -> BTreeSet<String> {
    let listing = std::fs::read_dir(folder(ledger)).into_iter().flatten().flatten();
    let names = listing.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some(name.trim_start_matches('.').split_once('.')?.0.to_owned())).collect()
}
