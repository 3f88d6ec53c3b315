//! Why nothing left is told, whatever it was.

use chudong::ledger::Stop;

use super::*;

/// What a night is said to have done for the one obligation of each person.
fn answers(world: &World, night: &str) -> Vec<String> {
    let mut answers = Vec::new();
    for subject in subjects(world) {
        let asked = ["trace", "--subject", &subject, "--night", night, "--format", "json"];
        let story: serde_json::Value = serde_json::from_str(&world.chudong(&asked).with(0).out).unwrap();
        answers.push(story["nights"][0]["answer"].as_str().unwrap().to_owned());
    }
    answers
}

#[test]
fn what_a_stop_a_dead_server_or_a_late_day_held_back_is_told() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town(&server, 2, |_| vec!["2026-12-01"]);
    world.night("2026-11-10").with(0);
    // Nobody listens there any more.
    let port = format!("port = {}", server.port);
    world.edit(PIPELINE, &port, "port = 1");
    world.night("2026-11-17").with(1);
    let told = answers(&world, "2026-11-17");
    assert!(told.iter().all(|answer| answer.contains("channel failed tonight")), "{told:?}");
    world.edit(PIPELINE, "port = 1\n", &format!("{port}\n"));

    let stop = Stop {
        scope: "item temporary_residence".into(),
        reason: "refusals".into(),
        sent: 1_000,
        refused: 100,
        at: "2026-11-17T01:00:00Z".into(),
        run: "-".into(),
    };
    let mut ledger = Ledger::open(&world.state(), "an-binh").unwrap();
    ledger.stop("-", &[stop]).unwrap();
    ledger.anchor().unwrap();
    drop(ledger);
    world.night("2026-11-18").with(0);
    let told = answers(&world, "2026-11-18");
    assert!(told.iter().all(|answer| answer.contains("stopped after refusals")), "{told:?}");

    let ended = world.chudong(&["run", "--as-of", "2026-11-19", "--today", "2026-12-02", "--format", "json"]).with(0);
    assert_eq!(held(&ended).get("no longer valid"), Some(&2), "{}", ended.out);
    let told = answers(&world, "2026-11-19");
    assert!(told.iter().all(|answer| answer.contains("no longer valid") || answer.contains("expired")), "{told:?}");
    assert_eq!(taken(&server), 0);
    world.ledger_is_sound();
}
