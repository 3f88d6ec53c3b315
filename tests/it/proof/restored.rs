//! Yesterday's backup, two processes at once, a second run: no second message.

use super::{NIGHT, Running, taken, times, town};
use crate::support::smtp::Server;

const MESSAGES: usize = 120;

#[test]
fn a_run_on_yesterdays_backup_sends_nothing_a_second_time() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town(&server, MESSAGES, "resend");
    world.night("2026-11-15").with(0);
    let backup = tempfile::tempdir().unwrap();
    let files = ["ledger.sqlite", "ledger.head"];
    for name in files {
        std::fs::copy(world.state().join(name), backup.path().join(name)).unwrap();
    }
    world.night(NIGHT).with(0);
    assert_eq!(taken(&server), MESSAGES);

    for name in files {
        std::fs::copy(backup.path().join(name), world.state().join(name)).unwrap();
    }
    // They would belong to the ledger that is gone.
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(world.state().join(name));
    }
    assert!(world.outbox().is_empty());
    let ended = world.night(NIGHT).with(0);
    let said = format!("{MESSAGES} messages were sent that this ledger did not know: the journal did");
    assert!(ended.out.contains(&said), "{}", ended.out);
    assert_eq!(taken(&server), MESSAGES);
    assert_eq!(world.outbox().len(), MESSAGES);
    world.ledger_is_sound();
    // And the run after it has nothing left to learn.
    let ended = world.night(NIGHT).with(0);
    assert!(!ended.out.contains("did not know"), "{}", ended.out);
    assert_eq!(taken(&server), MESSAGES);
    world.ledger_is_sound();
}

#[test]
fn of_two_runs_at_once_each_message_leaves_once() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town(&server, MESSAGES, "resend");
    let mut runs = [Running::start(&world), Running::start(&world)];
    let mut codes = runs.each_mut().map(|run| run.0.wait().unwrap().code().unwrap());
    codes.sort_unstable();
    // The other is refused, or came after the first had ended.
    assert!(matches!(codes, [0, 0 | 1]), "{codes:?}");
    let times = times(&server);
    assert_eq!(times.len(), MESSAGES);
    assert!(times.values().all(|times| *times == 1));
    world.ledger_is_sound();
}
