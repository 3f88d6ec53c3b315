//! What leaves, and what does not any more: refusals while a run is at work, a second look at what waits, a window that
//! closes, nights that are caught up, and what a restored ledger has forgotten.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod again;
mod catch_up;
mod letters;
mod look;
mod restored;
mod told;

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use chudong::ledger::{Ledger, MessageState};
use chudong::report::Report;

use crate::support::smtp::Server;
use crate::support::world::{Ended, World};

const NIGHT: &str = "2026-11-21";
const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";
const ITEM: &str = "pipelines/items/temporary_residence/item.toml";
const REGISTER: &str = "data-samples/an-binh/population.sqlite";

/// An agency whose register holds so many people, each with stays that end on these days, and a mail server to tell
/// them by, over one connection.
fn town<'d>(server: &Server, people: usize, ends: impl Fn(usize) -> Vec<&'d str>) -> World {
    let world = World::small(40);
    world.without_figures();
    let register = rusqlite::Connection::open(world.root().join(REGISTER)).unwrap();
    register.execute_batch("delete from temporary_residences; delete from citizens").unwrap();
    for person in 0..people {
        let citizen = "insert into citizens values (?1, ?2, '1990-01-01', '97001', 'vi', ?3, null, 0, 'male', null, '2026-01-01')";
        let (number, name) = (number(person), format!("Người {person}"));
        register.execute(citizen, [&number, &name, &format!("m{person:05}@example.com")]).unwrap();
        for (stay, last) in ends(person).into_iter().enumerate() {
            let residence = "insert into temporary_residences values (?1, ?2, '97001', ?3, null)";
            register.execute(residence, [&format!("TR{person:06}{stay}"), &number, &last.to_owned()]).unwrap();
        }
    }
    let used = "use = [\"identity_card\", \"driving_licence\", \"vehicle_inspection\", \"temporary_residence\", \"health_insurance\"]";
    world.edit(PIPELINE, used, "use = [\"temporary_residence\"]");
    by_mail(&world, server, "");
    let text = std::fs::read_to_string(world.root().join(ITEM)).unwrap();
    world.put(ITEM, format!("{text}\nhold_change = \"never\"\n").as_bytes());
    world
}

/// Lets the sources be authorised on any day.
fn any_day(world: &World) {
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let term = |line: &str| match line.split_once(" = ") {
        Some(("from", value)) if !value.contains('"') => "from = 2020-01-01".to_owned(),
        Some(("to", _)) => "to = 2099-12-31".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(term).collect();
    world.put(PIPELINE, (lines.join("\n") + "\n").as_bytes());
}

/// Lets the channel be the mail server, with these settings beside.
fn by_mail(world: &World, server: &Server, settings: &str) {
    let channel = format!(
        "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nconnections = 1\n{settings}",
        server.port
    );
    world.edit(PIPELINE, "kind = \"folder\"", &channel);
}

fn number(person: usize) -> String {
    format!("0979{person:08}")
}

/// A run under way, ended with the test at the latest.
struct Running(Child);

impl Running {
    fn start(world: &World, arguments: &[&str]) -> Running {
        Running(world.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits for its end.
    fn ended(mut self) -> Ended {
        let (mut out, mut err) = (String::new(), String::new());
        std::io::Read::read_to_string(&mut self.0.stdout.take().unwrap(), &mut out).unwrap();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut err).unwrap();
        Ended { code: self.0.wait().unwrap().code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn report(ended: &Ended) -> Report {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}\n{}\n{}", ended.out, ended.err))
}

/// Of the one item, how many were held for each reason.
fn held(ended: &Ended) -> BTreeMap<String, u64> {
    report(ended).items.into_iter().next().unwrap().held
}

fn taken(server: &Server) -> usize {
    server.taken.lock().unwrap().len()
}

/// Waits until the server has taken so many.
#[track_caller]
fn wait_for(server: &Server, messages: usize) {
    let begun = Instant::now();
    while taken(server) < messages {
        assert!(begun.elapsed() < Duration::from_secs(120), "the server has taken {} messages", taken(server));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many messages of the outbox are in each state for each reason.
fn states(world: &World) -> BTreeMap<(MessageState, Option<String>), usize> {
    let mut states = BTreeMap::new();
    for row in world.outbox() {
        *states.entry((row.state, row.reason)).or_default() += 1;
    }
    states
}

/// The subjects that the ledger knows.
fn subjects(world: &World) -> Vec<String> {
    let mut subjects = Vec::new();
    world.ledger().standings("temporary_residence", |standing| subjects.push(standing.subject)).unwrap();
    subjects.sort();
    subjects.dedup();
    subjects
}

/// Writes into the ledger that these people refuse everything, as the page does on which they say so.
fn refuse(world: &World, subjects: &[String]) {
    refuse_by(world, subjects, chudong::ledger::ALL);
}

/// The same for one channel.
fn refuse_by(world: &World, subjects: &[String], channel: &str) {
    use chudong::ledger::{ALL, Preference, Stance};
    let wish = |subject: &String| Preference {
        subject: subject.clone(),
        item: ALL.to_owned(),
        channel: channel.to_owned(),
        stance: Some(Stance::Refused),
        language: None,
        since: chudong::calendar::AsOf::today().date(),
        how: "link",
    };
    let wishes: Vec<Preference> = subjects.iter().map(wish).collect();
    let mut ledger = Ledger::open(&world.state(), "an-binh").unwrap();
    ledger.prefer(&wishes, &[]).unwrap();
}
