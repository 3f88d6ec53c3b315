//! Texts of a night that are needed once each, and late: they stand in a file without a name, and in memory only where.
//!
//! A night tells of a million reminders how their days came about before the first of them leaves. Held in memory
//! that would be most of what the night takes. The file is in the state folder, nobody else can open it, and it is
//! gone when it is closed, also when the process is killed. It must not know what the texts say.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::personal::{Digest, Personal};

/// Texts by the key of what they are about.
#[derive(Debug, Default)]
pub(super) struct Aside {
    file: Option<File>,
    end: u64,
    /// Where each text begins, by the first half of its key; sorted by it.
    places: Vec<(u64, u64)>,
}

/// Before each text stands its whole key, and how long it is in bytes.
const HEAD_BYTES: usize = KEY_BYTES + 4;

/// As long as a digest: a shorter key is filled up with zeros.
const KEY_BYTES: usize = 32;

impl Aside {
    /// Appends texts. They can be found once [`Aside::sort`] was called.
    pub(super) fn put(&mut self, folder: &Path, texts: impl Iterator<Item = (Digest, String)>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (key, text) in texts {
            self.places.push((first_half(&key), self.end + bytes.len() as u64));
            let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            bytes.extend_from_slice(&whole(&key));
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        let file = match self.file.take() {
            Some(file) => file,
            // It is opened with mode 0600, and without a name where the file system can.
            None => tempfile::tempfile_in(folder)?,
        };
        let written = file.write_all_at(&bytes, self.end);
        self.file = Some(file);
        self.end += bytes.len() as u64;
        written
    }

    /// Makes all that was put aside so far ready to be found.
    pub(super) fn sort(&mut self) {
        self.places.sort_unstable();
        self.places.shrink_to_fit();
    }

    /// The text of a key; none where none was put aside, or where the file cannot be read. From any thread.
    pub(super) fn get(&self, key: &Digest) -> Option<Personal<String>> {
        let (file, wanted, half) = (self.file.as_ref()?, whole(key), first_half(key));
        let from = self.places.partition_point(|(known, _)| *known < half);
        let until = self.places.partition_point(|(known, _)| *known <= half);
        // Of several under one key the last counts.
        for (_, place) in self.places.get(from..until)?.iter().rev() {
            let mut head = [0; HEAD_BYTES];
            file.read_exact_at(&mut head, *place).ok()?;
            let (known, length) = head.split_at(KEY_BYTES);
            if known != wanted {
                continue;
            }
            let length = u32::from_be_bytes(length.try_into().ok()?);
            let mut text = vec![0; usize::try_from(length).ok()?];
            file.read_exact_at(&mut text, place.checked_add(HEAD_BYTES as u64)?).ok()?;
            return String::from_utf8(text).ok().map(Personal::new);
        }
        None
    }
}

fn whole(key: &Digest) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes.iter_mut().zip(key.as_str().bytes()).for_each(|(to, from)| *to = from);
    bytes
}

/// The first sixteen digits, as a number; keys that share it are told apart by what stands before their texts.
fn first_half(key: &Digest) -> u64 {
    key.as_str().get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}
