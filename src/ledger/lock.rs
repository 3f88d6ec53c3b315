//! One process at a time works in a state folder.

use std::path::Path;

use super::Error;
use crate::files::FileLock;

/// Held while a run works; released by the system when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _lock: FileLock,
}

impl Lock {
    /// Takes the lock of a state folder, or says that another process has it.
    pub fn take(state: &Path) -> Result<Self, Error> {
        let path = state.join("lock");
        match FileLock::take(&path) {
            Ok(Some(lock)) => Ok(Lock { _lock: lock }),
            Ok(None) => Err(Error::Locked { path }),
            Err(source) => Err(Error::Lock { path, source }),
        }
    }
}
