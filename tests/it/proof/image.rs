//! A power loss at any moment: the files as they stand, also with a torn end, open, verify, and send nothing twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chudong::ledger::verify::verify;
use chudong::run::remind::convoy::GROUPS_IN_FLIGHT;

use super::{NIGHT, Running, command_in, keys_in, message_id, number, taken, town, uncertain_in};
use crate::support::smtp::{Mood, Server};
use crate::support::world::{copy, run};

/// What is torn in an image. The other of the two places, ledger and journal, is whole: each is synced before the
/// wire is touched.
#[derive(Debug, Clone, Copy)]
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

/// `CHUDONG_TEST_MOMENTS=100` is the proof; the suite takes a few moments.
#[test]
fn an_image_of_any_moment_opens_verifies_and_sends_nothing_twice() {
    let moments = number("CHUDONG_TEST_MOMENTS", 4);
    let messages = 150.max(moments * 8);
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    server.set_moods(|_| {
        std::thread::sleep(Duration::from_millis(1));
        Mood::Takes
    });
    let world = town(&server, messages, "resend");
    // The night before has nothing to send: the ledger has begun, and its head is noted.
    world.night("2026-11-15").with(0);
    assert_eq!(taken(&server), 0);
    let everybody = (0..messages).map(|number| format!("m{number:05}@example.com")).collect::<BTreeSet<_>>();

    let mut run_of_it = Running::start(&world);
    // What the run itself has sent, and from where on the server's list is its own again.
    let (mut sent, mut own_from) = (BTreeSet::new(), 0);
    let (mut images, mut repeats, mut most) = (0, 0, 0);
    for moment in 0..moments {
        while sent.len() + taken(&server) - own_from < messages * moment / moments && !run_of_it.is_over() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_millis(random(12)));
        if run_of_it.is_over() {
            break;
        }
        signal(&run_of_it, "-STOP");
        // What is in the server's hands is taken.
        std::thread::sleep(Duration::from_millis(30));
        let list = |from: usize| -> Vec<(String, String)> {
            let taken = server.taken.lock().unwrap();
            taken[from..].iter().map(|(to, bytes)| (to.clone(), message_id(bytes))).collect()
        };
        sent.extend(list(own_from));
        let image_from = taken(&server);

        let image = tempfile::tempdir().unwrap();
        copy(&world.state(), image.path());
        let torn = [Torn::Nothing, Torn::Log, Torn::LastFrame, Torn::Journal][moment % 4];
        tear(image.path(), torn);
        let what = format!("image {moment}, torn: {torn:?}, after {} messages", sent.len());
        let faults = verify(image.path()).unwrap().faults;
        assert!(faults.is_empty(), "{what}: {:?}", faults.iter().map(|fault| &fault.what).collect::<Vec<_>>());
        let ended = run(&mut command_in(&world, image.path(), &["run", "--as-of", NIGHT]));
        assert_eq!(ended.code, Some(0), "{what}\n{}\n{}", ended.out, ended.err);
        assert!(verify(image.path()).unwrap().faults.is_empty(), "{what}");

        let by_image = list(image_from);
        let again: Vec<&(String, String)> = by_image.iter().filter(|one| sent.contains(*one)).collect();
        let uncertain = uncertain_in(image.path());
        let ever: BTreeSet<&String> = uncertain.values().flatten().collect();
        let keys = keys_in(image.path());
        let marked = |id: &str| ever.contains(&keys[id]);
        assert!(again.iter().all(|(_, id)| marked(id)), "{what}: something was sent twice that was certain");
        assert_eq!(by_image.iter().collect::<BTreeSet<_>>().len(), by_image.len(), "{what}: twice by one run");
        let all: BTreeSet<String> = sent.iter().chain(&by_image).map(|(to, _)| to.clone()).collect();
        assert_eq!(all, everybody, "{what}: lost");
        images += 1;
        repeats += again.len();
        most = most.max(ever.len());
        own_from = taken(&server);
        signal(&run_of_it, "-CONT");
    }
    assert!(run_of_it.0.wait().unwrap().success());
    println!("| images | repeated, each marked uncertain | most uncertain in one image | window |");
    println!("| {images} | {repeats} | {most} | {} |", GROUPS_IN_FLIGHT * 32);
    assert!(images >= moments.min(3) && most <= GROUPS_IN_FLIGHT * 32);
    sent.extend(server.taken.lock().unwrap()[own_from..].iter().map(|(to, bytes)| (to.clone(), message_id(bytes))));
    assert_eq!(sent.len(), messages);
    world.ledger_is_sound();
}
