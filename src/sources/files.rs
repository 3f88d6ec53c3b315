//! A folder of files: CSV or Parquet, one file per table.
//!
//! The readers are the plain ones of `csv` and `parquet`: they give each value
//! as it stands in the file, so that our type policy decides and no library
//! guesses a type, drops a field or replaces a byte before we have seen it.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::{Answer, Error, Found, Request, Take};
use crate::pipeline::SourceTable;

/// The format of the files of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, one record per line.
    Csv {
        /// One byte between fields.
        delimiter: u8,
    },
    /// Apache Parquet.
    Parquet,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Kind::Csv { .. } => "csv",
            Kind::Parquet => "parquet",
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

    /// What was asked: the file and the granted columns.
    pub(super) fn asked(&self, table: &SourceTable) -> String {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        format!("{}: {}", self.shown.display(), columns.join(", "))
    }
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
            if name.extension().is_some_and(|extension| extension == self.kind.extension()) {
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
            Kind::Parquet => super::parquet::describe(&file).map(Some),
        }
    }

    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        let Some(file) = self.file(table) else { return Err(Error::NoFile { path: self.shown.join(&table.from) }) };
        match self.kind {
            Kind::Csv { delimiter } => super::csv::read(&file, delimiter, request, take),
            Kind::Parquet => super::parquet::read(&file, request, take),
        }
    }

    /// The file of a table: its name as written, or with the extension of the kind.
    fn file(&self, table: &SourceTable) -> Option<Named> {
        // A name that climbs out of the granted folder names nothing.
        if Path::new(&table.from).components().any(|part| !matches!(part, Component::Normal(_))) {
            return None;
        }
        [table.from.clone(), format!("{}.{}", table.from, self.kind.extension())].into_iter().find_map(|name| {
            // Whatever stands there is taken for the file; a link is refused by name when it is opened.
            let is_there = std::fs::symlink_metadata(self.path.join(&name)).is_ok_and(|found| !found.is_dir());
            is_there.then(|| Named { folder: self.path.clone(), shown: self.shown.join(&name), name: name.into() })
        })
    }
}
