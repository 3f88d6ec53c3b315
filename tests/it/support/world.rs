//! An installation folder and a state folder of a test's own, and the real binary between them.
//!
//! The installation is a copy, so that a test can spoil one file of it. What a test leaves in
//! flight in the ledger fails it when the world is dropped, unless it has said so.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chudong::ledger::{self, Entry, Ledger, MessageState, OutboxRow};
use chudong::samples;
use tempfile::TempDir;

/// Every file below a folder with its bytes, and every folder with none.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What a copied pipeline says of attention: whatever the channel, nothing waits.
pub const ANY_TIME: &str = "attention = { quiet = \"never\", tet = \"open\" }";

/// The folders of one agency.
pub struct World {
    folder: TempDir,
    agency: String,
    leaves_in_flight: bool,
}

/// How the binary ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// The same, when it ended with this code.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.out, self.err);
        self
    }

    /// Standard error without the log lines: what is said to a person.
    pub fn said(&self) -> String {
        let is_log = |line: &&str| line.starts_with("20") && line.contains("Z  INFO ");
        self.err.lines().filter(|line| !is_log(line)).map(|line| format!("{line}\n")).collect()
    }
}

impl World {
    /// The installation as it is, for one agency.
    pub fn of(agency: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("chudong-world-").tempdir().unwrap();
        let world = World { folder, agency: agency.into(), leaves_in_flight: false };
        for part in ["pipelines", "sql", "data-samples/an-binh", "data-samples/binh-minh"] {
            copy(&crate::root().join(part), &world.root().join(part));
        }
        std::fs::create_dir(world.temporary()).unwrap();
        // A test may run at any hour. It takes the place of the first line, a comment: the others keep their numbers.
        for agency in ["an-binh", "binh-minh"] {
            let path = format!("pipelines/{agency}/pipeline.toml");
            let text = std::fs::read_to_string(world.root().join(&path)).unwrap();
            let (first, rest) = text.split_once('\n').unwrap();
            assert!(first.starts_with('#'), "{first}");
            world.put(&path, format!("{ANY_TIME}\n{rest}").as_bytes());
        }
        world
    }

    /// Another installation of the same agency, with the files of this one and a state folder of its own.
    pub fn beside(world: &World) -> Self {
        let folder = tempfile::Builder::new().prefix("chudong-world-").tempdir().unwrap();
        let other = World { folder, agency: world.agency.clone(), leaves_in_flight: false };
        copy(&world.root(), &other.root());
        std::fs::create_dir(other.temporary()).unwrap();
        other
    }

    /// The sample agency with the data of a few people and the figures of four months: a night is short.
    pub fn small(people: u64) -> Self {
        let world = World::of("an-binh");
        let out = world.root().join("data-samples/an-binh");
        std::fs::remove_dir_all(&out).unwrap();
        let format = samples::Format::Agency;
        samples::write(&samples::Options { people, seed: samples::DEFAULT_SEED, out, format }).unwrap();
        world.edit("pipelines/an-binh/pipeline.toml", "first_month = 2025-11-01", "first_month = 2026-07-01");
        // Of few people the noise makes response rates that nobody believes: the gate would hold a month now and then.
        let gates = "[publication.gates]\nresponse_percent_least = 0\nresponse_percent_most = 1000\n\n[privacy]";
        world.edit("pipelines/an-binh/pipeline.toml", "[privacy]", gates);
        world
    }

    /// Publishes nothing: a night without figures is short.
    pub fn without_figures(&self) {
        let path = format!("pipelines/{}/pipeline.toml", self.agency);
        let text = std::fs::read_to_string(self.root().join(&path)).unwrap();
        let (before, _) = text.split_once("[privacy]").unwrap();
        self.put(&path, before.as_bytes());
    }

    /// Publishes nothing exact: what the agency's own `[exact]` says stands at the end of its file.
    pub fn without_exact(&self) {
        let path = format!("pipelines/{}/pipeline.toml", self.agency);
        let text = std::fs::read_to_string(self.root().join(&path)).unwrap();
        let (before, _) = text.split_once("\n[exact]").unwrap();
        self.put(&path, format!("{before}\n").as_bytes());
    }

    /// The installation folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("installation")
    }

    /// The state folder; the first run makes it.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// What the binary takes for the folder of temporary files.
    pub fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// The test leaves messages in flight on purpose.
    pub fn leaves_in_flight(&mut self) {
        self.leaves_in_flight = true;
    }

    /// Puts a file into the installation, in place of what was there.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Replaces text in a file of the installation; the text must be there.
    #[track_caller]
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.root().join(path)).unwrap();
        assert!(text.contains(from), "{path} does not hold {from}");
        self.put(path, text.replace(from, to).as_bytes());
    }

    /// The binary with these arguments, for this agency in these folders.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chudong"));
        command.args(arguments).stdin(Stdio::null()).env("TMPDIR", self.temporary());
        for name in ["CHUDONG_LOG", "CHUDONG_ROOT", "CHUDONG_AGENCY", "CHUDONG_STATE"] {
            command.env_remove(name);
        }
        // The nights of tests are fixed days: they run as if it were that day.
        let of_night =
            arguments.iter().position(|argument| *argument == "--as-of").and_then(|at| arguments.get(at + 1));
        match of_night.filter(|_| arguments.first() == Some(&"run")) {
            Some(day) => command.env("CHUDONG_TODAY", day),
            None => command.env_remove("CHUDONG_TODAY"),
        };
        command.arg("--root").arg(self.root()).arg("--agency").arg(&self.agency);
        command.arg("--state").arg(self.state());
        command
    }

    /// Runs the binary to its end.
    pub fn chudong(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// Runs the night of a date.
    pub fn night(&self, as_of: &str) -> Ended {
        self.chudong(&["run", "--as-of", as_of])
    }

    /// Text in which the folders of this world have a name that does not change.
    pub fn shown(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "[world]")
    }

    /// The ledger, for reading.
    pub fn ledger(&self) -> Ledger {
        Ledger::read(&self.state()).unwrap()
    }

    /// All entries of a kind.
    pub fn entries(&self, kind: &str) -> Vec<Entry> {
        self.ledger().list(Some(kind), usize::MAX).unwrap()
    }

    /// What the ledger wrote down of each message that left: the run, and the message's line.
    pub fn recorded(&self) -> Vec<(String, serde_json::Value)> {
        let mut lines = Vec::new();
        for entry in self.entries("messages.recorded") {
            let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
            let messages = body.get("messages").unwrap().as_array().unwrap().clone();
            lines.extend(messages.into_iter().map(|line| (entry.run.clone(), line)));
        }
        lines
    }

    /// The messages as the ledger knows them.
    pub fn outbox(&self) -> Vec<OutboxRow> {
        self.ledger().outbox().unwrap()
    }

    /// The message files, by name.
    pub fn messages(&self) -> Tree {
        tree(&self.state().join("outbox"))
    }

    /// Everything on the shelf.
    pub fn published(&self) -> Tree {
        tree(&self.state().join("published"))
    }

    /// Everything that the binary may have touched.
    pub fn everything(&self) -> Tree {
        tree(self.folder.path())
    }

    /// `ledger verify` finds nothing.
    #[track_caller]
    pub fn ledger_is_sound(&self) {
        let ended = self.chudong(&["ledger", "verify"]).with(0);
        assert!(ended.out.starts_with("sound: "), "{}", ended.out);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || self.leaves_in_flight {
            return;
        }
        let rows = match Ledger::read(&self.state()).and_then(|ledger| ledger.outbox()) {
            Ok(rows) => rows,
            Err(ledger::Error::None { .. }) => return,
            Err(error) => panic!("the ledger that the test left cannot be read: {error}"),
        };
        let in_flight = rows.iter().filter(|row| row.state == MessageState::InFlight).count();
        assert_eq!(in_flight, 0, "messages are recorded and not settled");
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Everything below a folder; nothing when there is no such folder.
pub fn tree(folder: &Path) -> Tree {
    fn walk(root: &Path, folder: &Path, tree: &mut Tree) {
        let Ok(listing) = std::fs::read_dir(folder) else { return };
        for entry in listing {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_path_buf();
            if path.is_dir() {
                tree.insert(name, None);
                walk(root, &path, tree);
            } else {
                tree.insert(name, Some(std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut tree = Tree::new();
    walk(folder, folder, &mut tree);
    tree
}

/// What differs between two trees, by name and without the bytes, which may be long.
pub fn differences(before: &Tree, after: &Tree) -> Vec<String> {
    let names: std::collections::BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let how = |name: &&PathBuf| match (before.get(*name), after.get(*name)) {
        (None, _) => Some(format!("new: {}", name.display())),
        (_, None) => Some(format!("gone: {}", name.display())),
        (a, b) if a != b => Some(format!("changed: {}", name.display())),
        _ => None,
    };
    names.iter().filter_map(how).collect()
}

/// Copies everything below a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (name, bytes) in tree(from) {
        match bytes {
            None => std::fs::create_dir_all(to.join(name)).unwrap(),
            Some(bytes) => std::fs::write(to.join(name), bytes).unwrap(),
        }
    }
}
