//! The way to the portal, against a stand-in with faults.

use std::collections::BTreeMap;
use std::time::Duration;

use chudong::dossiers::Confirmed;
use chudong::fault::Explain;
use chudong::pipeline::publication::Submission;
use chudong::simulate::{DossierMood, Simulator};
use chudong::submission::{Error, Patience, Portal, Status};

use super::sample::{confirmed, terms, with_files};

pub const QUICK: Patience =
    Patience { attempts: 3, first_wait: Duration::from_millis(5), most_wait: Duration::from_secs(2) };

struct Stage {
    _folder: tempfile::TempDir,
    simulator: Simulator,
    portal: Portal,
}

async fn stage(mood: DossierMood) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), 1).await.unwrap();
    simulator.set_dossier_mood(mood);
    let portal = Portal::open(&terms(&simulator.url(), Some(folder.path())), QUICK).unwrap();
    Stage { _folder: folder, simulator, portal }
}

/// A number, and the dossier under it.
pub async fn hand_in(portal: &mut Portal, dossier: &Confirmed) -> Result<String, Error> {
    let number = portal.number(dossier).await?;
    portal.submit(dossier, &number).await.map(|()| number)
}

fn dossier() -> Confirmed {
    with_files(confirmed("5f0c41d2a9b84d6f8e37c1b0a2d94e6b"))
}

#[tokio::test]
async fn a_dossier_and_its_files_arrive_whole_and_once_however_often_it_is_handed_in() {
    let Stage { simulator, mut portal, .. } = stage(DossierMood::default()).await;
    let dossier = dossier();
    let number = hand_in(&mut portal, &dossier).await.unwrap();
    assert_eq!(hand_in(&mut portal, &dossier).await.unwrap(), number);
    let held = simulator.dossiers();
    assert_eq!(held.keys().collect::<Vec<_>>(), [&number]);
    let arrived: Vec<&Vec<u8>> = held[&number].files.values().collect();
    let left: Vec<&Vec<u8>> = dossier.attachments.iter().map(|file| file.bytes.reveal()).collect();
    assert_eq!(arrived, left);
    assert_eq!((simulator.dossier_numbers(), simulator.dossier_calls().1), (1, 1), "one number, one token");
    // Another dossier of the same person has a number of its own.
    let other = Confirmed { dossier: "another".into(), ..dossier.clone() };
    assert_ne!(hand_in(&mut portal, &other).await.unwrap(), number);
    assert_eq!(simulator.dossiers().len(), 2);
}

#[tokio::test]
async fn a_busy_portal_a_lost_answer_and_a_forgotten_token_cost_nothing() {
    let mood = DossierMood { busy: 1, retry_after_seconds: 1, unwell: 1, lost_answers: 1, ..DossierMood::default() };
    let Stage { simulator, mut portal, .. } = stage(mood).await;
    let begun = tokio::time::Instant::now();
    let dossier = dossier();
    let number = hand_in(&mut portal, &dossier).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "it asked for a second");
    assert_eq!(simulator.dossiers().keys().collect::<Vec<_>>(), [&number]);
    simulator.forget_dossier_token();
    assert_eq!(hand_in(&mut portal, &dossier).await.unwrap(), number);
    assert_eq!((simulator.dossiers().len(), simulator.dossier_calls().1), (1, 2));
}

#[tokio::test]
async fn a_dossier_whose_answer_never_came_is_the_same_one_in_a_later_run() {
    let Stage { simulator, mut portal, _folder } =
        stage(DossierMood { lost_answers: 3, ..DossierMood::default() }).await;
    let dossier = dossier();
    // The second attempt is answered from memory, and that answer is lost as well.
    let error = hand_in(&mut portal, &dossier).await.unwrap_err();
    assert!(matches!(&error, Error::NoAnswer { attempts: 3, .. }), "{error:?}");
    assert!(error.refusal().is_none() && error.is_of_all());
    let taken = simulator.dossiers();
    assert_eq!(taken.len(), 1, "the portal has it, and we do not know");
    let mut later = Portal::open(&terms(&simulator.url(), Some(_folder.path())), QUICK).unwrap();
    let number = hand_in(&mut later, &dossier).await.unwrap();
    assert_eq!(simulator.dossiers(), taken);
    assert!(taken.contains_key(&number));
}

#[tokio::test]
async fn it_waits_no_longer_than_a_run_may() {
    let Stage { simulator, mut portal, .. } =
        stage(DossierMood { busy: 1, retry_after_seconds: 3600, ..DossierMood::default() }).await;
    let error = hand_in(&mut portal, &dossier()).await.unwrap_err();
    assert!(matches!(&error, Error::Later { seconds: 3600, .. }), "{error:?}");
    simulator.set_dossier_mood(DossierMood { unwell: 100, ..DossierMood::default() });
    let error = hand_in(&mut portal, &dossier()).await.unwrap_err();
    assert!(matches!(&error, Error::NoAnswer { attempts: 3, .. }), "{error:?}");
    assert!(simulator.dossiers().is_empty());
}

#[tokio::test]
async fn a_refused_file_and_a_refused_dossier_are_named_without_what_is_in_them() {
    let mood = DossierMood { refused_kinds: ["image/png".to_owned()].into(), ..DossierMood::default() };
    let Stage { simulator, mut portal, .. } = stage(mood).await;
    let error = hand_in(&mut portal, &dossier()).await.unwrap_err();
    assert_eq!(error.refusal().as_deref(), Some("415 KIND_NOT_TAKEN"));
    let said = format!("{} {error:?}", error.fault());
    assert!(said.contains("file 1 of dossier 5f0c41d2") && !said.contains("ảnh"), "{said}");
    let refused: BTreeMap<String, String> = [("1.002809".into(), "MISSING_COMPONENT".into())].into();
    simulator.set_dossier_mood(DossierMood { refused_procedures: refused, ..DossierMood::default() });
    let error = hand_in(&mut portal, &dossier()).await.unwrap_err();
    assert_eq!(error.refusal().as_deref(), Some("400 MISSING_COMPONENT"));
    assert!(!error.is_of_all());
    let said = format!("{} {error:?}", error.fault());
    for personal in ["Nguyễn", "079085001234", "0900000001"] {
        assert!(!said.contains(personal), "{said}");
    }
    assert!(simulator.dossiers().is_empty());
}

#[tokio::test]
async fn a_file_that_became_another_on_the_way_is_found() {
    let Stage { simulator, mut portal, .. } = stage(DossierMood { other_hashes: 1, ..DossierMood::default() }).await;
    let error = hand_in(&mut portal, &dossier()).await.unwrap_err();
    assert_eq!(error.code(), "submission.other-hash");
    assert!(simulator.dossiers().is_empty());
}

#[tokio::test]
async fn the_portal_says_how_each_dossier_stands() {
    let Stage { simulator, mut portal, .. } = stage(DossierMood::default()).await;
    let mut numbers = Vec::new();
    for at in 0..3 {
        numbers.push(hand_in(&mut portal, &confirmed(&format!("dossier-{at}"))).await.unwrap());
    }
    for status in Status::ALL {
        simulator.set_dossier_status(&numbers[1], status.number().into(), "  cần nộp thêm ảnh ");
        let known = portal.standing(&numbers).await.unwrap();
        let statuses: Vec<Status> = known.iter().map(|known| known.status).collect();
        assert_eq!(statuses, [Status::Registered, status, Status::Registered]);
        assert_eq!(known[1].words.as_ref().unwrap().reveal(), "cần nộp thêm ảnh");
        assert!(known[0].words.is_none() && !format!("{known:?}").contains("ảnh"));
    }
    // One that it does not know is left out; a number that is no status is nobody's.
    let known = portal.standing(&["H97-261123-9999999".into(), numbers[0].clone()]).await.unwrap();
    assert_eq!(known.len(), 1);
    simulator.set_dossier_status(&numbers[1], 11, "");
    assert_eq!(portal.standing(&numbers).await.unwrap_err().code(), "submission.unreadable");
}

#[tokio::test]
async fn a_wrong_secret_is_said_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), 1).await.unwrap();
    let mut wrong = terms(&simulator.url(), Some(folder.path()));
    wrong.client_secret = crate::push::secret(folder.path(), "wrong", "hunter2");
    let error = hand_in(&mut Portal::open(&wrong, QUICK).unwrap(), &dossier()).await.unwrap_err();
    let said = format!("{} {error:?}", error.fault());
    assert!(said.contains("submission.no-token") && said.contains("401") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn mutual_tls_lets_us_in_and_hands_nothing_to_a_stranger() {
    let folder = tempfile::tempdir().unwrap();
    crate::push::client_certificate(folder.path());
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), 1).await.unwrap();
    let url = crate::push::guard(&simulator, &folder.path().join("ca.pem")).await;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let us = crate::push::secret(folder.path(), "us", &format!("{}{}", read("us.key"), read("us.pem")));
    let authority = |name: &str| Some(crate::root().join("tests/it/tls").join(name));
    let known =
        Submission { identity: Some(us), authority: authority("authority.pem"), ..terms(&url, Some(folder.path())) };
    let number = hand_in(&mut Portal::open(&known, QUICK).unwrap(), &dossier()).await.unwrap();
    let held = simulator.dossiers();
    assert_eq!(held.keys().collect::<Vec<_>>(), [&number]);
    assert_eq!(held[&number].files.len(), 2);
    let standing = Portal::open(&known, QUICK).unwrap().standing(std::slice::from_ref(&number)).await.unwrap();
    assert_eq!(standing.len(), 1);
    // Without a certificate, and to a server of another authority, nothing of the person leaves.
    let calls = simulator.dossier_calls();
    for stranger in [
        Submission { identity: None, ..known.clone() },
        Submission { authority: authority("other-authority.pem"), ..known.clone() },
    ] {
        let error = hand_in(&mut Portal::open(&stranger, QUICK).unwrap(), &dossier()).await.unwrap_err();
        assert_eq!(error.code(), "submission.no-token");
    }
    assert_eq!((simulator.dossier_calls(), simulator.dossiers()), (calls, held));
    let none = Submission { identity: Some(crate::push::secret(folder.path(), "none", "hunter2")), ..known };
    let error = Portal::open(&none, QUICK).unwrap_err();
    let said = format!("{} {error:?}", error.fault());
    assert!(said.contains("submission.service") && !said.contains("hunter2"), "{said}");
}
