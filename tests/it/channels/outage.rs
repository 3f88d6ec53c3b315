//! A service over HTTP that takes nothing from anybody: the night says so and asks no more, and nobody's stage is over.

use std::net::TcpListener;
use std::sync::atomic::Ordering;

use chudong::fault::Explain;
use chudong::ledger::MessageState;
use chudong::pipeline::ChannelKind;
use chudong::report::FaultLine;
use chudong::simulate;

use super::night::{NUMBERS, night, runtime, simulator, taken};
use super::services::busy;
use super::{Stand, secret, send};
use crate::support::world::World;

const PIPELINE: &str = "pipelines/binh-minh/pipeline.toml";

/// The most requests that reach a service before it is left alone: five in a row, and what was on its way beside them.
const ASKED_MOST: usize = 16;

/// The second agency, with this channel and no other.
fn by(channel: &str) -> World {
    let world = World::of("binh-minh");
    secret(&world.root(), "secret", simulate::SECRET);
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let (before, rest) = text.split_once("[channel]\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let channel = channel.replace("SECRET", &format!("{{ file = \"{}\" }}", world.root().join("secret").display()));
    world.put(PIPELINE, format!("{before}[channel]\n{channel}\n\n{after}").as_bytes());
    world.edit("sql/staging/binh-minh/people.sql", "cast(null as varchar) as phone", &format!("{NUMBERS} as phone"));
    world
}

fn by_sms(url: &str) -> World {
    by(&format!("kind = \"sms\"\nurl = \"{url}\"\ntoken = SECRET\nsender = \"BINH MINH\"\nidempotent = true"))
}

/// What the night says of its channel: one sentence, and no other fault.
#[track_caller]
fn told(world: &World) -> FaultLine {
    let (report, [sent, deferred, refused, uncertain]) = night(world, 1);
    assert_eq!((sent, refused, uncertain), (0, 0, 0), "{:?}", report.items);
    assert!(deferred > 0);
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    report.faults.into_iter().next().unwrap()
}

/// The service is mended: everybody is written to, once, without a stop to lift.
#[track_caller]
fn is_mended(world: &World, from: &str) {
    let runtime = runtime();
    let simulator = simulator(&runtime, 10_000);
    assert_eq!(world.chudong(&["ledger", "breakers"]).with(0).out.matches("template").count(), 0);
    world.edit(PIPELINE, from, &format!("{}/sms", simulator.url()));
    let (_, [sent, deferred, refused, uncertain]) = night(world, 0);
    let taken = taken(&simulator, "sms");
    assert!(taken.len() >= 8 && taken.iter().all(|taken| taken.times == 1), "{}", taken.len());
    assert_eq!([sent, deferred, refused, uncertain], [taken.len() as u64, 0, 0, 0]);
    assert!(world.outbox().iter().all(|row| row.state == MessageState::Accepted));
    world.ledger_is_sound();
}

#[test]
fn a_gateway_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/send");
    let world = by_sms(&url);
    let told = told(&world);
    assert_eq!(told.code, "delivery.service-unreachable");
    assert_eq!(told.place, format!("service 127.0.0.1:{port}"));
    assert!(told.what.contains("cannot be reached: Connection refused"), "{}", told.what);
    is_mended(&world, &url);
}

#[test]
fn a_gateway_that_answers_everybody_alike_is_left_alone_and_refuses_nobody() {
    for (status, code, what, next) in [
        ("500 Internal Server Error", "delivery.service-unreachable", "takes no message: http 500", "url and network"),
        ("429 Too Many Requests", "delivery.service-unreachable", "takes no message: http 429", "url and network"),
        ("400 Bad Request", "delivery.service-refuses", "http 400", "what it misses in our requests"),
        ("422 Unprocessable Content", "delivery.service-refuses", "http 422", "what it misses in our requests"),
        ("302 Found", "delivery.service-refuses", "http 302", "correct the channel's url"),
        ("404 Not Found", "delivery.service-refuses", "http 404", "correct the channel's url"),
        ("401 Unauthorized", "delivery.service-refuses", "http 401", "put the right token or secret"),
    ] {
        let (url, asked) = busy(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").leak());
        let world = by_sms(&url);
        let told = told(&world);
        assert_eq!((told.code.as_str(), told.place), (code, url.replace("http://", "service ")), "{status}");
        assert!(told.what.contains(what) && told.next.contains(next), "{status}: {} {}", told.what, told.next);
        assert!(asked.load(Ordering::Relaxed) <= ASKED_MOST, "{status}: {asked:?}");
        is_mended(&world, &url);
    }
}

/// A message that the service refuses among others that it takes is refused, however little it says of why.
#[tokio::test]
async fn one_refusal_without_a_word_is_believed_while_others_are_taken() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 8192];
            let read = stream.read(&mut bytes).unwrap_or_default();
            let is_bad = String::from_utf8_lossy(&bytes[..read]).contains("84911111113");
            let status = if is_bad { "400 Bad Request" } else { "202 Accepted" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            drop(stream.write_all(head.as_bytes()));
        }
    });
    let stand = Stand::new().await;
    let mut channel = stand.sms(true);
    let ChannelKind::Sms(gateway) = &mut channel.kind else { return };
    gateway.url = url;
    gateway.connections = 1;
    let mut sender = stand.open(&channel).await.unwrap();
    // Alone before any other, it may be a wrong setting of ours.
    assert_eq!(send(&mut sender, &channel, &["84911111113"]).await, ["deferred: http 400"]);
    assert_eq!(sender.trouble().unwrap().code(), "delivery.service-refuses");
    let three = ["84911111112", "84911111113", "84911111114"];
    assert_eq!(send(&mut sender, &channel, &three).await, ["accepted", "refused: http 400", "accepted"]);
    assert_eq!(send(&mut sender, &channel, &["84911111113"]).await, ["refused: http 400"]);
    assert!(sender.trouble().is_none());
}

#[tokio::test]
async fn a_webhook_whose_address_is_a_private_one_in_disguise_is_not_opened() {
    let stand = Stand::new().await;
    for url in ["https://167772161:18999/x", "https://10.0.0.1.:18999/x", "https://[64:ff9b::a00:1]/x"] {
        let mut channel = stand.webhook("secret");
        let ChannelKind::Webhook(webhook) = &mut channel.kind else { return };
        webhook.url = url.into();
        let error = stand.open(&channel).await.unwrap_err();
        assert_eq!(error.code(), "delivery.service-unusable", "{url}");
        assert!(error.to_string().contains("leads into a private network"), "{error}");
    }
}

#[test]
fn a_mail_server_that_is_not_there_leaves_everybody_waiting_in_the_table() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = World::of("binh-minh");
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let smtp = format!("kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"");
    world.put(PIPELINE, text.replace("kind = \"folder\"", &smtp).as_bytes());
    let (report, [sent, ..]) = night(&world, 1);
    assert_eq!(sent, 0);
    assert!(report.faults.iter().any(|fault| fault.code == "delivery.server-unreachable"), "{:?}", report.faults);
    let held: u64 = report.items.iter().filter_map(|item| item.held.get("channel failed tonight")).sum();
    assert!(held >= 8, "{:?}", report.items);
}
