//! Secrets that change while the product runs, kept sealed in the state folder.

use std::io;
use std::path::PathBuf;

use super::Error;
use crate::files;
use crate::personal::{Personal, SealingKey};

/// A folder of sealed texts, one per channel.
#[derive(Debug, Clone)]
pub struct Vault {
    folder: PathBuf,
    key: SealingKey,
}

impl Vault {
    /// A vault in this folder, which is made when something is first kept.
    pub fn new(folder: PathBuf, key: SealingKey) -> Self {
        Vault { folder, key }
    }

    /// What is kept under a name; none where nothing is. What was changed, or sealed with another key, is an error:
    /// to begin anew silently would use up a refresh token that may be worth nothing.
    pub(super) fn read(&self, name: &str) -> Result<Option<Personal<String>>, Error> {
        let path = self.path(name);
        match std::fs::read(&path) {
            Ok(sealed) => self.key.open(&label(name), &sealed).map(Some).ok_or(Error::Sealed(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Vault { path, source }),
        }
    }

    /// Keeps a text; it is on the disk when this returns.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.path(name);
        let failed = |source| Error::Vault { path: path.clone(), source };
        let sealed = self.key.seal(&label(name), text).ok_or_else(|| failed(io::Error::other("no random bytes")))?;
        files::private_folder(&self.folder).map_err(failed)?;
        files::replace(&path, &sealed).map_err(failed)
    }

    /// Proves that a text can be kept.
    pub(super) fn prove(&self) -> Result<(), Error> {
        let path = self.folder.join(".writable");
        let failed = |source| Error::Vault { path: path.clone(), source };
        files::private_folder(&self.folder).map_err(failed)?;
        files::replace(&path, b"").map_err(failed)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sealed"))
    }
}

fn label(name: &str) -> String {
    format!("channel:{name}")
}
