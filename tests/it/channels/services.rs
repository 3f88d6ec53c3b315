//! An SMS gateway and a signed webhook.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chudong::delivery::signature::{Forged, WINDOW_SECONDS, sign, verify};
use chudong::fault::Explain;
use chudong::pipeline::ChannelKind;
use chudong::reminders::short::{parts, without_diacritics};
use proptest::prelude::*;

use super::{Stand, secret, send, slip};

const ALL: [&str; 6] = ["84900000001", "84900000002", "84900000003", "84900000005", "84900000006", "84911111111"];

#[tokio::test]
async fn a_gateway_that_promises_nothing_leaves_a_lost_answer_open() {
    let stand = Stand::new().await;
    let outcomes = stand.send(&stand.sms(false), &ALL).await;
    assert_eq!(
        outcomes,
        [
            "deferred: http 429 retry_later",
            "refused: http 422 recipient",
            "accepted",
            "uncertain: connection lost",
            "uncertain: http 503",
            "accepted"
        ]
    );
    let taken = stand.taken();
    let text = taken.get("84911111111").unwrap().said.get("text").unwrap().as_str().unwrap().to_owned();
    assert_eq!(text, "Tinh An Binh: Doi giay phep lai xe.");
}

#[tokio::test]
async fn a_service_that_knows_a_message_by_its_number_is_asked_again() {
    let stand = Stand::new().await;
    for channel in [stand.sms(true), stand.webhook("secret")] {
        let lost = ["84900000005", "84900000006"];
        let mut sender = stand.open(&channel).await.unwrap();
        assert_eq!(send(&mut sender, &channel, &lost).await, ["deferred: connection lost", "deferred: http 503"]);
        // It had taken the first; the second is still out of reach.
        assert_eq!(send(&mut sender, &channel, &lost).await, ["accepted", "deferred: http 503"]);
        let complaint = ["84900000003", "84900000003"];
        assert_eq!(send(&mut sender, &channel, &complaint[..1]).await, ["accepted"]);
        assert_eq!(send(&mut sender, &channel, &complaint[1..]).await, ["accepted"], "known by its number");
    }
    assert!(stand.simulator.taken().iter().all(|taken| taken.times == 1));
}

#[tokio::test]
async fn a_webhook_is_told_what_the_message_says_and_no_more() {
    let stand = Stand::new().await;
    assert_eq!(stand.send(&stand.webhook("secret"), &["0911111111"]).await, ["accepted"]);
    let id = slip(&stand.webhook("secret"), "0911111111").message_id;
    let taken = stand.taken();
    assert_eq!(
        taken.get("84911111111").unwrap().said,
        serde_json::json!({
            "id": id,
            "to": { "phone": "84911111111" },
            "item": "driving_licence",
            "language": "vi",
            "subject": "Đổi giấy phép",
            "text": "Tỉnh An Bình: Đổi giấy phép lái xe.",
        })
    );
}

#[tokio::test]
async fn a_wrong_secret_stops_the_channel() {
    let stand = Stand::new().await;
    secret(stand.folder.path(), "wrong", "another-secret");
    let channel = stand.webhook("wrong");
    let mut sender = stand.open(&channel).await.unwrap();
    let many: Vec<String> = (0..40).map(|n| format!("849111111{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let outcomes = send(&mut sender, &channel, &many).await;
    assert_eq!(outcomes.first().unwrap(), "deferred: http 401 ours");
    assert_eq!(outcomes.last().unwrap(), "deferred: channel had stopped");
    let trouble = sender.trouble().unwrap();
    assert_eq!(trouble.code(), "delivery.service-refuses");
    assert_eq!(stand.simulator.taken(), Vec::new());
}

/// A service that is busy: it answers every request with this, and counts them.
pub(super) fn busy(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 8192];
            // A request of these tests is shorter than what is read at once.
            let _ = stream.read(&mut bytes);
            count.fetch_add(1, Ordering::Relaxed);
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_service_that_asks_for_time_gets_it_and_is_asked_no_more() {
    let stand = Stand::new().await;
    let close = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    let later = chudong::calendar::now() + jiff::SignedDuration::from_secs(900);
    let date = later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let many: Vec<String> = (0..40).map(|n| format!("849111111{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (head, least, most) in [
        ("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\n".to_owned(), 120, 120),
        (format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {date}\r\n"), 800, 900),
        // Whoever asks for a year is asked again tomorrow.
        ("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 31536000\r\n".to_owned(), 86_400, 86_400),
    ] {
        let (url, asked) = busy(format!("{head}{close}").leak());
        let mut channel = stand.sms(true);
        let ChannelKind::Sms(gateway) = &mut channel.kind else { return };
        gateway.url = url;
        let mut sender = stand.open(&channel).await.unwrap();
        let outcomes = send(&mut sender, &channel, &many).await;
        let (first, rest) = outcomes.first().unwrap().rsplit_once("again after ").unwrap();
        assert!(first.starts_with("deferred: http "), "{outcomes:?}");
        let seconds: u32 = rest.trim_end_matches(" s").parse().unwrap();
        assert!((least..=most).contains(&seconds), "{seconds}");
        // What was on its way is answered; of the others none knocks.
        assert_eq!(outcomes.last().unwrap(), "deferred: channel had stopped");
        assert!(asked.load(Ordering::Relaxed) <= 16, "{asked:?}");
        let trouble = sender.trouble().unwrap();
        assert_eq!(trouble.code(), "delivery.service-busy");
    }
}

/// The example of Standard Webhooks 1.0.
#[test]
fn the_signature_is_that_of_the_standard() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
    let signature = sign(secret, id, at, body);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(verify(secret, id, at, &signature, body, 1_614_265_330), Ok(()));
    assert_eq!(verify(secret, id, at, &format!("v1,AAAA {signature}"), body, 1_614_265_330), Ok(()));
    let late = 1_614_265_330 + WINDOW_SECONDS + 1;
    assert_eq!(verify(secret, id, at, &signature, body, late), Err(Forged::Time));
    assert_eq!(verify(secret, id, at, &signature, b"{}", 1_614_265_330), Err(Forged::Signature));
    assert_eq!(verify("other", id, at, &signature, body, 1_614_265_330), Err(Forged::Signature));
    assert_eq!(verify(secret, "a.b", at, &signature, body, 1_614_265_330), Err(Forged::Headers));
    assert_eq!(verify(secret, id, "soon", &signature, body, 1_614_265_330), Err(Forged::Headers));
}

proptest! {
    #[test]
    fn what_was_signed_is_known_and_nothing_else(
        secret in "\\PC{0,40}|whsec_[A-Za-z0-9+/]{0,44}={0,2}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<i64>(),
        flipped in any::<prop::sample::Index>(),
    ) {
        let signature = sign(&secret, "id", &at.to_string(), &body);
        prop_assert_eq!(verify(&secret, "id", &at.to_string(), &signature, &body, at), Ok(()));
        prop_assert_eq!(verify(&secret, "other", &at.to_string(), &signature, &body, at), Err(Forged::Signature));
        if !body.is_empty() {
            let mut other = body.clone();
            let place = flipped.index(other.len());
            other[place] ^= 1;
            prop_assert_eq!(verify(&secret, "id", &at.to_string(), &signature, &other, at), Err(Forged::Signature));
        }
        // Whatever is put into the headers is read or refused.
        let text = String::from_utf8_lossy(&body);
        prop_assert!(verify(&secret, &text, &text, &text, &body, at).is_err());
    }
}

#[test]
fn a_text_message_is_counted_as_networks_count_it() {
    assert_eq!(parts(""), 1);
    assert_eq!([160, 161, 306, 307].map(|chars| parts(&"a".repeat(chars))), [1, 2, 2, 3]);
    // One letter that the alphabet of 1985 lacks, and each takes two bytes.
    assert_eq!([70, 71, 134, 135].map(|chars| parts(&"ễ".repeat(chars))), [1, 2, 2, 3]);
    assert_eq!(parts(&"€".repeat(80)), 1);
    assert_eq!(parts(&"€".repeat(81)), 2);
    assert_eq!(
        without_diacritics("Đổi giấy phép – chậm nhất ngày 20/01/2027"),
        "Doi giay phep - cham nhat ngay 20/01/2027"
    );
}
