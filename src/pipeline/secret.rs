//! A reference to a secret, and how it is resolved at the rim.
//!
//! Pipeline files hold references, never secrets: `{ env = "NAME" }`,
//! `{ file = "/path" }` or `{ credential = "name" }` (systemd's
//! `LoadCredential=`). They are resolved when connecting, not printed, and wiped
//! from memory when they are dropped. What the process was given in its
//! environment stays there for as long as it runs: a file or a credential is the
//! better place. This module must not know what a secret opens.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::fault::{Explain, Place};

/// The most bytes of a secret: a password or a key, not a file that was named by mistake.
const BYTES_MAX: u64 = 16_384;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file that only its owner may read.
    File(PathBuf),
    /// A systemd credential, in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// A secret. It is not printed, cannot be compared by accident, and is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself, for the library that connects.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A secret that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment variable is not set.
    #[error("the environment variable {0} is not set")]
    Env(String),
    /// There is no `$CREDENTIALS_DIRECTORY`.
    #[error("the credential {0} is asked for, but the process was not given credentials")]
    NoCredentials(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read")]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("the secret file {0} may be read by others than its owner")]
    Open(PathBuf),
    /// The file belongs to another account, which could put anything there.
    #[error("the secret file {path} belongs to the account number {owner}")]
    Foreign {
        /// Its path.
        path: PathBuf,
        /// Number of the account that owns it.
        owner: u32,
    },
    /// It is empty, too long, or no text.
    #[error("{place} holds no secret: it {is}")]
    NotOne {
        /// The file, or the variable.
        place: String,
        /// What it is instead.
        is: &'static str,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Env(_) => "secret.env-missing",
            Error::NoCredentials(_) => "secret.no-credentials",
            Error::Read { .. } => "secret.unreadable",
            Error::Open(_) => "secret.readable-by-others",
            Error::Foreign { .. } => "secret.foreign",
            Error::NotOne { .. } => "secret.not-one",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Env(name) => Place::Thing(format!("environment variable {name}")),
            Error::NoCredentials(name) => Place::Thing(format!("credential {name}")),
            Error::Read { path, .. } | Error::Open(path) | Error::Foreign { path, .. } => Place::file(path),
            Error::NotOne { place, .. } => Place::Thing(place.clone()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Env(name) => format!("set {name} for the service, or refer to a file"),
            Error::NoCredentials(name) => format!("add LoadCredential={name}:... to the systemd unit"),
            Error::Read { .. } => "create the file, readable by the service's account alone".into(),
            Error::Open(path) => {
                format!("chmod 600 {}, and change the secret: others may have read it", path.display())
            }
            Error::Foreign { path, .. } => {
                format!("let {} belong to the service's account or to root", path.display())
            }
            Error::NotOne { .. } => "put the secret there, as one line of text".into(),
        }
    }
}

impl SecretRef {
    /// The secret it refers to.
    pub fn resolve(&self) -> Result<Secret, Error> {
        match self {
            SecretRef::Env(name) => {
                let text = std::env::var(name).map(Zeroizing::new).map_err(|_| Error::Env(name.clone()))?;
                secret(text, || format!("environment variable {name}"))
            }
            SecretRef::File(path) => read(path, 0o077),
            SecretRef::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
                let folder = folder.ok_or_else(|| Error::NoCredentials(name.clone()))?;
                // systemd keeps other accounts out of this folder, and lets ours in by an access list, which
                // shows as a right of the group.
                read(&PathBuf::from(folder).join(name), 0o007)
            }
        }
    }
}

/// Reads a file on which none of the rights in `refused` is given.
///
/// It is opened first, and what was opened is looked at: a link or a folder that
/// somebody exchanges meanwhile cannot put another file in its place.
fn read(path: &Path, refused: u32) -> Result<Secret, Error> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    // Opening a pipe that nobody writes would wait for ever; the flags are few bits of a positive number.
    let at_once = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = File::options().read(true).custom_flags(at_once).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let not_one = |is| Error::NotOne { place: path.display().to_string(), is };
    if !found.is_file() {
        return Err(not_one("is not a plain file"));
    }
    if found.mode() & refused != 0 {
        return Err(Error::Open(path.to_path_buf()));
    }
    let owner = found.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(Error::Foreign { path: path.to_path_buf(), owner });
    }
    // All the room at once: bytes that grow are moved, and leave a copy behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize + 1));
    Read::by_ref(&mut file).take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(not_one("is longer than 16 KB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| not_one("is not text in UTF-8"))?;
    let text = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    secret(text, || path.display().to_string())
}

fn secret(text: Zeroizing<String>, place: impl Fn() -> String) -> Result<Secret, Error> {
    let not_one = |is| Err(Error::NotOne { place: place(), is });
    match text.as_str() {
        "" => not_one("is empty"),
        // No protocol can carry it: C strings end there.
        text if text.contains('\0') => not_one("has a zero byte in it"),
        _ => Ok(Secret(text)),
    }
}
