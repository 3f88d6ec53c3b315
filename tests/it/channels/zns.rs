//! Zalo: tokens, errors, lost answers, quota, closed hours.

use std::collections::BTreeSet;

use chudong::delivery::{Class, Code, TemplateState, zns};
use chudong::fault::Explain;
use chudong::pipeline::{ChannelKind, Hours};
use chudong::simulate::Simulator;

use super::services::busy;
use super::{QUICK, Stand, recorded, said, secret, send, slip};

#[tokio::test]
async fn a_message_leaves_in_the_shape_that_zalo_takes() {
    let stand = Stand::new().await;
    assert_eq!(stand.send(&stand.zns(), &["0912345678"]).await, ["accepted"]);
    let taken = stand.taken();
    let taken = taken.get("84912345678").unwrap();
    assert_eq!((taken.channel, taken.times), ("zns", 1));
    assert_eq!(taken.id, slip(&stand.zns(), "0912345678").message_id);
    assert_eq!(taken.id.len(), 32);
    let expected = serde_json::json!({ "template": "204001", "data": { "ten": "Nguyễn Thị Hồng Vân" } });
    assert_eq!(taken.said, expected);
}

#[tokio::test]
async fn a_template_that_was_refused_or_paused_is_found_before_anything_is_offered() {
    let stand = Stand::new().await;
    let channel = stand.zns();
    for (status, word) in [("REJECT", "rejected"), ("DISABLE", "paused"), ("PENDING_REVIEW", "not approved yet")] {
        stand.simulator.judge_template("204001", status);
        let mut sender = stand.open(&channel).await.unwrap();
        let all = ["84911111111", "84922222222"];
        assert_eq!(send(&mut sender, &channel, &all).await, vec![format!("deferred: zns template {word}"); 2]);
        // Messages of other templates go on by the same channel.
        assert!(sender.trouble().is_none());
    }
    assert_eq!(stand.simulator.taken(), Vec::new());
    assert_eq!(Code::Template(TemplateState::Disabled).class(), Class::Ours);
    // Another run asks again.
    stand.simulator.judge_template("204001", "ENABLE");
    assert_eq!(stand.send(&channel, &["84911111111"]).await, ["accepted"]);
}

/// The table, said a second time: what an operator relies on.
#[test]
fn every_error_has_its_class() {
    let classes = [
        (Class::RetryLater, vec![-100, -133, -234]),
        (
            Class::Ours,
            vec![
                -101, -102, -103, -104, -105, -106, -109, -117, -120, -123, -124, -1241, -125, -127, -128, -129, -131,
                -135, -1351, -136, -138, -145, -216, -220, -9999, 7,
            ],
        ),
        (
            Class::Data,
            vec![-107, -108, -111, -112, -1121, -1122, -1123, -1124, -113, -1131, -116, -121, -122, -130, -132, -153],
        ),
        (Class::Recipient, vec![-110, -114, -118, -119, -134, -140, -230, -232]),
        (Class::OptedOut, vec![-139, -141]),
        (Class::Quota, vec![-115, -126, -137, -144, -1441, -146, -147, -1471, -218]),
    ];
    let mut told = BTreeSet::new();
    for (class, codes) in classes {
        for code in codes {
            assert_eq!(Code::Zns(code).class(), class, "{code}");
            told.insert(code);
        }
    }
    let table: BTreeSet<i32> = zns::CODES.iter().map(|(code, _)| *code).collect();
    assert_eq!(table.len(), zns::CODES.len(), "no error has two classes");
    assert!(table.is_subset(&told), "{:?}", table.difference(&told).collect::<Vec<_>>());
}

/// Each error over the wire: refused for good, or to be sent later.
#[tokio::test]
async fn every_error_over_the_wire_gives_its_outcome() {
    let stand = Stand::new().await;
    let channel = stand.zns();
    for (code, class) in zns::CODES {
        // One at a time: an error of the whole account stops what comes after it.
        let mut sender = stand.open(&channel).await.unwrap();
        let number = format!("8499999{:04}", -code);
        let outcome = send(&mut sender, &channel, &[&number]).await;
        let word = if class.is_final() { "refused" } else { "deferred" };
        assert_eq!(outcome, [format!("{word}: zns {code}")]);
        let stops = sender.trouble().map(|trouble| trouble.code());
        let is_ours = matches!(class, Class::Ours | Class::Quota) || matches!(code, -133 | -234);
        assert!(stops.is_none_or(|code| is_ours && code == "delivery.service-refuses"), "{code}: {stops:?}");
    }
    assert_eq!(stand.simulator.taken(), Vec::new());
}

#[tokio::test]
async fn each_recipient_gets_an_outcome_of_its_own() {
    let stand = Stand::new().await;
    let channel = stand.zns();
    let all = ["84900000001", "84900000002", "84900000003", "84900000004", "84911111111"];
    let mut sender = stand.open(&channel).await.unwrap();
    let first = send(&mut sender, &channel, &all).await;
    assert_eq!(first, ["deferred: zns -100", "refused: zns -118", "accepted", "accepted", "accepted"]);
    assert_eq!(send(&mut sender, &channel, &["84900000001"]).await, ["deferred: zns -100"]);
    assert_eq!(send(&mut sender, &channel, &["84900000001"]).await, ["accepted"]);
    // A person who complained wants no more.
    assert_eq!(send(&mut sender, &channel, &["84900000003"]).await, ["refused: zns -141"]);
    assert!(sender.trouble().is_none());
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_asking_and_never_by_sending_again() {
    let stand = Stand::new().await;
    let channel = stand.zns();
    let outcomes = stand.send(&channel, &["84900000005", "84900000006", "84911111111"]).await;
    assert_eq!(outcomes, ["accepted", "uncertain: http 503", "accepted"]);
    let taken = stand.taken();
    assert!(taken.values().all(|taken| taken.times == 1), "{taken:?}");
    assert!(!taken.contains_key("84900000006"));
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_its_successor_is_kept_sealed() {
    let stand = Stand::new().await;
    let channel = stand.zns();
    assert_eq!(stand.send(&channel, &["84911111111"]).await, ["accepted"]);
    assert_eq!(stand.simulator.renewals(), 1);
    // Another run: the access token is still good.
    assert_eq!(stand.send(&channel, &["84911111112"]).await, ["accepted"]);
    assert_eq!(stand.simulator.renewals(), 1);
    // Zalo forgets it before its time: four messages at once, one renewal, each message taken once.
    stand.simulator.forget_access_token();
    let four = ["84911111113", "84911111114", "84911111115", "84911111116"];
    assert_eq!(stand.send(&channel, &four).await, ["accepted"; 4]);
    assert_eq!(stand.simulator.renewals(), 2);
    assert!(stand.taken().values().all(|taken| taken.times == 1));
    // Nothing of it can be read where it lies.
    let sealed = std::fs::read(stand.state().join("zns.sealed")).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("simulated"));
    // A changed byte is said, and nothing is sent.
    let mut spoilt = sealed.clone();
    *spoilt.last_mut().unwrap() ^= 1;
    std::fs::write(stand.state().join("zns.sealed"), &spoilt).unwrap();
    assert_eq!(stand.open(&channel).await.unwrap_err().code(), "delivery.tokens-not-opened");
    // Without what was kept, the configured token is no longer good, and the error says who must act.
    std::fs::remove_file(stand.state().join("zns.sealed")).unwrap();
    let error = stand.open(&channel).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("delivery.no-token", "no access token could be had: zns -14014")
    );
    assert!(error.next().contains("administrator"), "{}", error.next());
    // A new one in its place begins anew.
    std::fs::write(stand.state().join("zns.sealed"), &sealed).unwrap();
    secret(stand.folder.path(), "refresh", "simulated-refresh-token-2");
    stand.simulator.forget_access_token();
    assert_eq!(stand.send(&channel, &["84911111117"]).await, ["accepted"]);
    assert_eq!(stand.simulator.renewals(), 3);
}

#[tokio::test]
async fn tokens_that_could_not_be_kept_are_not_asked_for() {
    let stand = Stand::new().await;
    // A file where the folder should be: even root cannot write there.
    std::fs::write(stand.state(), "").unwrap();
    assert_eq!(stand.open(&stand.zns()).await.unwrap_err().code(), "delivery.tokens-not-kept");
    assert_eq!(stand.simulator.renewals(), 0, "the refresh token was not used up");
}

#[tokio::test]
async fn a_quota_that_is_used_up_stops_the_channel_and_is_said_beforehand() {
    let stand = Stand::with_quota(2).await;
    let channel = stand.zns();
    let mut sender = stand.open(&channel).await.unwrap();
    assert_eq!(sender.quota().await, Some(zns::Quota { daily: 2, remaining: 2 }));
    let many: Vec<String> = (0..30).map(|n| format!("849111111{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let outcomes = send(&mut sender, &channel, &many).await;
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "accepted").count(), 2);
    assert!(outcomes.iter().any(|outcome| outcome == "deferred: zns -144"));
    // At most one round of connections was still told no.
    assert!(outcomes.iter().filter(|outcome| *outcome == "deferred: zns -144").count() <= 8, "{outcomes:?}");
    assert_eq!(outcomes.last().unwrap(), "deferred: channel had stopped");
    assert_eq!(sender.trouble().unwrap().to_string(), "the service takes no more messages: zns -144");
    assert_eq!(sender.quota().await, Some(zns::Quota { daily: 2, remaining: 0 }));
}

#[tokio::test]
async fn nothing_is_offered_in_the_closed_hours() {
    let stand = Stand::new().await;
    let mut channel = stand.zns();
    let all_day = [(0, 12), (12, 23)].map(|(from, to)| Hours {
        from: jiff::civil::time(from, 0, 0, 0),
        to: if to == 23 { jiff::civil::time(23, 59, 59, 999_999_999) } else { jiff::civil::time(to, 0, 0, 0) },
    });
    let mut outcomes = Vec::new();
    for hours in all_day {
        let ChannelKind::Zns(settings) = &mut channel.kind else { unreachable!() };
        settings.closed = hours;
        outcomes.extend(stand.send(&channel, &["84911111111"]).await);
    }
    outcomes.sort();
    assert_eq!(outcomes, ["accepted", "deferred: channel takes nothing at this hour"]);
    let at = |hour, minute| Hours::ZNS_CLOSED.contain(jiff::civil::time(hour, minute, 0, 0));
    assert!(at(22, 0) && at(23, 59) && at(0, 0) && at(5, 59));
    assert!(!at(6, 0) && !at(12, 0) && !at(21, 59));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_said_and_nothing_is_uncertain() {
    let stand = Stand::new().await;
    let channel = stand.zns();
    let mut sender = stand.open(&channel).await.unwrap();
    let Stand { simulator, folder } = stand;
    simulator.stop().await;
    let outcome = sender.send(&recorded(vec![slip(&channel, "84911111111")])).await;
    assert_eq!(outcome.iter().map(said).collect::<Vec<_>>(), ["deferred: no connection"]);
    drop(folder);
}

#[tokio::test]
async fn the_stand_in_is_reached_from_this_machine_alone() {
    let error = Simulator::start("0.0.0.0:0".parse().unwrap(), 1).await.unwrap_err();
    assert_eq!(error.code(), "simulate.not-loopback");
    assert!(QUICK.connect.as_secs() > 0);
}

#[tokio::test]
async fn who_stands_before_zalo_and_lets_nobody_in_is_no_answer_of_zalo() {
    let stand = Stand::new().await;
    let page = "<html>Forbidden</html>";
    let forbidden =
        format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len());
    let (url, asked) = busy(forbidden.leak());
    let mut channel = stand.zns();
    let ChannelKind::Zns(zns) = &mut channel.kind else { return };
    zns.url = url;
    let mut sender = stand.open(&channel).await.unwrap();
    let many: Vec<String> = (0..40).map(|n| format!("849111111{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let outcomes = send(&mut sender, &channel, &many).await;
    // No message was taken, and none is uncertain: they are sent when the way is open, and nobody knocks meanwhile.
    assert_eq!(outcomes.first().unwrap(), "deferred: http 403");
    assert_eq!(outcomes.last().unwrap(), "deferred: channel had stopped");
    assert_eq!(sender.trouble().unwrap().code(), "delivery.service-refuses");
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) <= 16, "{asked:?}");
}
