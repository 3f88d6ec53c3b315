//! Several commands in one packet (RFC 2920): the next message is announced behind the one before it, and every
//! message ends as it would by itself.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chudong::delivery::{Envelope, Outcome, Sender, Timeouts};
use chudong::language::Text;
use chudong::ledger::{Ledger, MessageKey, Record, Recorded};
use chudong::personal::Personal;
use chudong::pipeline::{Channel, ChannelKind, Smtp, Tls};
use proptest::prelude::*;

use crate::support::smtp::Server;

/// Local parts by which the server does something of each kind, but keep silent.
const MOODS: [&str; 11] =
    ["van", "grey", "unknown", "goodbye", "spam", "full", "dropped", "hung", "last", "an", "binh"];

fn channel(port: u16, connections: usize) -> Channel {
    Channel {
        name: "smtp".into(),
        recheck_minutes: 30,
        from: "nhac-viec@anbinh.example".into(),
        from_name: Text::new("Nhắc việc", "Reminders"),
        pace: Default::default(),
        kind: ChannelKind::Smtp(Smtp {
            host: "127.0.0.1".into(),
            port,
            tls: Tls::None,
            credentials: None,
            connections,
        }),
    }
}

/// Messages to these, each with a dot that has to be stuffed.
fn recorded(to: &[&str]) -> Vec<Recorded<Envelope>> {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), "an-binh").unwrap();
    let message = |(number, to): (usize, &&str)| {
        let key = format!("k{number:03}");
        let envelope = Envelope {
            key: key.clone(),
            message_id: format!("{key}@anbinh.example"),
            from: "nhac-viec@anbinh.example".parse().unwrap(),
            to: Personal::new(format!("{to}@example.com").parse().unwrap()),
            text: format!("Subject: {key}\r\n\r\n.{number}\r\n").into(),
        };
        (Record { key: MessageKey(key), ..Record::default() }, envelope)
    };
    ledger.record("2026-11-21.1", to.iter().enumerate().map(message).collect()).unwrap()
}

/// What became of each message, what the server took, and how often a message was announced behind another.
fn sent(to: &[&str], extensions: &'static [&'static str], connections: usize) -> (Vec<Outcome>, Vec<String>, usize) {
    let server = Server::start("220 test.example", extensions, usize::MAX);
    let limit = Duration::from_secs(30);
    let timeouts = Timeouts { connect: limit, command: limit, data: limit };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcomes = runtime.block_on(async {
        let mut sender = Sender::open(&channel(server.port, connections), Path::new("unused"), timeouts).await.unwrap();
        let outcomes = sender.send(&recorded(to)).await;
        sender.close().await;
        outcomes
    });
    let taken = server.taken.lock().unwrap();
    let mut taken: Vec<String> = taken.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    taken.sort();
    (outcomes, taken, server.announced.load(Ordering::Acquire))
}

#[test]
fn the_next_message_is_announced_behind_the_end_of_the_one_before() {
    let to = ["van"; 40];
    let (outcomes, taken, announced) = sent(&to, &["PIPELINING"], 1);
    assert_eq!((outcomes, taken.len()), (vec![Outcome::Accepted; 40], 40));
    // The last is left to whoever is free.
    assert_eq!(announced, 38);
    let (outcomes, _, announced) = sent(&to, &[], 1);
    assert_eq!((outcomes, announced), (vec![Outcome::Accepted; 40], 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A reply belongs to its command, whatever happens to the messages before and behind it.
    #[test]
    fn every_message_ends_as_it_would_by_itself(
        moods in prop::collection::vec(prop::sample::select(&MOODS[..]), 1..30),
        connections in 1_usize..4,
    ) {
        let (together, taken, _) = sent(&moods, &["PIPELINING"], connections);
        let (apart, expected, announced) = sent(&moods, &[], connections);
        prop_assert_eq!(announced, 0);
        prop_assert_eq!(together, apart);
        prop_assert_eq!(taken, expected);
    }
}
