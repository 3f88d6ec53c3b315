//! The shelf: a folder of frozen periods, and how a period gets there whole.
//!
//! Files are written into a staging folder beside the shelf, on the same file
//! system, and made durable there; one rename per period then shows them. This
//! module must not know what the files hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::Difference;
use super::stock::{names, restatement_number};
use super::{Error, PublishedFile, Status, together};
use crate::personal::hex;

/// A publishing in progress: what is on the shelf is compared, what is new is staged.
///
/// Dropped without [`Shelving::commit`], it removes its staging folder and the
/// shelf is as it was.
pub(super) struct Shelving {
    shelf: PathBuf,
    staging: Staging,
    new_periods: Vec<String>,
    files: Vec<PublishedFile>,
}

impl Shelving {
    /// Begins: makes the shelf if there is none and removes what a crash left beside it.
    pub(super) fn begin(shelf: &Path) -> Result<Self, Error> {
        let shelf = resolve(shelf)?;
        let staging = Staging::begin(&shelf)?;
        Ok(Shelving { shelf, staging, new_periods: Vec::new(), files: Vec::new() })
    }

    /// Takes all files of one period: compares them where the period is published, stages them where it is not.
    pub(super) fn period(&mut self, period: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
        let published = self.shelf.join(period);
        let is_new = match fs::symlink_metadata(&published) {
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(source) => return Err(Error::Read { path: published, source }),
            Ok(_) => false,
        };
        let status = if is_new {
            self.staging.folder(period, files)?;
            self.new_periods.push(period.to_owned());
            Status::Written
        } else {
            compare(&published, period, files, |present, bytes| present == bytes.as_slice())?;
            Status::Unchanged
        };
        let files: Vec<(&String, &Vec<u8>)> = files.iter().collect();
        self.files
            .extend(together::map(&files, |(name, bytes)| published_file(Path::new(period).join(name), bytes, status)));
        Ok(())
    }

    /// Shows what was staged, one period at a time, and returns every file.
    pub(super) fn commit(self) -> Result<Vec<PublishedFile>, Error> {
        for period in &self.new_periods {
            let target = self.shelf.join(period);
            fs::rename(self.staging.path.join(period), &target)
                .map_err(write_error("put the period on the shelf", &target))?;
        }
        let homes: std::collections::BTreeSet<_> = self
            .new_periods
            .iter()
            .filter_map(|period| Some(self.shelf.join(period).parent()?.to_path_buf()))
            .collect();
        homes.iter().try_for_each(|home| sync_folder(home))?;
        Ok(self.files)
    }
}

/// Replaces one living file of the shelf: written aside, made durable, renamed. The same bytes are left alone.
pub(super) fn replace(shelf: &Path, name: &str, bytes: &[u8]) -> Result<PublishedFile, Error> {
    let target = shelf.join(name);
    match fs::read(&target) {
        Ok(present) if present == bytes => return Ok(published_file(name.into(), bytes, Status::Unchanged)),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Read { path: target, source }),
    }
    let shelf = resolve(shelf)?;
    let target = shelf.join(name);
    let home = target.parent().unwrap_or(&shelf);
    make_folder(home)?;
    let staging = Staging::begin(&shelf)?;
    make_folder(&staging.path)?;
    let aside = staging.path.join("aside");
    write_file(&aside, bytes)?;
    fs::rename(&aside, &target).map_err(write_error("put the file on the shelf", &target))?;
    sync_folder(home)?;
    Ok(published_file(name.into(), bytes, Status::Written))
}

/// Replaces many living files of the shelf at once, and takes away what else is in `folders`, which hold such files only.
/// The same bytes are left alone. Each file is durable before it is shown.
pub(super) fn replace_all(
    shelf: &Path,
    files: &[(String, Vec<u8>)],
    folders: &[&str],
) -> Result<Vec<PublishedFile>, Error> {
    let shelf = resolve(shelf)?;
    let staging = Staging::begin(&shelf)?;
    make_folder(&staging.path)?;
    for folder in folders {
        make_folder(&shelf.join(folder))?;
    }
    // Most of the time goes into waiting for the disk, so that a few files wait together.
    let share = files.len().div_ceil(WRITERS).max(1);
    let parts = std::thread::scope(|scope| {
        let (shelf, staging) = (&shelf, &staging.path);
        let writers: Vec<_> = files
            .chunks(share)
            .enumerate()
            .map(|(writer, part)| {
                let one = move |(name, bytes): &(String, Vec<u8>)| {
                    replace_one(&shelf.join(name), &staging.join(writer.to_string()), name, bytes)
                };
                scope.spawn(move || part.iter().map(one).collect::<Result<Vec<_>, Error>>())
            })
            .collect();
        writers.into_iter().map(|writer| writer.join()).collect::<Vec<_>>()
    });
    let mut published = Vec::with_capacity(files.len());
    for part in parts {
        published.extend(part.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))?);
    }
    let known: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for folder in folders {
        for name in names(&shelf.join(folder))?.iter().map(|name| format!("{folder}/{name}")) {
            if !known.contains(name.as_str()) {
                remove(&shelf, &name)?;
            }
        }
        sync_folder(&shelf.join(folder))?;
    }
    sync_folder(&shelf)?;
    published.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(published)
}

/// So many files are written at a time.
const WRITERS: usize = 8;

fn replace_one(target: &Path, aside: &Path, name: &str, bytes: &[u8]) -> Result<PublishedFile, Error> {
    match fs::read(target) {
        Ok(present) if present == bytes => return Ok(published_file(name.into(), bytes, Status::Unchanged)),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Read { path: target.to_path_buf(), source }),
    }
    write_file(aside, bytes)?;
    fs::rename(aside, target).map_err(write_error("put the file on the shelf", target))?;
    Ok(published_file(name.into(), bytes, Status::Written))
}

/// The SHA-256 of every file of the shelf, by its path, in the order of the paths; hidden files are left out.
pub(super) fn hashes(shelf: &Path, without: &[&str]) -> Result<Vec<(String, String)>, Error> {
    let mut waiting = vec![String::new()];
    let mut hashes = Vec::new();
    while let Some(folder) = waiting.pop() {
        for name in names(&shelf.join(&folder))? {
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let path = shelf.join(&name);
            if path.is_dir() {
                waiting.push(name);
            } else if !without.contains(&name.as_str()) {
                let bytes = fs::read(&path).map_err(|source| Error::Read { path, source })?;
                hashes.push((name, hex(&Sha256::digest(bytes))));
            }
        }
    }
    hashes.sort_unstable();
    Ok(hashes)
}

/// Takes a file off the shelf for good; one that is gone already is no error.
pub(super) fn remove(shelf: &Path, name: &str) -> Result<(), Error> {
    let path = shelf.join(name);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Write { doing: "take a withdrawn file off the shelf", path, source }),
    }
    sync_folder(path.parent().unwrap_or(shelf))
}

/// Makes the shelf if there is none, and follows it to where it really is.
///
/// The shelf may be a symbolic link into a web root on another file system. What is
/// staged has to stand beside the folder itself and not beside the link, or the
/// rename that shows a period would have to cross file systems, which it cannot.
fn resolve(shelf: &Path) -> Result<PathBuf, Error> {
    make_folder(shelf)?;
    fs::canonicalize(shelf).map_err(write_error("find the folder that it stands for", shelf))
}

/// The folder beside the shelf in which everything is made; it goes when its owner goes.
struct Staging {
    path: PathBuf,
}

impl Staging {
    fn begin(shelf: &Path) -> Result<Self, Error> {
        // A sibling is on the same file system, where a rename is one step; a
        // child of the shelf would be served by the web server while it grows.
        let mut name = shelf.file_name().unwrap_or("shelf".as_ref()).to_os_string();
        name.push(".staging");
        let path = shelf.with_file_name(name);
        match fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Write { doing: "remove what an interrupted run left", path, source }),
        }
        Ok(Staging { path })
    }

    fn folder(&self, name: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
        let folder = self.path.join(name);
        make_folder(&folder)?;
        // Most of the time goes into waiting for the disk, so that a few files wait together.
        let files: Vec<(&String, &Vec<u8>)> = files.iter().collect();
        for written in together::map(&files, |(name, bytes)| write_file(&folder.join(name), bytes)) {
            written?;
        }
        sync_folder(&folder)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run; there is nothing better to do here.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether a period stands as it was recorded; false when its folder is not there at all.
pub(super) fn is_frozen(shelf: &Path, period: &str, files: &[(String, String)]) -> Result<bool, Error> {
    let folder = shelf.join(period);
    if matches!(fs::symlink_metadata(&folder), Err(error) if error.kind() == ErrorKind::NotFound) {
        return Ok(false);
    }
    let names: BTreeMap<&str, &String> = files.iter().map(|(name, hash)| (name.as_str(), hash)).collect();
    compare(&folder, period, &names, |present, hash| hex(&Sha256::digest(present)) == **hash)?;
    Ok(true)
}

/// Proves that a published period holds these files and no others; `same` compares what is there with what should be.
fn compare<N: AsRef<str> + Ord + std::borrow::Borrow<str>, E>(
    folder: &Path,
    period: &str,
    files: &BTreeMap<N, E>,
    same: impl Fn(&[u8], &E) -> bool,
) -> Result<(), Error> {
    let differs =
        |name: &str, how| Error::WouldChange { period: period.to_owned(), file: Path::new(period).join(name), how };
    for (name, expected) in files {
        let name = name.as_ref();
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(present) if same(&present, expected) => {}
            Ok(_) => return Err(differs(name, Difference::Content)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(differs(name, Difference::Missing));
            }
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    let read = |source| Error::Read { path: folder.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        let name = name.to_string_lossy();
        // Hidden files are the lock files of somebody who has a table open; a restatement is frozen by itself.
        let is_known = files.contains_key(name.as_ref()) || restatement_number(&name).is_some();
        if !is_known && !name.starts_with('.') {
            return Err(differs(&name, Difference::Unexpected));
        }
    }
    Ok(())
}

fn published_file(path: PathBuf, bytes: &[u8], status: Status) -> PublishedFile {
    // A length in memory always fits 64 bits.
    PublishedFile { path, bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)), status }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = File::create_new(path).map_err(write_error("create a file", path))?;
    file.write_all(bytes).map_err(write_error("write a file", path))?;
    file.sync_all().map_err(write_error("make a file durable", path))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(write_error("make a folder", path))
}

/// A rename is durable when the folder that holds the name is.
fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(write_error("make a folder durable", path))
}

fn write_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Write { doing, path, source }
}
