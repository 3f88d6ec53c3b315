//! A power loss at any moment: the files as they stand, also with a torn end, open, verify, and send nothing twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use chudong::ledger::verify::verify;
use chudong::run::remind::convoy::GROUPS_IN_FLIGHT;

use super::{NIGHT, PIPELINE, Running, command_in, keys_in, message_id, number, taken, town, uncertain_in};
use crate::support::smtp::{Mood, Server};
use crate::support::world::{World, copy, run};

/// What is torn in an image. The other of the two places, ledger and journal, is whole: each is synced before the
/// wire is touched.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Torn {
    /// Nothing.
    Nothing,
    /// The write-ahead log ends at any byte.
    Log,
    /// The last frame of the write-ahead log is not what was written.
    LastFrame,
    /// The journal lacks some of its last bytes.
    Journal,
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below.max(1)
}

fn tear(state: &Path, torn: Torn) {
    let (log, journal) = (state.join("ledger.sqlite-wal"), state.join("sent.journal"));
    let path = if matches!(torn, Torn::Journal) { journal } else { log };
    let Ok(mut bytes) = std::fs::read(&path) else { return };
    let length = bytes.len() as u64;
    match torn {
        Torn::Nothing => return,
        Torn::Log => bytes.truncate(usize::try_from(random(length + 1)).unwrap()),
        Torn::LastFrame => bytes.iter_mut().rev().take(512).for_each(|byte| *byte ^= 0x5a),
        // Of the last group alone: the one before it was synced before its messages left.
        Torn::Journal => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let ends: Vec<usize> = text.match_indices("\n. ").map(|(at, _)| at).collect();
            let Some(last) = ends.last() else { return };
            let cut = (bytes.len() - last) as u64;
            bytes.truncate(bytes.len() - usize::try_from(random(cut)).unwrap());
        }
    }
    std::fs::write(&path, bytes).unwrap();
}

fn signal(run: &Running, name: &str) {
    assert!(Command::new("kill").arg(name).arg(run.0.id().to_string()).status().unwrap().success());
}

/// Recipient and Message-ID.
type Sent = (String, String);

/// The state folder at one moment, and how many messages the server had from the run by then.
struct Image {
    state: tempfile::TempDir,
    torn: Torn,
    sent: usize,
}

/// What an image has come to.
struct Found {
    torn: Torn,
    repeated: usize,
    uncertain: usize,
}

fn list(server: &Server, from: usize) -> Vec<Sent> {
    let taken = server.taken.lock().unwrap();
    taken.iter().skip(from).map(|(to, bytes)| (to.clone(), message_id(bytes))).collect()
}

/// How many messages the server has, once a run that was stopped has none in its hands any more.
fn taken_at_rest(server: &Server) -> usize {
    let mut before = usize::MAX;
    loop {
        let now = taken(server);
        if now == before {
            return now;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// One undisturbed run, but that it is halted for as long as each copy of its state folder takes: all files of an image
/// are of one moment, as a power loss leaves them. A tenth of the moments come before the first message.
fn images_of(world: &World, server: &Server, moments: usize, messages: usize) -> Vec<Image> {
    let mut run_of_it = Running::start(world);
    let early = moments / 10;
    let mut images: Vec<Image> = Vec::new();
    for moment in 0..moments {
        let after = messages * moment.saturating_sub(early) / (moments - early);
        while taken(server) < after && !run_of_it.is_over() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_millis(random(if moment < early { 150 } else { 8 })));
        if run_of_it.is_over() {
            break;
        }
        signal(&run_of_it, "-STOP");
        let sent = taken_at_rest(server);
        let state = tempfile::Builder::new().prefix("chudong-image-").tempdir().unwrap();
        copy(&world.state(), state.path());
        signal(&run_of_it, "-CONT");
        let torn = [Torn::Nothing, Torn::Log, Torn::LastFrame, Torn::Journal][moment % 4];
        tear(state.path(), torn);
        images.push(Image { state, torn, sent });
    }
    assert!(run_of_it.0.wait().unwrap().success());
    images
}

/// An image opens, verifies, and the run after the power has come back sends what is left, and nothing that is certain.
/// `world` and `server` are of whoever looks: each has a server of its own, so that what is sent is told apart.
fn comes_back(world: &World, server: &Server, image: &Image, sent: &[Sent], everybody: &BTreeSet<String>) -> Found {
    let state = image.state.path();
    let what = format!("torn: {:?}, after {} messages, in {}", image.torn, image.sent, state.display());
    let faults = verify(state).unwrap().faults;
    assert!(faults.is_empty(), "{what}: {:?}", faults.iter().map(|fault| &fault.what).collect::<Vec<_>>());
    let from = taken(server);
    let ended = run(&mut command_in(world, state, &["run", "--as-of", NIGHT]));
    assert_eq!(ended.code, Some(0), "{what}\n{}\n{}", ended.out, ended.err);
    assert!(verify(state).unwrap().faults.is_empty(), "{what}");

    let by_image = list(server, from);
    let before: BTreeSet<&Sent> = sent.iter().take(image.sent).collect();
    let again: Vec<&Sent> = by_image.iter().filter(|one| before.contains(one)).collect();
    let uncertain = uncertain_in(state);
    let ever: BTreeSet<&String> = uncertain.values().flatten().collect();
    let keys = keys_in(state);
    assert!(again.iter().all(|(_, id)| ever.contains(&keys[id])), "{what}: sent twice although it was certain");
    assert_eq!(by_image.iter().collect::<BTreeSet<_>>().len(), by_image.len(), "{what}: twice by one run");
    let reached: BTreeSet<&String> = before.into_iter().chain(&by_image).map(|(to, _)| to).collect();
    assert!(reached.into_iter().eq(everybody), "{what}: lost");
    Found { torn: image.torn, repeated: again.len(), uncertain: ever.len() }
}

/// The town of another, with a mail server of its own.
fn looker(town: &World, port: u16) -> (World, Server) {
    let (world, server) = (World::beside(town), Server::start("220 test.example", &["PIPELINING"], usize::MAX));
    world.edit(PIPELINE, &format!("port = {port}\n"), &format!("port = {}\n", server.port));
    (world, server)
}

/// `CHUDONG_TEST_MOMENTS=100` is the proof; the suite takes a few moments.
#[test]
fn an_image_of_any_moment_opens_verifies_and_sends_nothing_twice() {
    let moments = number("CHUDONG_TEST_MOMENTS", 4);
    let messages = 150.max(moments * 6);
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    server.set_moods(|_| {
        std::thread::sleep(Duration::from_millis(1));
        Mood::Takes
    });
    let world = town(&server, messages, "resend");
    // The night before has nothing to send: the ledger has begun, and its head is noted.
    world.night("2026-11-15").with(0);
    assert_eq!(taken(&server), 0);
    let images = images_of(&world, &server, moments, messages);
    let sent = list(&server, 0);
    assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), messages);
    assert_eq!(sent.len(), messages, "being halted is no reason to send twice");
    world.ledger_is_sound();

    let everybody = (0..messages).map(|number| format!("m{number:05}@example.com")).collect::<BTreeSet<_>>();
    let waiting = Mutex::new(images.iter());
    let found: Vec<Found> = std::thread::scope(|scope| {
        let lookers: Vec<_> = (0..moments.min(3))
            .map(|_| {
                scope.spawn(|| {
                    let (world, server) = looker(&world, server.port);
                    let next = || waiting.lock().unwrap().next();
                    let look = |image| comes_back(&world, &server, image, &sent, &everybody);
                    std::iter::from_fn(next).map(look).collect::<Vec<Found>>()
                })
            })
            .collect();
        lookers.into_iter().flat_map(|looker| looker.join().unwrap()).collect()
    });
    is_told(&images, &found);
    assert!(found.len() == images.len() && images.len() >= moments.min(3), "{}", images.len());
}

fn is_told(images: &[Image], found: &[Found]) {
    let window = GROUPS_IN_FLIGHT * 32;
    let sending = images.iter().filter(|image| image.sent > 0).count();
    println!("{} images, {sending} of them with messages sent", images.len());
    println!("| torn | images | lost | repeated, each marked uncertain | most uncertain in one image | window |");
    for torn in [Torn::Nothing, Torn::Log, Torn::LastFrame, Torn::Journal] {
        let of_it: Vec<&Found> = found.iter().filter(|found| found.torn == torn).collect();
        let repeated: usize = of_it.iter().map(|found| found.repeated).sum();
        let most = of_it.iter().map(|found| found.uncertain).max().unwrap_or(0);
        println!("| {torn:?} | {} | 0 | {repeated} | {most} | {window} |", of_it.len());
        assert!(most <= window, "{torn:?}: {most} messages are uncertain");
    }
}
