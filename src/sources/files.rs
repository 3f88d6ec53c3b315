//! A folder of files: CSV, NDJSON, workbooks or Parquet, one file per table.
//!
//! The readers give each value as it stands in the file, so that our type policy decides and no library
//! guesses a type, drops a field or replaces a byte before we have seen it.

use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::{Answer, Error, Found, Request, Take};
use crate::pipeline::SourceTable;
use crate::pipeline::filter::Dialect;

/// The format of the files of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, one record per line.
    Csv {
        /// One byte between fields.
        delimiter: u8,
    },
    /// Text, one JSON object per line.
    NdJson,
    /// A workbook of Excel or LibreOffice.
    Excel,
    /// Apache Parquet.
    Parquet,
}

impl Kind {
    /// What the names of its files end in.
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Kind::Csv { .. } => &["csv"],
            Kind::NdJson => &["ndjson", "jsonl"],
            Kind::Excel => &["xlsx", "xls", "ods"],
            Kind::Parquet => &["parquet"],
        }
    }
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    shown: PathBuf,
    kind: Kind,
}

/// One file: where it is, and how people call it.
#[derive(Debug)]
pub(super) struct Named {
    /// The granted folder; whoever set it up may have linked it to another place.
    folder: PathBuf,
    /// Below the folder.
    name: PathBuf,
    /// Relative to the installation folder.
    pub(super) shown: PathBuf,
}

/// A file of which the first bytes were looked at.
pub(super) type Start = std::io::Chain<Cursor<Vec<u8>>, File>;

/// What `open` answers when the last part of a path is a link that it must not follow.
const IS_A_LINK: i32 = libc::ELOOP;

impl Named {
    pub(super) fn failed(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.shown.clone(), source }
    }

    /// Opens the file that stands in the granted folder itself.
    ///
    /// Whoever may drop files there could drop a link to a file that only our account may read. No
    /// part below the folder may be one, and what was opened must be what was looked at.
    pub(super) fn open(&self) -> Result<File, Error> {
        let not_plain = || Error::NotPlain { path: self.shown.clone() };
        let mut path = self.folder.clone();
        let mut seen = None;
        for part in &self.name {
            path.push(part);
            let found = std::fs::symlink_metadata(&path).map_err(|source| self.failed(source))?;
            if found.is_symlink() {
                return Err(not_plain());
            }
            seen = Some((found.dev(), found.ino()));
        }
        // A pipe would keep us waiting for whoever writes into it.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Err(error) if error.raw_os_error() == Some(IS_A_LINK) => return Err(not_plain()),
            opened => opened.map_err(|source| self.failed(source))?,
        };
        let opened = file.metadata().map_err(|source| self.failed(source))?;
        if !opened.is_file() || seen != Some((opened.dev(), opened.ino())) {
            return Err(not_plain());
        }
        Ok(file)
    }

    /// Opens the file, and keeps what tells whether it was written to since.
    pub(super) fn open_watched(&self) -> Result<(File, Opened), Error> {
        let file = self.open()?;
        let watched = file.try_clone().and_then(|file| Ok(Opened { seen: stamp(&file)?, file }));
        Ok((file, watched.map_err(|source| self.failed(source))?))
    }

    /// Opens a file of text in UTF-8, behind the byte order mark that it may begin with.
    pub(super) fn open_text(&self) -> Result<(Start, Opened), Error> {
        let (mut handle, opened) = self.open_watched()?;
        let mut start = Vec::new();
        handle.by_ref().take(3).read_to_end(&mut start).map_err(|source| self.failed(source))?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(Error::Utf16 { path: self.shown.clone() });
        }
        // Excel and many exports put the mark before the first name.
        let start = if start == [0xef, 0xbb, 0xbf] { Vec::new() } else { start };
        Ok((Cursor::new(start).chain(handle), opened))
    }

    /// What was asked: the file, the granted columns and the filter.
    pub(super) fn asked(&self, request: Request<'_>) -> String {
        asked(&self.shown.display().to_string(), request)
    }
}

/// What was asked of a file: its name, the granted columns and the filter.
pub(super) fn asked(name: &str, request: Request<'_>) -> String {
    let columns: Vec<_> = request.table.columns.iter().map(|column| column.name.as_str()).collect();
    let rows = request.condition.map(|condition| format!(" where {}", condition.sql(Dialect::Standard)));
    format!("{name}: {}{}", columns.join(", "), rows.unwrap_or_default())
}

/// A file that is open, and how it was when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    seen: Stamp,
}

/// What tells one file, as it was at one moment, from all others: device, number, size, and when it was written to.
pub(super) type Stamp = (u64, u64, u64, i64, i64);

impl Opened {
    /// How the file was when it was opened.
    pub(super) fn stamp(&self) -> Stamp {
        self.seen
    }

    /// Whether nobody wrote to the file since it was opened: half of one night and half of the next is no table.
    pub(super) fn is_unchanged(&self, file: &Named) -> Result<(), Error> {
        let now = stamp(&self.file).map_err(|source| file.failed(source))?;
        if now == self.seen { Ok(()) } else { Err(Error::Changed { path: file.shown.clone() }) }
    }
}

fn stamp(file: &File) -> std::io::Result<Stamp> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

impl Folder {
    /// Opens `path`, which errors name as `shown`.
    pub(super) fn open(path: &Path, shown: &Path, kind: Kind) -> Result<Self, Error> {
        if !path.is_dir() {
            return Err(Error::NoFolder { path: shown.to_path_buf() });
        }
        Ok(Folder { path: path.to_path_buf(), shown: shown.to_path_buf(), kind })
    }

    pub(super) fn tables(&mut self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::Io { path: self.shown.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            let name = PathBuf::from(entry.map_err(failed)?.file_name());
            if name.extension().is_some_and(|ending| self.kind.extensions().iter().any(|known| ending == *known)) {
                names.push(name.display().to_string());
            }
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        let Some(file) = self.file(table) else { return Ok(None) };
        match self.kind {
            Kind::Csv { delimiter } => super::csv::describe(&file, delimiter).map(Some),
            Kind::NdJson => super::ndjson::describe(&file, table).map(Some),
            Kind::Excel => super::excel::describe(&file, sheet(&table.from)),
            Kind::Parquet => super::parquet::describe(&file).map(Some),
        }
    }

    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        let Some(file) = self.file(table) else { return Err(Error::NoFile { path: self.shown.join(&table.from) }) };
        match self.kind {
            Kind::Csv { delimiter } => super::csv::read(&file, delimiter, request, take),
            Kind::NdJson => super::ndjson::read(&file, request, take),
            Kind::Excel => super::excel::read(&file, sheet(&table.from), request, take),
            Kind::Parquet => super::parquet::read(&file, request, take),
        }
    }

    /// The file of a table: its name as written, or with the extension of the kind.
    fn file(&self, table: &SourceTable) -> Option<Named> {
        // A name that climbs out of the granted folder names nothing.
        let from =
            if self.kind == Kind::Excel { table.from.split('#').next().unwrap_or_default() } else { &table.from };
        if from.is_empty() || Path::new(from).components().any(|part| !matches!(part, Component::Normal(_))) {
            return None;
        }
        let with_ending = self.kind.extensions().iter().map(|ending| format!("{from}.{ending}"));
        std::iter::once(from.to_owned()).chain(with_ending).find_map(|name| {
            // Whatever stands there is taken for the file; a link is refused by name when it is opened.
            let is_there = std::fs::symlink_metadata(self.path.join(&name)).is_ok_and(|found| !found.is_dir());
            is_there.then(|| Named { folder: self.path.clone(), shown: self.shown.join(&name), name: name.into() })
        })
    }
}

/// The sheet that a table names behind its file.
fn sheet(from: &str) -> Option<&str> {
    from.split_once('#').map(|(_, sheet)| sheet)
}
