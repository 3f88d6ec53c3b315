//! Where a plan lands: a private folder beside the generations, which vanishes with the plan.
//!
//! It holds people's rows like every landed table, and lies where they do: on the
//! same disk, in a folder that the service's account alone can enter. A plan that is
//! killed leaves its folder behind; the next plan, run or erasure removes it. Plans
//! hold a shared lock on the landing folder meanwhile, and who sweeps needs it alone.
//! Where nothing may be written there, as on a copy that is only looked at, a plan
//! lands in the system's folder for temporary files.
//! This module must not know what lands.

use std::ffi::OsStr;
use std::fs::{File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::Error;
use crate::files::private_folder;

/// What the folders of plans begin with.
const PLANNED: &str = ".plan-";

/// The landing folder beside which a plan lands.
#[derive(Debug, Clone)]
pub struct Beside(Arc<Landing>);

#[derive(Debug)]
struct Landing {
    path: PathBuf,
    /// Folders that were not there before the plan, the deepest first: a plan leaves nothing behind.
    made: Vec<PathBuf>,
}

impl Beside {
    /// The landing folder. Nothing is made yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let made = path.ancestors().take_while(is_missing).map(Path::to_path_buf).collect();
        Beside(Arc::new(Landing { path, made }))
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        for path in &self.made {
            // Somebody else may have put something there meanwhile; then it stays.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// The folder of a plan. It is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Planned {
    folder: Option<TempDir>,
    /// The landing folder, locked; none where it may not be written to.
    shared: Option<File>,
    /// Goes last.
    _beside: Beside,
}

impl Planned {
    /// Makes a folder in the landing folder, or elsewhere if nothing may be written there.
    pub(super) fn make(beside: &Beside) -> Result<Self, Error> {
        let made = Self::make_in_landing(beside);
        if !made.as_ref().is_err_and(Error::is_read_only) {
            return made;
        }
        let elsewhere = tempfile::Builder::new().prefix(PLANNED).permissions(Permissions::from_mode(0o700)).tempdir();
        // What cannot be had elsewhere either is said of the folder that was asked for.
        let Ok(folder) = elsewhere else { return made };
        Ok(Planned { folder: Some(folder), shared: None, _beside: beside.clone() })
    }

    fn make_in_landing(beside: &Beside) -> Result<Self, Error> {
        let landing = beside.path();
        let failed = |source| Error::io(landing, source);
        private_folder(landing).map_err(failed)?;
        sweep(landing)?;
        let shared = File::open(landing).map_err(failed)?;
        // It waits for nobody but who is sweeping.
        shared.lock_shared().map_err(failed)?;
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix(PLANNED).permissions(Permissions::from_mode(0o700)).tempdir_in(landing);
        Ok(Planned { folder: Some(folder.map_err(failed)?), shared: Some(shared), _beside: beside.clone() })
    }

    /// The folder.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().to_path_buf()).unwrap_or_default()
    }
}

impl Drop for Planned {
    fn drop(&mut self) {
        drop(self.folder.take());
        // Closing alone is not enough where a process that was being started has a copy of the handle.
        let _ = self.shared.as_ref().map(File::unlock);
    }
}

/// Removes the folders of plans that were killed. While a plan is under way, nothing is.
pub(super) fn sweep(landing: &Path) -> Result<(), Error> {
    let failed = |source| Error::io(landing, source);
    if !landing.is_dir() || left_behind(landing)?.is_empty() {
        return Ok(());
    }
    let alone = File::open(landing).map_err(failed)?;
    match alone.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // What is there now that nobody can be planning.
    let swept = left_behind(landing)?
        .iter()
        .try_for_each(|path| std::fs::remove_dir_all(path).map_err(|source| Error::io(path, source)));
    let _ = alone.unlock();
    swept
}

fn left_behind(landing: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::io(landing, source);
    let is_planned = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(PLANNED));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(landing).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_planned(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
