//! Proofs on the real binary: a run that is killed, a disk that loses its power, a restored backup, a search for people.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and two print their tables"
)]

mod canary;
mod digest;
mod image;
mod kill;
mod outage;
mod pace;
mod restored;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chudong::ledger::Ledger;

use crate::support::smtp::Server;
use crate::support::world::World;

const NIGHT: &str = "2026-11-21";
const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";

/// A number from the environment, for who wants the whole proof; `few` in the suite.
fn number(name: &str, few: usize) -> usize {
    std::env::var(name).map_or(few, |text| text.parse().unwrap())
}

/// An agency whose register holds so many people who have one obligation each, and a mail server to tell them by.
fn town(server: &Server, people: usize, policy: &str) -> World {
    let world = World::small(40);
    world.without_figures();
    let register = rusqlite::Connection::open(world.root().join("data-samples/an-binh/population.sqlite")).unwrap();
    register
        .execute_batch(&format!(
            "delete from temporary_residences; delete from citizens;
             with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < {people})
             insert into citizens select printf('0979%08d', i), printf('Người %d', i), '1990-01-01', '97001', 'vi',
                 printf('m%05d@example.com', i), null, 0, 'male', null, '2026-01-01' from n;
             with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < {people})
             insert into temporary_residences select printf('TR%08d', i), printf('0979%08d', i), '97001',
                 '2026-12-01', null from n"
        ))
        .unwrap();
    let used = "use = [\"identity_card\", \"driving_licence\", \"vehicle_inspection\", \"temporary_residence\", \"health_insurance\"]";
    world.edit(PIPELINE, used, "use = [\"temporary_residence\"]");
    let channel =
        format!("kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nconnections = 1", server.port);
    world.edit(PIPELINE, "kind = \"folder\"", &channel);
    // A first night without obligations is no reason to hold the second.
    let policy = format!("\"{policy}\"\nhold_change = {{ percent = 400, least = 1000000 }}");
    world.edit("pipelines/items/temporary_residence/item.toml", "\"resend\"", &policy);
    world
}

/// A night under way, ended with the test at the latest.
struct Running(Child);

impl Running {
    fn start(world: &World) -> Running {
        Running::begin(&mut world.command(&["run", "--as-of", NIGHT]))
    }

    fn begin(command: &mut Command) -> Running {
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// SIGKILL: nothing of it is told to the process. True when it was not over before.
    fn kill(&mut self) -> bool {
        self.0.kill().unwrap();
        self.0.wait().unwrap().code().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many messages the server has taken.
fn taken(server: &Server) -> usize {
    server.taken.lock().unwrap().len()
}

/// How often each message was taken, by its Message-ID.
fn times(server: &Server) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for (_, bytes) in server.taken.lock().unwrap().iter() {
        *times.entry(message_id(bytes)).or_default() += 1;
    }
    times
}

fn message_id(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find_map(|line| line.strip_prefix("Message-ID: <")).unwrap();
    line.split_once('>').unwrap().0.to_owned()
}

/// The binary on the installation of a world, with another state folder.
fn command_in(world: &World, state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chudong"));
    command.args(arguments).stdin(Stdio::null()).env("TMPDIR", world.temporary()).env_remove("CHUDONG_LOG");
    command.env("CHUDONG_TODAY", NIGHT);
    command.arg("--root").arg(world.root()).args(["--agency", "an-binh"]).arg("--state").arg(state);
    command
}

/// The keys of the messages that each run found, or left, uncertain.
fn uncertain_in(state: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut uncertain: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in Ledger::read(state).unwrap().list(Some("messages."), usize::MAX).unwrap() {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        let lines = body["messages"].as_array().unwrap().iter().filter(|line| line["state"] == "uncertain");
        let keys: Vec<String> = lines.map(|line| line["key"].as_str().unwrap().to_owned()).collect();
        if !keys.is_empty() {
            uncertain.entry(entry.run).or_default().extend(keys);
        }
    }
    uncertain
}

/// The key of each message, by its Message-ID.
fn keys_in(state: &Path) -> BTreeMap<String, String> {
    let rows = Ledger::read(state).unwrap().outbox().unwrap();
    rows.into_iter().map(|row| (row.message_id, row.key.0)).collect()
}
