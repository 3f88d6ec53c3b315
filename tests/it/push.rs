//! The rating system is told of what is published: once, in parts where it must be, and never worse than before.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chudong::fault::Explain;
use chudong::pipeline::publication::Push;
use chudong::pipeline::secret::SecretRef;
use chudong::publication::{self, Labels, Standing};
use chudong::push::{Error, Patience, Portal, Snapshot};
use chudong::simulate::{self, Mood, Simulator};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::publication::{pipeline, released, shelf};
use crate::support::world::World;

const QUICK: Patience =
    Patience { attempts: 3, first_wait: Duration::from_millis(5), most_wait: Duration::from_secs(2) };

/// What stands on a shelf for a month.
fn standing() -> Standing {
    let (_folder, shelf) = shelf();
    let pipeline = pipeline();
    publication::publish(&shelf, &released(&pipeline, &["2026-09"]), &Labels::from(&pipeline)).unwrap();
    publication::standing(&shelf, "2026-09").unwrap().unwrap()
}

fn snapshot(standing: &Standing) -> Snapshot {
    let communes: Vec<String> = pipeline().unit.communes.iter().map(|commune| commune.code.clone()).collect();
    Snapshot::of(standing, "H97", &communes).unwrap()
}

fn units(snapshot: &Snapshot) -> Vec<String> {
    snapshot.units().cloned().collect()
}

/// A file that only its owner may read.
pub fn secret(folder: &Path, name: &str, text: &str) -> SecretRef {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    SecretRef::File(path)
}

/// The way to a stand-in.
fn settings(folder: &Path, url: &str) -> Push {
    Push {
        url: format!("{url}/rating/v1"),
        token_url: format!("{url}/rating/token"),
        client_id: simulate::CLIENT_ID.into(),
        client_secret: secret(folder, "secret", simulate::SECRET),
        scope: Some("rating".into()),
        department: "H97".into(),
        identity: None,
        authority: None,
    }
}

struct Stage {
    folder: tempfile::TempDir,
    simulator: Simulator,
    portal: Portal,
}

async fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), 1).await.unwrap();
    let portal = Portal::open(&settings(folder.path(), &simulator.url()), QUICK).unwrap();
    Stage { folder, simulator, portal }
}

// ---- what is told -------------------------------------------------------------

#[test]
fn a_snapshot_tells_what_is_published_and_nothing_else() {
    let standing = standing();
    let snapshot = snapshot(&standing);
    assert!(snapshot.is_complete());
    assert_eq!(units(&snapshot).len(), 9);
    let body: Value = serde_json::from_slice(&snapshot.body(&units(&snapshot)).unwrap()).unwrap();
    assert_eq!(body.get("version").unwrap(), "1.0");
    assert_eq!((body.get("timeType").unwrap(), body.get("month").unwrap()), (&"month".into(), &9.into()));
    let table = standing.tables.iter().find(|table| table.name == "satisfaction_by_commune").unwrap();
    let rows = chudong::tables::Table::from_batch(table.rows.clone());
    let codes = rows.texts("commune_code").unwrap();
    let counts = rows.ints("count").unwrap();
    let (fours, fives) = (rows.ints("level_4").unwrap(), rows.ints("level_5").unwrap());
    let mut shown = 0;
    for (((code, count), four), five) in codes.iter().zip(counts).zip(fours).zip(fives) {
        let unit = format!("H97.{}", code.as_ref().unwrap());
        let evaluations = body.get("evaluations").unwrap().as_array().unwrap();
        let evaluation = evaluations.iter().find(|one| one.get("departmentCode").unwrap() == unit.as_str()).unwrap();
        let metrics = evaluation.get("metrics").unwrap().as_array().unwrap();
        assert_eq!(metrics.len(), 3, "{unit}");
        let metric = metrics.iter().find(|metric| metric.get("code").unwrap() == "RATING_SATISFIED").unwrap();
        assert_eq!(metric.get("denominator").unwrap().as_i64(), count);
        match count {
            Some(count) => {
                let part = metric.get("numerator").unwrap().as_i64().unwrap();
                assert_eq!(part, four.unwrap() + five.unwrap());
                let ratio = metric.get("ratio").unwrap().as_f64().unwrap();
                assert!(
                    (ratio - part as f64 / count as f64).abs() < 0.01 && metric.get("flag").unwrap() == "published"
                );
                shown += 1;
            }
            // What is not shown is null, and says why: it is no zero.
            None => assert!(metric.get("ratio").unwrap().is_null() && metric.get("numerator").unwrap().is_null()),
        }
        assert!(metric.get("score").unwrap().is_null(), "the portal scores, and nobody else");
    }
    assert!(shown > 0 && shown < 8, "{shown}");
}

#[test]
fn a_snapshot_without_a_table_is_partial_and_another_one() {
    let whole = standing();
    let mut less = whole.clone();
    less.tables.retain(|table| table.name != "service_quality_by_commune");
    let (whole, less) = (snapshot(&whole), snapshot(&less));
    assert!(whole.is_complete() && !less.is_complete());
    assert_ne!(whole.digest(), less.digest());
    assert_eq!(whole.digest(), snapshot(&standing()).digest());
    let all = units(&whole);
    assert_ne!(whole.idempotency_key(&all), whole.idempotency_key(&all[..3]));
}

// ---- how it is told -----------------------------------------------------------

#[tokio::test]
async fn a_message_is_taken_once_however_often_it_is_told() {
    let Stage { simulator, mut portal, folder: _folder } = stage().await;
    let snapshot = snapshot(&standing());
    let first = portal.tell(&snapshot, &units(&snapshot)).await.unwrap();
    assert_eq!((first.accepted.len(), first.rejected.len()), (9, 0));
    let again = portal.tell(&snapshot, &units(&snapshot)).await.unwrap();
    assert_eq!(first, again);
    let filed = simulator.filed();
    let filed = filed.get("month 2026-9").unwrap();
    assert!(filed.is_complete && filed.messages == 1 && filed.units.len() == 9);
    assert_eq!(simulator.rating_calls(), (2, 1), "one token does for both");
}

#[tokio::test]
async fn an_answer_that_was_lost_and_a_token_that_was_forgotten_cost_nothing() {
    let Stage { simulator, mut portal, folder: _folder } = stage().await;
    let snapshot = snapshot(&standing());
    simulator.set_mood(Mood { lost_answers: 1, ..Mood::default() });
    let taken = portal.tell(&snapshot, &units(&snapshot)).await.unwrap();
    assert_eq!(taken.accepted.len(), 9);
    assert_eq!(simulator.filed().get("month 2026-9").unwrap().messages, 1);
    simulator.forget_rating_token();
    portal.tell(&snapshot, &units(&snapshot)).await.unwrap();
    assert_eq!(simulator.rating_calls().1, 2);
}

#[tokio::test]
async fn it_waits_as_long_as_it_is_asked_to_and_no_longer_than_a_run_may() {
    let Stage { simulator, mut portal, folder: _folder } = stage().await;
    let snapshot = snapshot(&standing());
    simulator.set_mood(Mood { busy: 1, retry_after_seconds: 1, ..Mood::default() });
    let begun = tokio::time::Instant::now();
    portal.tell(&snapshot, &units(&snapshot)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    simulator.set_mood(Mood { busy: 1, retry_after_seconds: 3600, ..Mood::default() });
    let error = portal.tell(&snapshot, &units(&snapshot)).await.unwrap_err();
    assert!(matches!(error, Error::Later { seconds: 3600, .. }), "{error:?}");
    simulator.set_mood(Mood { busy: 100, ..Mood::default() });
    let error = portal.tell(&snapshot, &units(&snapshot)).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { attempts: 3, .. }), "{error:?}");
}

#[tokio::test]
async fn a_complete_snapshot_is_never_replaced_by_a_partial_one() {
    let Stage { simulator, mut portal, folder: _folder } = stage().await;
    let whole = standing();
    let mut less = whole.clone();
    less.tables.retain(|table| !table.name.starts_with("service_quality"));
    let (whole, less) = (snapshot(&whole), snapshot(&less));
    portal.tell(&less, &units(&less)).await.unwrap();
    portal.tell(&whole, &units(&whole)).await.unwrap();
    let mut other = standing();
    other.tables.retain(|table| table.name != "service_quality_by_commune");
    let other = snapshot(&other);
    let error = portal.tell(&other, &units(&other)).await.unwrap_err();
    assert_eq!(error.code(), "push.would-overwrite");
    assert!(simulator.filed().get("month 2026-9").unwrap().is_complete);
}

#[tokio::test]
async fn a_wrong_secret_and_a_dead_service_are_said_without_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), 1).await.unwrap();
    let mut wrong = settings(folder.path(), &simulator.url());
    wrong.client_secret = secret(folder.path(), "wrong", "hunter2");
    let snapshot = snapshot(&standing());
    let error = Portal::open(&wrong, QUICK).unwrap().tell(&snapshot, &units(&snapshot)).await.unwrap_err();
    let said = format!("{} {error:?}", error.fault());
    assert!(said.contains("push.no-token") && said.contains("401") && !said.contains("hunter2"), "{said}");
    simulator.stop().await;
    let dead = settings(folder.path(), "http://127.0.0.1:1");
    let error = Portal::open(&dead, QUICK).unwrap().tell(&snapshot, &units(&snapshot)).await.unwrap_err();
    assert!(error.to_string().contains("no connection, 3 times"), "{error}");
}

// ---- mutual TLS ---------------------------------------------------------------

/// Ends TLS before a stand-in, and lets nobody in who has no certificate of this authority.
pub async fn guard(simulator: &Simulator, clients: &Path) -> String {
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let keys = crate::root().join("tests/it/tls");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(clients).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(keys.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(keys.join("server.key")).unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = simulator.url().replace("http://", "");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(behind).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut outside, &mut inside).await);
            });
        }
    });
    format!("https://127.0.0.1:{port}")
}

/// An authority of clients in a folder (`ca.pem`), and one certificate of it with its key (`us.pem`, `us.key`).
pub fn client_certificate(folder: &Path) {
    let made = Command::new("sh")
        .current_dir(folder)
        .args(["-ec", "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=clients \
             -keyout ca.key -out ca.pem 2>/dev/null; \
             openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=an-binh -keyout us.key -out us.csr 2>/dev/null; \
             printf 'extendedKeyUsage=clientAuth\\n' > ext; \
             openssl x509 -req -in us.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out us.pem 2>/dev/null"])
        .status()
        .unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn mutual_tls_lets_us_in_and_nobody_without_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    client_certificate(folder.path());
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), 1).await.unwrap();
    let url = guard(&simulator, &folder.path().join("ca.pem")).await;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let authority = Some(crate::root().join("tests/it/tls/authority.pem"));
    let known = Push {
        identity: Some(secret(folder.path(), "us", &format!("{}{}", read("us.key"), read("us.pem")))),
        authority: authority.clone(),
        ..settings(folder.path(), &url)
    };
    let snapshot = snapshot(&standing());
    let taken = Portal::open(&known, QUICK).unwrap().tell(&snapshot, &units(&snapshot)).await.unwrap();
    assert_eq!(taken.accepted.len(), 9);
    // Without a certificate, and with a server of another authority, nothing is told.
    let unknown = Push { identity: None, ..known.clone() };
    let error = Portal::open(&unknown, QUICK).unwrap().tell(&snapshot, &units(&snapshot)).await.unwrap_err();
    assert_eq!(error.code(), "push.no-token");
    let other = Push { authority: Some(crate::root().join("tests/it/tls/other-authority.pem")), ..known.clone() };
    let error = Portal::open(&other, QUICK).unwrap().tell(&snapshot, &units(&snapshot)).await.unwrap_err();
    assert_eq!(error.code(), "push.no-token");
    assert_eq!(simulator.rating_calls(), (1, 1));
    let none = Push { identity: Some(secret(folder.path(), "none", "hunter2")), ..known };
    let error = Portal::open(&none, QUICK).unwrap_err();
    let said = format!("{} {error:?}", error.fault());
    assert!(said.contains("push.service") && !said.contains("hunter2"), "{said}");
}

// ---- a whole agency -----------------------------------------------------------

/// The sample agency with a rating system.
fn world(simulator: &Simulator) -> World {
    let world = World::small(400);
    let settings = settings(&world.root(), &simulator.url());
    let SecretRef::File(secret) = &settings.client_secret else { panic!("a file") };
    let table = format!(
        "[push]\nurl = \"{}\"\ntoken_url = \"{}\"\nclient_id = \"{}\"\nclient_secret = {{ file = \"{}\" }}\n\
         department = \"H97\"\n\n[privacy]",
        settings.url,
        settings.token_url,
        settings.client_id,
        secret.display()
    );
    world.edit("pipelines/an-binh/pipeline.toml", "[privacy]", &table);
    world.edit("pipelines/an-binh/pipeline.toml", "first_month = 2026-07-01", "first_month = 2026-09-01");
    world
}

#[test]
fn a_night_tells_what_it_published_and_the_ledger_knows_what_was_taken() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = world(&simulator);
    let refused: BTreeMap<String, String> = [("H97.97003", "NOT_REGISTERED"), ("H97.97004", "BUSY")]
        .map(|(unit, code)| (unit.to_owned(), code.to_owned()))
        .into();
    simulator.set_mood(Mood { refuses: refused, ..Mood::default() });
    let ended = world.night("2026-11-21").with(0);
    assert!(ended.out.contains("refuses 2 (BUSY, NOT_REGISTERED)"), "{}", ended.out);
    let filed = simulator.filed();
    assert_eq!(filed.keys().collect::<Vec<_>>(), ["month 2026-10", "month 2026-9"]);
    assert!(filed.values().all(|filed| !filed.is_complete && filed.units.len() == 7));
    let told = world.ledger().what_was_told("2026-10").unwrap().unwrap();
    assert_eq!((told.accepted.len(), told.rejected.len(), told.has_complete), (7, 2, false));

    // What was refused for now is told again, by itself; what was refused for good is not.
    simulator.set_mood(Mood { refuses: [("H97.97003".into(), "NOT_REGISTERED".into())].into(), ..Mood::default() });
    let before = simulator.rating_calls().0;
    world.chudong(&["push"]).with(3);
    assert_eq!(simulator.rating_calls().0, before + 2);
    assert!(simulator.filed().values().all(|filed| filed.units.len() == 8));
    world.chudong(&["push"]).with(3);
    assert_eq!(simulator.rating_calls().0, before + 2, "there is nothing new to tell");

    // Every message that left has an entry before it and one after it, and no word of the service is in either.
    let sent: BTreeSet<String> = world.entries("push.sent").into_iter().map(|entry| entry.key).collect();
    assert_eq!(sent, ["2026-09", "2026-10"].map(str::to_owned).into());
    assert_eq!(world.entries("push.sent").len(), world.entries("push.receipt").len());
    assert!(world.entries("push").iter().all(|entry| !entry.body.contains("token")));
    world.ledger_is_sound();

    // A table that was withdrawn makes the snapshot partial: a complete one stays as it is.
    simulator.set_mood(Mood::default());
    drop(simulator);
}

#[test]
fn a_withdrawal_does_not_reach_a_complete_snapshot_and_a_dead_service_is_told_later() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = world(&simulator);
    world.night("2026-11-21").with(0);
    assert!(simulator.filed().values().all(|filed| filed.is_complete));
    let filed = simulator.filed();
    world.chudong(&["withdraw", "2026-10", "service_quality_by_commune", "--reason", "counted twice"]).with(0);
    let ended = world.chudong(&["push"]).with(3);
    assert!(ended.out.contains("2026-10: the rating system keeps its complete snapshot"), "{}", ended.out);
    assert!(ended.out.contains("2026-09: the rating system has it"), "{}", ended.out);
    assert_eq!(simulator.filed(), filed);
    // A period that was withdrawn whole is not passed over in silence: nothing that is sent would take it back.
    let tables = std::fs::read_dir(world.state().join("published/2026-10")).unwrap();
    let names = tables.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for table in names.filter_map(|name| name.strip_suffix(".csv").map(str::to_owned)).collect::<Vec<_>>() {
        world.chudong(&["withdraw", "2026-10", &table, "--reason", "counted twice"]).with(0);
    }
    let ended = world.chudong(&["push"]).with(3);
    assert!(ended.out.contains("2026-10: the rating system still has what was withdrawn here"), "{}", ended.out);
    assert_eq!(simulator.filed(), filed);
    runtime.block_on(simulator.stop());
    world.chudong(&["push"]).with(3);
}
