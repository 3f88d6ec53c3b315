//! The folder channel: one `.eml` file per message, whole or not at all.
//!
//! A file is written aside, brought to the disk, then renamed. Its name is made from
//! the key, so a run after a crash finds what the first one wrote and leaves it alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::permit::RECALLED;
use super::{Code, Envelope, Error, Outcome, Permit};

/// Files on their way to the disk at once: the disk commits those of all threads together.
const WRITERS: usize = 8;

/// A folder that can be written to.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    already_there: AtomicU64,
}

impl Folder {
    /// Makes the folder, for its owner alone, and proves that a file can be put there.
    pub(super) fn open(path: &Path) -> Result<Folder, Error> {
        let failed = |source| Error::Folder { path: path.to_path_buf(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let probe = path.join(".writable.part");
        write_whole(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
        Ok(Folder { path: path.to_path_buf(), already_there: AtomicU64::new(0) })
    }

    /// Writes each message; the first failure of the folder is given beside the outcomes.
    pub(super) fn write(&self, envelopes: &[&Envelope], permit: &Permit) -> (Vec<Outcome>, Option<Error>) {
        let trouble = Mutex::new(None);
        let report = |source| {
            let mut first = trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            first.get_or_insert(Error::Folder { path: self.path.clone(), source });
        };
        let mut outcomes = Vec::with_capacity(envelopes.len());
        std::thread::scope(|scope| {
            let share = envelopes.len().div_ceil(WRITERS).max(1);
            let write_share = |share: &[&Envelope]| -> Vec<Outcome> {
                share
                    .iter()
                    .map(|envelope| match permit.holds() {
                        true => self.write_one(envelope).unwrap_or_else(|source| failed(source, report)),
                        false => RECALLED,
                    })
                    .collect()
            };
            let threads: Vec<_> =
                envelopes.chunks(share).map(|share| (share.len(), scope.spawn(move || write_share(share)))).collect();
            for (messages, thread) in threads {
                let lost = || vec![Outcome::Deferred { code: Code::NotWritten(None) }; messages];
                outcomes.extend(thread.join().unwrap_or_else(|_| lost()));
            }
        });
        // A renamed file is there for ever only when its folder is on the disk too.
        if let Err(source) = File::open(&self.path).and_then(|folder| folder.sync_all()) {
            report(source);
        }
        (outcomes, trouble.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn already_there(&self) -> u64 {
        self.already_there.load(Ordering::Relaxed)
    }

    fn write_one(&self, envelope: &Envelope) -> io::Result<Outcome> {
        let path = self.path.join(format!("{}.eml", envelope.file_stem()));
        match fs::read(&path) {
            Ok(bytes) if bytes == envelope.text.as_bytes() => {
                self.already_there.fetch_add(1, Ordering::Relaxed);
                return Ok(Outcome::Accepted);
            }
            // A letter of this key has left already, and what has left is not changed.
            Ok(_) => return Ok(Outcome::Refused { code: Code::AnotherInPlace }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let aside = self.path.join(format!(".{}.part", envelope.file_stem()));
        let written = write_whole(&aside, envelope.text.as_bytes()).and_then(|()| fs::rename(&aside, &path));
        if written.is_err() {
            // The half of a file takes room on a full disk; if it cannot be removed either, the next run replaces it.
            let _ = fs::remove_file(&aside);
        }
        written.map(|()| Outcome::Accepted)
    }
}

fn failed(source: io::Error, report: impl Fn(io::Error)) -> Outcome {
    let code = Code::NotWritten(source.raw_os_error());
    report(source);
    Outcome::Deferred { code }
}

/// Writes a file that only its owner may read, and waits until it is on the disk.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
