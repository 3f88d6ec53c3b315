//! Whole nights by several channels, through the binary.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use chudong::ledger::MessageState;
use chudong::report::Report;
use chudong::simulate::{self, Simulator, Taken};

use super::secret;
use crate::support::world::World;

const NIGHT: &str = "2026-11-21";

/// The second agency, whose people have telephones; its items leave by Zalo, by text message and into the folder.
pub(super) fn town(simulator: &Simulator, numbers: &str) -> World {
    let world = World::of("binh-minh");
    let keys = world.root();
    secret(&keys, "secret", simulate::SECRET);
    secret(&keys, "refresh", simulate::REFRESH_TOKEN);
    let url = simulator.url();
    let file = |name: &str| format!("{{ file = \"{}\" }}", keys.join(name).display());
    let items = ["driving_licence", "temporary_residence", "identity_card", "vehicle_inspection", "health_insurance"];
    let templates: String = items
        .iter()
        .map(|item| {
            format!(
                "[[channels.templates]]\nitem = \"{item}\"\nid = \"204001\"\nparameters.ten = {{ value = \"name\" }}\nparameters.han = {{ value = \"due_on\" }}\n"
            )
        })
        .collect();
    let text = std::fs::read_to_string(world.root().join("pipelines/binh-minh/pipeline.toml")).unwrap();
    let (before, rest) = text.split_once("[channel]\n").unwrap();
    let (folder, after) = rest.split_once("\n\n").unwrap();
    let channels = format!(
        "[[channels]]\nkind = \"zns\"\nurl = \"{url}/zns\"\noauth_url = \"{url}/oauth\"\napp_id = \"{}\"\napp_secret = {}\nrefresh_token = {}\nclosed = {{ from = \"00:00\", to = \"00:00\" }}\n{templates}\n[[channels]]\nkind = \"sms\"\nurl = \"{url}/sms\"\ntoken = {}\nsender = \"BINH MINH\"\n\n[[channels]]\n{folder}",
        simulate::APP_ID,
        file("secret"),
        file("refresh"),
        file("secret"),
    );
    world.put("pipelines/binh-minh/pipeline.toml", format!("{before}{channels}\n\n{after}").as_bytes());
    world.edit("sql/staging/binh-minh/people.sql", "cast(null as varchar) as phone", &format!("{numbers} as phone"));
    world
}

pub(super) fn night(world: &World, code: i32) -> (Report, [u64; 4]) {
    let ended = world.chudong(&["run", "--as-of", NIGHT, "--format", "json"]).with(code);
    let report: Report = serde_json::from_str(&ended.out).unwrap();
    let mut sums = [0; 4];
    for item in &report.items {
        for (sum, count) in sums.iter_mut().zip([item.messages, item.deferred, item.refused, item.uncertain]) {
            *sum += count;
        }
    }
    (report, sums)
}

fn held(report: &Report, reason: &str) -> u64 {
    report.items.iter().filter_map(|item| item.held.get(reason)).sum()
}

pub(super) fn taken(simulator: &Simulator, channel: &str) -> Vec<Taken> {
    simulator.taken().into_iter().filter(|taken| taken.channel == channel).collect()
}

fn by_state(world: &World) -> BTreeMap<MessageState, usize> {
    let mut states = BTreeMap::new();
    for row in world.outbox() {
        *states.entry(row.state).or_default() += 1;
    }
    states
}

/// A number of nobody's for each person: the same on every night.
pub(super) const NUMBERS: &str = "'0911' || lpad(substr(so_dinh_danh, 7, 6), 6, '0')";

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub(super) fn simulator(runtime: &tokio::runtime::Runtime, quota: u32) -> Simulator {
    runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), quota)).unwrap()
}

#[test]
fn messages_leave_by_zalo_and_the_same_night_again_sends_nothing() {
    let runtime = runtime();
    let simulator = simulator(&runtime, 10_000);
    let world = town(&simulator, NUMBERS);
    world.chudong(&["check"]).with(0);
    let (_, sums) = night(&world, 0);
    let taken = taken(&simulator, "zns");
    assert!(taken.len() >= 8, "{}", taken.len());
    assert_eq!(sums, [taken.len() as u64, 0, 0, 0]);
    assert!(taken.iter().all(|taken| taken.times == 1 && taken.to.starts_with("84911")));
    assert_eq!(simulator.taken().len(), taken.len(), "nothing went by another channel");
    assert!(world.messages().is_empty());
    assert!(world.outbox().iter().all(|row| row.state == MessageState::Accepted));

    let (report, sums) = night(&world, 0);
    assert_eq!(sums, [0; 4]);
    assert!(report.did_nothing_new());
    assert_eq!(simulator.taken().len(), taken.len());
    assert_eq!(simulator.renewals(), 1, "the second run found the tokens of the first");
    world.ledger_is_sound();

    // Neither a number nor a name is in the ledger or beside it in the clear.
    let number = taken.first().unwrap().to.strip_prefix("84").unwrap().to_owned();
    let name = taken.first().unwrap().said.pointer("/data/ten").unwrap().as_str().unwrap().to_owned();
    for (path, bytes) in crate::support::world::tree(&world.state()) {
        let is_landed = path.starts_with("landing");
        let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
        assert!(is_landed || !text.contains(&number), "{} holds a number", path.display());
        assert!(is_landed || !text.contains(&name), "{} holds a name", path.display());
        assert!(!text.contains("simulated-"), "{} holds a token", path.display());
    }
}

#[test]
fn who_has_no_zalo_account_is_reached_by_the_next_channel_that_takes_the_message() {
    let runtime = runtime();
    let simulator = simulator(&runtime, 10_000);
    // A third has neither a Zalo account nor takes text messages, a third has no number, a third has an account.
    let numbers = "case cast(substr(so_dinh_danh, 12, 1) as int) % 3 when 0 then '84900000002' when 1 then null else '0911111111' end";
    let world = town(&simulator, numbers);
    let (_, [sent, deferred, refused, uncertain]) = night(&world, 0);
    let letters = world.messages().len() as u64;
    let by_zalo = taken(&simulator, "zns").len() as u64;
    assert_eq!((sent, deferred, uncertain), (letters + by_zalo, 0, 0));
    // Each of the first third was refused twice before its letter was written.
    assert!(by_zalo > 0 && refused > 0 && refused.is_multiple_of(2) && letters > 0, "{by_zalo} {refused} {letters}");
    let states = by_state(&world);
    assert_eq!(states.get(&MessageState::Refused).copied().unwrap_or(0) as u64, refused);
    assert_eq!(states.get(&MessageState::Accepted).copied().unwrap_or(0) as u64, sent);
    world.ledger_is_sound();
    // Nobody is asked again, by whatever channel.
    let (report, sums) = night(&world, 0);
    assert_eq!(sums, [0; 4]);
    assert!(report.did_nothing_new());
    assert!(simulator.taken().iter().all(|taken| taken.times == 1));
}

#[test]
fn who_cannot_wait_for_a_deferred_message_gets_it_by_the_next_channel_and_only_once() {
    let runtime = runtime();
    let simulator = simulator(&runtime, 10_000);
    // Zalo takes nothing from anybody tonight: an error of its own.
    let world = town(&simulator, "'84999990100'");
    let (_, [sent, deferred, ..]) = night(&world, 0);
    assert!(deferred > sent, "who can wait waits");
    assert_eq!(taken(&simulator, "zns").len(), 0);
    let accepted = by_state(&world).get(&MessageState::Accepted).copied().unwrap_or(0) as u64;
    assert_eq!(accepted, sent);
    // The next night of the same day: nothing twice.
    let (_, [again, ..]) = night(&world, 0);
    assert_eq!(again, 0);
}

#[test]
fn a_quota_is_shared_out_and_a_number_that_is_none_takes_the_letter() {
    let runtime = runtime();
    let simulator = simulator(&runtime, 3);
    let world = town(&simulator, "case when so_dinh_danh is null then '' else '1080' end");
    let (report, [sent, ..]) = night(&world, 0);
    assert_eq!(sent, world.messages().len() as u64);
    assert!(sent > 0 && simulator.taken().is_empty());
    // Who has no mail address either is not reached, and the reason is that of the number.
    let all = sent + held(&report, "address cannot be written to");
    assert!(all >= 8);

    let world = town(&simulator, NUMBERS);
    let (report, [sent, deferred, refused, uncertain]) = night(&world, 0);
    assert_eq!(taken(&simulator, "zns").len(), 3);
    let waiting = held(&report, "waits for the channel's quota");
    let by_sms = taken(&simulator, "sms").len() as u64;
    assert_eq!((sent, deferred, refused, uncertain), (3 + by_sms, 0, 0, 0));
    assert_eq!(sent + waiting, all);
    assert!(waiting > 0 || by_sms > 0);
}

#[test]
fn an_account_that_is_refused_leaves_the_other_channels_at_work() {
    let runtime = runtime();
    let simulator = simulator(&runtime, 10_000);
    let world = town(&simulator, NUMBERS);
    secret(&world.root(), "refresh", "worth nothing");
    // The run fails, because a person must act, and who cannot wait is reached by text message.
    let (report, [sent, ..]) = night(&world, 1);
    assert!(report.faults.iter().any(|fault| fault.code == "delivery.no-token"), "{:?}", report.faults);
    let by_sms = taken(&simulator, "sms").len() as u64;
    assert_eq!(sent, by_sms);
    let waiting = held(&report, "channel failed tonight");
    assert!(waiting > 0);
    // With the link by which it is refused it still fits into what the gateway may be given.
    let world = town(&simulator, NUMBERS);
    let pipeline = "pipelines/binh-minh/pipeline.toml";
    let text = std::fs::read_to_string(world.root().join(pipeline)).unwrap();
    let serve = "[serve]\nbase_url = \"https://nhac-viec.binhminh.example\"\n";
    world.put(pipeline, format!("{text}\n{serve}").as_bytes());
    secret(&world.root(), "refresh", "worth nothing");
    let before = taken(&simulator, "sms").len() as u64;
    let (report, [sent, ..]) = night(&world, 1);
    assert_eq!((sent, held(&report, "does not fit the channel")), (by_sms, 0), "{report:?}");
    assert_eq!(taken(&simulator, "sms").len() as u64, before + by_sms);
    // A new refresh token, and the rest leaves.
    secret(&world.root(), "refresh", simulate::REFRESH_TOKEN);
    let (_, [sent, ..]) = night(&world, 0);
    assert_eq!(sent, waiting);
    assert_eq!(taken(&simulator, "zns").len() as u64, waiting);
}

#[test]
fn the_verb_says_where_it_listens_and_takes_a_message() {
    let world = World::of("an-binh");
    let mut child = world.command(&["simulate"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    let answer = {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(b"GET /messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("[]"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
    world.chudong(&["simulate", "--listen", "192.0.2.1:0"]).with(1);
}
