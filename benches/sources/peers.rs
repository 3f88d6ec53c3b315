//! The peers: other programs that do the same work, each in a process of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::contest::Measured;
use super::{Fallible, say};

/// The Python environments that `benches/peers/setup.sh` makes.
pub struct Peers {
    scripts: PathBuf,
    folder: PathBuf,
}

impl Peers {
    /// Installs what is missing. What cannot be installed is left out, and is said.
    pub fn set_up(folder: &Path) -> Fallible<Self> {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let done = Command::new(scripts.join("setup.sh")).arg(folder).stdin(Stdio::null()).status();
        if !done.is_ok_and(|status| status.success()) {
            say("benches/peers/setup.sh failed: the peers that it could not install are left out")?;
        }
        Ok(Peers { scripts, folder: folder.to_owned() })
    }

    /// Whether there are connectorx, ADBC, DuckDB and Polars.
    pub fn has_main(&self) -> bool {
        self.folder.join("venv/installed.txt").exists()
    }

    /// Whether there is a DuckDB that reads SQLite.
    pub fn has_sqlite(&self) -> bool {
        self.folder.join("venv-sqlite/installed.txt").exists()
    }

    /// The table `persons` into Arrow.
    pub fn read_postgres(&self, how: &str, url: &str) -> Fallible<Measured> {
        let mut python = self.python("venv", "read_postgres.py");
        measured(python.arg(how).env("CHUDONG_BENCH_URL", url))
    }

    /// A CSV file into Parquet.
    pub fn read_csv(&self, how: &str, file: &Path) -> Fallible<Measured> {
        let out = self.scratch();
        let found = measured(self.python("venv", "read_csv.py").arg(how).arg(file).arg(&out));
        remove(&out)?;
        found
    }

    /// The table `persons` of an SQLite file into Arrow, or into Parquet.
    pub fn read_sqlite(&self, how: &str, file: &Path, into_parquet: bool) -> Fallible<Measured> {
        let out = self.scratch();
        let mut python = self.python(if how == "duckdb" { "venv-sqlite" } else { "venv" }, "read_sqlite.py");
        python.arg(how).arg(file);
        if into_parquet {
            python.arg(&out);
        }
        let found = measured(&mut python);
        remove(&out)?;
        found
    }

    /// The five rules with contact look-up over the files of a nation.
    pub fn due(&self, how: &str, nation: &Path) -> Fallible<Measured> {
        let out = self.scratch();
        let found = measured(self.python("venv", "due.py").arg(how).arg(nation).arg(&out));
        remove(&out)?;
        found
    }

    /// Dossiers and ratings of a nation, counted by cell. What was written is looked at, and removed.
    pub fn figures(&self, how: &str, nation: &Path, look: impl FnOnce(&Path) -> Fallible<()>) -> Fallible<Measured> {
        let out = self.scratch();
        let found = measured(self.python("venv", "figures.py").arg(how).arg(nation).arg(&out));
        let found = found.and_then(|found| look(&out).map(|()| found));
        remove(&out)?;
        found
    }

    /// Runs a script that makes data.
    pub fn make(&self, script: &str, words: &[&OsStr]) -> Fallible<()> {
        let done = self.python("venv", script).args(words).stdin(Stdio::null()).status()?;
        if done.success() { Ok(()) } else { Err(format!("{script} ended with {done}").into()) }
    }

    fn python(&self, environment: &str, script: &str) -> Command {
        let mut python = Command::new(self.folder.join(environment).join("bin/python"));
        // Its byte code is no part of the tree.
        python.arg("-B").arg(self.scripts.join(script));
        python
    }

    fn scratch(&self) -> PathBuf {
        self.folder.join("peer.parquet")
    }
}

/// Runs a program that prints what it measured as one line of JSON.
pub fn measured(program: &mut Command) -> Fallible<Measured> {
    let done = program.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !done.status.success() {
        return Err(format!("it ended with {}", done.status).into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn remove(file: &Path) -> Fallible<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
