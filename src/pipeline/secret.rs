//! A reference to a secret, and how it is resolved at the rim.
//!
//! Pipeline files hold references, never secrets: `{ env = "NAME" }`,
//! `{ file = "/path" }` or `{ credential = "name" }` (systemd's
//! `LoadCredential=`). They are resolved when connecting and not printed.

use std::fmt;
use std::path::PathBuf;

use crate::fault::{Explain, Place};

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

/// A secret. It is not printed and cannot be compared by accident.
#[derive(Clone)]
pub struct Secret(String);

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
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Env(_) => "secret.env-missing",
            Error::NoCredentials(_) => "secret.no-credentials",
            Error::Read { .. } => "secret.unreadable",
            Error::Open(_) => "secret.readable-by-others",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Env(name) => Place::Thing(format!("environment variable {name}")),
            Error::NoCredentials(name) => Place::Thing(format!("credential {name}")),
            Error::Read { path, .. } | Error::Open(path) => Place::file(path),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Env(name) => format!("set {name} for the service, or refer to a file"),
            Error::NoCredentials(name) => format!("add LoadCredential={name}:... to the systemd unit"),
            Error::Read { .. } => "create the file, readable by the service's account alone".into(),
            Error::Open(path) => format!("chmod 600 {}", path.display()),
        }
    }
}

impl SecretRef {
    /// The secret it refers to.
    pub fn resolve(&self) -> Result<Secret, Error> {
        match self {
            SecretRef::Env(name) => std::env::var(name).map(Secret).map_err(|_| Error::Env(name.clone())),
            SecretRef::File(path) => read(path.clone(), true),
            SecretRef::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
                let folder = folder.ok_or_else(|| Error::NoCredentials(name.clone()))?;
                // systemd itself keeps other accounts out of this folder.
                read(PathBuf::from(folder).join(name), false)
            }
        }
    }
}

fn read(path: PathBuf, check_mode: bool) -> Result<Secret, Error> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| Error::Read { path: path.clone(), source };
    let mode = std::fs::metadata(&path).map_err(failed)?.permissions().mode();
    if check_mode && mode & 0o077 != 0 {
        return Err(Error::Open(path));
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))
}
