//! A search for people: values that occur nowhere else are put into the sources, everything is done with them that this
//! program does, and then they are looked for wherever no person may be.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chudong::delivery::envelope_sender;
use chudong::personal::{PseudonymKey, sha256};
use chudong::simulate::{self, Simulator};

use super::{NIGHT, PIPELINE, town};
use crate::channels::secret;
use crate::support::smtp::{Mood, Server};
use crate::support::world::{Ended, Tree, World, copy, tree};

const PEOPLE: usize = 24;

fn number(person: usize) -> String {
    format!("097931337{person:03}")
}

fn email(person: usize) -> String {
    format!("kanari-{person:03}@example.com")
}

fn phone(person: usize) -> String {
    format!("0911731{person:03}")
}

/// Every form in which one of them could be found.
fn needles() -> Vec<Vec<u8>> {
    let words = ["097931337", "kanari-", "KANARI", "Kỳ Lân Vàng", "Ky Lan Vang", "Ky%CC", "0911731", "84911731"];
    let mut needles: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    // In hexadecimal, in the words of RFC 2047 and of a form, and in UTF-16.
    needles.extend(words.iter().map(|word| chudong::personal::hex(word.as_bytes()).into_bytes()));
    needles.push(b"K=E1=BB=B3_L=C3=A2n".to_vec());
    needles.push(b"K%E1%BB%B3".to_vec());
    needles.extend(words.iter().map(|word| word.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    // A digest without a key is as good as the number itself: there are few numbers.
    for person in 0..PEOPLE {
        for value in [number(person), email(person), phone(person), phone(person).replacen('0', "84", 1)] {
            needles.push(sha256(value.as_bytes()).into_bytes());
        }
    }
    needles
}

fn holds(bytes: &[u8], needles: &[Vec<u8>]) -> bool {
    needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_slice()))
}

/// Whether people may be in this file of a state folder: landed tables, the letters of the folder channel, and the
/// lists for the owner of a register hold them, because that is what they are for.
fn is_for_people(name: &Path) -> bool {
    let is_set_aside = name.to_string_lossy().contains(".quarantine.");
    (name.starts_with("landing") && !is_set_aside) || name.starts_with("outbox") || name.starts_with("wrong-addresses")
}

/// Files with a person in them, where no person may be. Names of files count.
fn leaks(files: &Tree, needles: &[Vec<u8>]) -> Vec<String> {
    let leaks = |(name, bytes): &(&std::path::PathBuf, &Option<Vec<u8>>)| {
        let is_named = holds(name.to_string_lossy().as_bytes(), needles);
        let is_inside = !is_for_people(name) && bytes.as_deref().is_some_and(|bytes| holds(bytes, needles));
        is_named || is_inside
    };
    files.iter().filter(leaks).map(|(name, _)| name.display().to_string()).collect()
}

/// The agency whose people are canaries: those of even number have a telephone.
fn aviary(server: &Server, simulator: &Simulator) -> World {
    let world = town(server, 1, "resend");
    let register = rusqlite::Connection::open(world.root().join("data-samples/an-binh/population.sqlite")).unwrap();
    register.execute_batch("delete from citizens; delete from temporary_residences").unwrap();
    for person in 0..PEOPLE {
        let citizen = "insert into citizens values (?1, 'Kỳ Lân Vàng', ?2, '97001', 'vi', ?3, null, 0, 'male', null, '2026-01-01')";
        // A date that is none is what a message is tempted to show.
        let born = if person % 8 == 7 { format!("ngày {}", number(person)) } else { "1990-01-01".into() };
        register.execute(citizen, [number(person), born, email(person)]).unwrap();
        let residence = "insert into temporary_residences values (?1, ?2, '97001', ?3, null)";
        let ends = if person % 8 == 6 { "KANARI" } else { "2026-12-01" };
        register.execute(residence, [format!("TR-KANARI-{person:03}"), number(person), ends.to_owned()]).unwrap();
    }
    let phones = "case when substr(citizen_id, 12, 1) in ('0', '2', '4', '6', '8') then '0911731' || substr(citizen_id, 10, 3) end as phone";
    world.edit("sql/staging/an-binh/people.sql", "cast(null as varchar) as phone", phones);
    let maildir = world.root().join("maildir");
    for folder in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    secret(&world.root(), "secret", simulate::SECRET);
    secret(&world.root(), "refresh", simulate::REFRESH_TOKEN);
    let file = |name: &str| format!("{{ file = \"{}\" }}", world.root().join(name).display());
    let url = simulator.url();
    let zns = format!(
        "[[channels]]\nkind = \"zns\"\nurl = \"{url}/zns\"\noauth_url = \"{url}/oauth\"\napp_id = \"{}\"\napp_secret = {}\nrefresh_token = {}\nclosed = {{ from = \"00:00\", to = \"00:00\" }}\n[[channels.templates]]\nitem = \"temporary_residence\"\nid = \"204001\"\nparameters.ten = {{ value = \"name\" }}\nparameters.han = {{ value = \"due_on\" }}\n",
        simulate::APP_ID,
        file("secret"),
        file("refresh"),
    );
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let text = text.replacen("[channel]\n", &format!("{zns}\n[[channels]]\n"), 1).replacen(
        "attention = ",
        "serve = { base_url = \"https://nhac.example\", listen = \"127.0.0.1:0\" }\nattention = ",
        1,
    );
    let mailbox = format!("\n[mail.mailbox]\nkind = \"maildir\"\npath = \"{}\"\n", maildir.display());
    world.put(PIPELINE, format!("{text}{mailbox}").as_bytes());
    world
}

/// The second night speaks to telephones by text message.
fn by_text_message(world: &World, simulator: &Simulator) {
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let (before, rest) = text.split_once("[[channels]]\n").unwrap();
    let (_, after) = rest.split_once("[[channels]]\n").unwrap();
    let secret = world.root().join("secret");
    let sms = format!(
        "[[channels]]\nkind = \"sms\"\nurl = \"{}/sms\"\ntoken = {{ file = \"{}\" }}\nsender = \"AN BINH\"\nparts = 10\n\n[[channels]]\n",
        simulator.url(),
        secret.display()
    );
    world.put(PIPELINE, format!("{before}{sms}{after}").as_bytes());
}

/// A verb, with everything logged that can be.
fn loud(world: &World, arguments: &[&str]) -> Ended {
    let mut command = world.command(arguments);
    crate::support::world::run(
        command.env("CHUDONG_LOG", "trace").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full"),
    )
}

/// A report of a server that speaks of a person in every line it can.
fn report(world: &World, message: &str) -> String {
    let secret: [u8; 32] = std::fs::read(world.state().join("keys/pseudonym.key")).unwrap().try_into().unwrap();
    let ours = envelope_sender(message, &PseudonymKey::new(secret), "anbinh.example").unwrap();
    format!(
        "From: MAILER-DAEMON@example.com\r\nTo: {ours}\r\nDelivered-To: {ours}\r\nSubject: Kỳ Lân Vàng\r\nMessage-ID: <kanari-dsn@example.com>\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nkanari-001@example.com: nobody of this name, 097931337001\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; kanari-mx.example.com\r\n\r\n\
         Final-Recipient: rfc822; kanari-001@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 kanari-001@example.com unknown\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nTo: kanari-001@example.com\r\n\r\n--b--\r\n"
    )
}

/// Asks the pages, with people in every place where somebody could put them; gives what the process logged.
fn served(world: &World, link: &str) -> String {
    let mut command = world.command(&["serve"]);
    command.env("CHUDONG_LOG", "trace").env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut desk = super::Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(desk.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
    let mut err = desk.0.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        err.read_to_string(&mut log).map(|_| log).unwrap()
    });
    let path = link.strip_prefix("https://nhac.example").unwrap();
    let form = "application/x-www-form-urlencoded";
    let requests = [
        format!("GET {path} HTTP/1.1"),
        format!("GET {path}?email=kanari-001%40example.com HTTP/1.1"),
        "GET /refuse/097931337001 HTTP/1.1".to_owned(),
        "GET /kanari-001@example.com HTTP/1.1".to_owned(),
        format!("POST {path} HTTP/1.1"),
    ];
    for request in requests {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let body = "List-Unsubscribe=One-Click&from=kanari-001@example.com";
        let head = "Host: nhac.example\r\nConnection: close\r\nReferer: https://mail.example/kanari-001\r\nCookie: id=097931337001";
        write!(stream, "{request}\r\n{head}\r\nContent-Type: {form}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    desk.kill();
    log.join().unwrap()
}

fn link_in(letter: &[u8]) -> String {
    let text = String::from_utf8_lossy(letter).replace("\r\n ", "");
    let line = text.lines().find_map(|line| line.strip_prefix("List-Unsubscribe: ")).unwrap().to_owned();
    line.trim_matches(['<', '>', ' ']).replace(' ', "")
}

#[test]
fn no_person_is_anywhere_but_where_people_are_kept() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1000)).unwrap();
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = aviary(&server, &simulator);
    let needles = needles();
    // One is refused in words that name the person, one is put off.
    server.set_moods(|to| match to {
        "kanari-003@example.com" => Mood::AtRecipient("550 5.1.1 <kanari-003@example.com> Kỳ Lân Vàng is unknown"),
        "kanari-005@example.com" => Mood::AtRecipient("451 4.7.1 <kanari-005@example.com> 097931337005 later"),
        _ => Mood::Takes,
    });
    let mut said: Vec<(String, Ended)> = Vec::new();
    let mut note = |what: &str, ended: Ended| said.push((what.to_owned(), ended));

    note("plan", loud(&world, &["plan", "--as-of", NIGHT, "--format", "json"]).with(0));
    note("run in json", loud(&world, &["run", "--as-of", NIGHT, "--format", "json"]).with(0));
    let letters = server.taken.lock().unwrap().clone();
    let rows = world.outbox();
    let sent_by_mail = rows
        .iter()
        .find(|row| letters[0].1.windows(row.message_id.len()).any(|part| part == row.message_id.as_bytes()));
    let row = sent_by_mail.unwrap();
    let (key, message) = (row.key.0.clone(), row.message_id.split('@').next().unwrap().to_owned());
    std::fs::write(world.root().join("maildir/new/1"), report(&world, &message)).unwrap();
    std::fs::write(
        world.root().join("maildir/new/2"),
        "From: kanari-002@example.com\r\nSubject: Kỳ Lân Vàng\r\n\r\n097931337002\r\n",
    )
    .unwrap();
    note("bounces", loud(&world, &["bounces"]).with(0));
    let log = served(&world, &link_in(&letters.last().unwrap().1));
    note("serve", Ended { code: None, out: String::new(), err: log });
    by_text_message(&world, &simulator);
    note("run by text message", loud(&world, &["run", "--as-of", "2026-11-26"]).with(0));
    // What it prints is for the person who asked; what it logs is not.
    let explained = loud(&world, &["explain", "--message", &key]).with(0);
    note("explain", Ended { out: String::new(), ..explained });
    note("list", loud(&world, &["ledger", "list", "--last", "100000"]).with(0));
    note("suppressions", loud(&world, &["ledger", "suppressions"]).with(0));
    let mut erase = world.command(&["erase"]);
    let mut erase = erase
        .env("CHUDONG_LOG", "trace")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    erase.stdin.take().unwrap().write_all(format!("{}\n", number(2)).as_bytes()).unwrap();
    let output = erase.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    note("erase", Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) });
    // A night that fails says more than one that does not.
    std::fs::write(world.root().join("data-samples/an-binh/population.sqlite"), "kanari-001@example.com, Kỳ Lân Vàng")
        .unwrap();
    note("failed run", loud(&world, &["run", "--as-of", "2026-11-27"]).with(1));

    // The search finds what is there.
    assert!(letters.len() >= 5 && letters.iter().all(|(_, bytes)| holds(bytes, &needles)));
    let taken = simulator.taken();
    for channel in ["zns", "sms"] {
        let by_it = taken.iter().filter(|taken| taken.channel == channel);
        assert!(by_it.clone().count() >= 5, "{channel}: {}", said[4].1.out);
        assert!(by_it.into_iter().all(|taken| taken.to.starts_with("84911731")));
    }
    let state = tree(&world.state());
    let landed = state.iter().filter(|(name, _)| name.starts_with("wrong-addresses"));
    assert!(landed.into_iter().any(|(_, bytes)| bytes.as_deref().is_some_and(|bytes| holds(bytes, &needles))));

    for (what, ended) in &said {
        let first = |text: &str| text.lines().find(|line| holds(line.as_bytes(), &needles)).map(str::to_owned);
        assert_eq!(first(&ended.out), None, "printed by {what}");
        assert_eq!(first(&ended.err), None, "logged by {what}");
        let is_told = match what.as_str() {
            // It ends early; what it read before it found the register broken is told all the same.
            "failed run" => ended.err.contains("pulling population"),
            what => !what.contains("run") || ended.err.lines().count() > 10,
        };
        assert!(is_told, "{what} logs nothing");
    }
    assert_eq!(leaks(&state, &needles), Vec::<String>::new());
    assert_eq!(leaks(&tree(&world.temporary()), &needles), Vec::<String>::new());
    world.ledger_is_sound();
}

/// Killed by a signal that asks for an image of the process, while messages are on the wire.
#[test]
fn a_run_that_is_aborted_on_the_wire_leaves_no_person_behind() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1000)).unwrap();
    let mut world = aviary(&server, &simulator);
    world.leaves_in_flight();
    server.set_moods(|_| Mood::Silent);
    let run = world.command(&["run", "--as-of", NIGHT]);
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    // As far as the limit can be raised: the run itself has to refuse.
    shell.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    shell.env("CHUDONG_LOG", "trace").env("TMPDIR", world.temporary()).current_dir(folder.path());
    let mut run =
        super::Running(shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(run.0.stderr.take().unwrap());
    let (mut line, mut all) = (String::new(), String::new());
    while !line.contains("sending ")
        && log
            .read_line({
                line.clear();
                &mut line
            })
            .unwrap()
            > 0
    {
        all.push_str(&line);
    }
    std::thread::sleep(Duration::from_millis(150));
    assert!(Command::new("kill").arg("-ABRT").arg(run.0.id().to_string()).status().unwrap().success());
    let status = run.0.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{all}");
    log.read_to_string(&mut all).unwrap();
    let needles = needles();
    assert!(!holds(all.as_bytes(), &needles));
    assert!(tree(folder.path()).is_empty(), "an image of the process");
    // The log of the database is still beside it, with everything that was in flight.
    let state = tree(&world.state());
    assert!(state.keys().any(|name| name.ends_with("ledger.sqlite-wal")));
    assert_eq!(leaks(&state, &needles), Vec::<String>::new());
    // A copy of it, as a thief would have it, without the keys.
    let stolen = tempfile::tempdir().unwrap();
    copy(&world.state(), stolen.path());
    let rows = chudong::ledger::Ledger::read(stolen.path()).unwrap().outbox().unwrap();
    assert!(rows.len() > 5);
}

/// Every hexadecimal text of 32 characters and more in what an entry says.
fn marks(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) if text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            found.insert(text.clone());
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| marks(value, found)),
        serde_json::Value::Object(all) => all.values().for_each(|value| marks(value, found)),
        _ => {}
    }
}

/// A mark that is the same under every key is one that anybody can try names against.
#[test]
fn what_the_ledger_keeps_of_messages_and_recommendations_means_nothing_without_the_keys() {
    let one = World::small(400);
    one.without_figures();
    let other = World::beside(&one);
    let kept = |world: &World| {
        world.night("2026-11-21").with(0);
        let mut found = BTreeSet::new();
        for entry in ["messages.recorded", "options.recommended"].iter().flat_map(|kind| world.entries(kind)) {
            let mut body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
            // What all are compared by is the same for everybody, and about nobody.
            body.as_object_mut().unwrap().remove("sheet");
            marks(&body, &mut found);
        }
        found
    };
    let (one, other) = (kept(&one), kept(&other));
    assert!(one.len() > 20 && other.len() > 20, "{} and {}", one.len(), other.len());
    let shared: Vec<&String> = one.intersection(&other).collect();
    assert!(shared.is_empty(), "{shared:?}");
}
