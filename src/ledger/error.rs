//! What can go wrong with the ledger.

use std::path::{Path, PathBuf};

use crate::fault::{Explain, Place};

/// Something could not be written to or read from the ledger.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none yet.
    #[error("there is no ledger yet")]
    None {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file cannot be opened.
    #[error("the ledger cannot be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// It belongs to another agency.
    #[error("this state folder belongs to the agency {known}, not to {asked}")]
    OtherAgency {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        known: String,
        /// Who asked.
        asked: String,
    },
    /// It was written by another version of the program.
    #[error("the ledger has the format {found}, which this program does not know")]
    Version {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Its newest entries are not those that were noted beside it.
    #[error("the ledger was changed: {what}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Which entries.
        what: String,
    },
    /// The disk is full.
    #[error("the disk is full: could not {doing}")]
    Full {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
    },
    /// The folder or the file may not be written.
    #[error("the ledger may not be written: could not {doing}")]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
    },
    /// The file is damaged.
    #[error("the ledger's file is damaged: could not {doing}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// Anything else SQLite says.
    #[error("could not {doing}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The head could not be written beside the ledger.
    #[error("the head of the ledger could not be written beside it")]
    Anchor {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process is at work in this state folder.
    #[error("another run is at work in this state folder")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The journal beside the ledger could not be read or written.
    #[error("the journal of what was sent could not be kept beside the ledger")]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A period was drawn, and what was drawn is neither in the ledger nor beside it.
    #[error("{period} was drawn before, and what was drawn is not there any more: it is not drawn a second time")]
    DrawsLost {
        /// The folder in which it would be.
        path: PathBuf,
        /// The month, or a part of one.
        period: String,
    },
    /// A process on another machine may write to the outbox.
    #[error("a process on another machine is sending from this state folder, until {until} at least")]
    Leased {
        /// The file.
        path: PathBuf,
        /// The instant at which its lease ends, if it is not renewed.
        until: String,
    },
    /// Another process took the outbox over.
    #[error("another process has taken over the outbox of this state folder")]
    Fenced {
        /// The file.
        path: PathBuf,
    },
    /// A clerk decides about a message that needs no decision.
    #[error("the message {key} {}", is.map_or("is not in this ledger".into(), |is| format!("is {is}, not uncertain")))]
    NotUncertain {
        /// The file.
        path: PathBuf,
        /// The message.
        key: String,
        /// Its state; none when there is no such message.
        is: Option<&'static str>,
    },
    /// The answers of the rating page cannot be read or written.
    #[error("the answers of the rating page cannot be kept")]
    Answers {
        /// Their folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The lock file cannot be made.
    #[error("the state folder cannot be locked")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    pub(super) fn open(path: &Path, source: rusqlite::Error) -> Self {
        match Self::failed(path, "open it", source) {
            Error::Failed { path, source, .. } => Error::Open { path, source },
            other => other,
        }
    }

    pub(super) fn failed(path: &Path, doing: &'static str, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full { path, doing },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Error::ReadOnly { path, doing },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Damaged { path, doing, source },
            _ => Error::Failed { path, doing, source },
        }
    }
}

const MAKE_ROOM: &str = "make room on the disk and run again: what was recorded stays recorded";

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::None { .. } => "ledger.none",
            Error::Open { .. } => "ledger.open",
            Error::OtherAgency { .. } => "ledger.other-agency",
            Error::Version { .. } => "ledger.version",
            Error::Broken { .. } => "ledger.broken",
            Error::Full { .. } => "ledger.disk-full",
            Error::Anchor { source, .. } | Error::Journal { source, .. } if is_full(source) => "ledger.disk-full",
            Error::ReadOnly { .. } => "ledger.read-only",
            Error::Damaged { .. } => "ledger.damaged",
            Error::Failed { .. } => "ledger.failed",
            Error::Anchor { .. } => "ledger.anchor",
            Error::Journal { .. } => "ledger.journal",
            Error::DrawsLost { .. } => "ledger.draws-lost",
            Error::Leased { .. } => "ledger.leased",
            Error::Fenced { .. } => "ledger.fenced",
            Error::Locked { .. } => "ledger.locked",
            Error::NotUncertain { .. } => "ledger.not-uncertain",
            Error::Answers { .. } => "ledger.answers",
            Error::Lock { .. } => "ledger.lock",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::None { path }
            | Error::Open { path, .. }
            | Error::OtherAgency { path, .. }
            | Error::Version { path, .. }
            | Error::Broken { path, .. }
            | Error::Full { path, .. }
            | Error::ReadOnly { path, .. }
            | Error::Damaged { path, .. }
            | Error::Failed { path, .. }
            | Error::Anchor { path, .. }
            | Error::Locked { path }
            | Error::Journal { path, .. }
            | Error::DrawsLost { path, .. }
            | Error::Leased { path, .. }
            | Error::Fenced { path }
            | Error::NotUncertain { path, .. }
            | Error::Answers { path, .. }
            | Error::Lock { path, .. } => Place::file(path),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::None { .. } => "run `chudong run` first, or name the state folder with --state".into(),
            Error::OtherAgency { .. } => "give each agency a state folder of its own with --state".into(),
            Error::Version { .. } => "use the version of chudong that wrote it, or restore a backup".into(),
            Error::Broken { .. } => {
                "keep this file as evidence, and restore ledger.sqlite together with ledger.head from the newest backup that verifies".into()
            }
            Error::Full { .. } => MAKE_ROOM.into(),
            Error::Anchor { source, .. } | Error::Journal { source, .. } if is_full(source) => MAKE_ROOM.into(),
            Error::DrawsLost { .. } => {
                "restore this folder or a newer backup of the ledger: one of them has what was drawn".into()
            }
            Error::Leased { .. } => "wait until then, and see to it that only one machine sends".into(),
            Error::Fenced { .. } => {
                "let the other process finish: what this one had on the wire is uncertain there and settled by it".into()
            }
            Error::ReadOnly { .. }
            | Error::Open { .. }
            | Error::Anchor { .. }
            | Error::Journal { .. }
            | Error::Answers { .. }
            | Error::Lock { .. } => {
                "let the service's account write to the state folder, or name another with --state".into()
            }
            Error::Damaged { .. } => {
                "keep the file, run `chudong ledger verify`, and restore the newest backup that verifies".into()
            }
            Error::Failed { .. } => "run again; if it happens again, run `chudong ledger verify`".into(),
            Error::NotUncertain { .. } => "take a key that `chudong ledger uncertain` prints".into(),
            Error::Locked { .. } => "wait until the other run has ended".into(),
        }
    }
}
