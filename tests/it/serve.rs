#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use chudong::calendar::AsOf;
use chudong::ledger::ALL;
use chudong::personal::PseudonymKey;
use chudong::personal::links::Links;

use crate::support::world::{ANY_TIME, World};

const PIPELINE: &str = "pipelines/binh-minh/pipeline.toml";
const NIGHT: &str = "2026-11-21";

/// The second agency, whose letters hold links to a process that listens anywhere.
fn with_links() -> World {
    let world = World::of("binh-minh");
    let serve = "serve = { base_url = \"https://nhac.example\", listen = \"127.0.0.1:0\" }\n";
    // Two tables in one line: the others keep their numbers.
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    world.put(PIPELINE, text.replacen(ANY_TIME, &format!("{serve}{ANY_TIME}"), 1).as_bytes());
    world
}

/// The `serve` verb at work.
struct Desk {
    child: Child,
    port: u16,
}

impl Desk {
    fn start(world: &World) -> Self {
        let mut child = world.command(&["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
        Desk { child, port }
    }

    /// Sends one request and gives the status, the headers and the page.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: nhac.example\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), page.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path, "", "")
    }

    fn post(&self, path: &str, body: &str) -> (u16, String, String) {
        self.ask("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", body)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn links(world: &World) -> Links {
    let key: [u8; 32] = std::fs::read(world.state().join("keys/pseudonym.key")).unwrap().try_into().unwrap();
    Links::new(&PseudonymKey::new(key), "https://nhac.example")
}

/// The path of the link that stands in a letter.
fn path(link: &str) -> &str {
    link.strip_prefix("https://nhac.example").unwrap()
}

/// A link as it stands in the header of a message that left.
fn a_link(world: &World) -> String {
    let messages = world.messages();
    let bytes = messages.values().flatten().next().unwrap();
    let text = String::from_utf8_lossy(bytes).replace("\r\n ", "");
    let line = text.lines().find_map(|line| line.strip_prefix("List-Unsubscribe: ")).unwrap().to_owned();
    line.trim_matches(['<', '>', ' ']).replace(' ', "")
}

#[test]
fn a_link_in_a_letter_is_refused_by_one_click_and_never_by_looking() {
    let world = with_links();
    world.night(NIGHT).with(0);
    let link = a_link(&world);
    let today = AsOf::today().date();
    let refusal = links(&world).open(&link, today).unwrap();
    let desk = Desk::start(&world);

    // Looking asks, in both languages, and changes nothing, however often a scanner looks.
    let before = world.entries("").len();
    let (status, head, page) = desk.get(path(&link));
    assert_eq!(status, 200);
    assert!(page.contains("<html lang=\"vi\">") && page.contains("Từ chối nhận tin nhắc"), "{page}");
    assert!(head.contains("content-security-policy: default-src 'none'") && head.contains("cache-control: no-store"));
    assert!(!page.contains("<script") && !page.contains(&refusal.subject), "{page}");
    let (_, _, page) = desk.get(&format!("{}?lang=en", path(&link)));
    assert!(page.contains("<html lang=\"en\">") && page.contains("Refuse reminders"), "{page}");
    let (_, _, page) = desk.ask("GET", path(&link), "Accept-Language: en-GB,en;q=0.8\r\n", "");
    assert!(page.contains("<html lang=\"en\">"), "{page}");
    assert_eq!(desk.ask("HEAD", path(&link), "", "").0, 200);
    assert_eq!(world.entries("").len(), before);

    // One click of a mail program (RFC 8058), in either form, and twice.
    let (status, head, page) = desk.post(path(&link), "List-Unsubscribe=One-Click");
    assert_eq!((status, head.contains("\r\nlocation:")), (200, false));
    assert!(page.contains("Đã ghi nhận"), "{page}");
    let parts = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    let form = "Content-Type: multipart/form-data; boundary=x\r\n";
    assert_eq!(desk.ask("POST", path(&link), form, parts).0, 200);
    assert_eq!(world.entries("preference.").len(), 1);
    let scope = (refusal.subject.clone(), refusal.item.clone().unwrap(), "folder".to_owned());
    assert!(world.ledger().refused().unwrap().contains(&scope));
    // The refusal is a request that was answered in time.
    let requests = world.ledger().requests(today).unwrap();
    assert!(matches!(requests.as_slice(), [one] if one.done_on == Some(today) && !one.is_late(today)), "{requests:?}");
    world.ledger_is_sound();
}

#[test]
fn a_refusal_at_the_last_minute_is_heard_by_the_next_run() {
    let world = with_links();
    // The night is decided outside the window: it knows whom it would write to, and sends nothing.
    let clock = chudong::calendar::now().to_zoned(chudong::calendar::vietnam());
    let hour = |ahead: i64| clock.saturating_add(jiff::ToSpan::hours(ahead)).strftime("%H:%M").to_string();
    let quiet = format!("attention = {{ quiet = {{ from = \"{}\", to = \"{}\" }} }}", hour(-1), hour(2));
    world.edit(PIPELINE, ANY_TIME, &quiet);
    world.night(NIGHT).with(0);
    assert!(world.outbox().is_empty());
    let mut subjects = std::collections::BTreeSet::new();
    world.ledger().standings("temporary_residence", |standing| subjects.extend([standing.subject])).unwrap();
    assert!(!subjects.is_empty());
    let desk = Desk::start(&world);
    for subject in &subjects {
        let today = AsOf::today().date();
        let link = links(&world).refuse(subject, Some("temporary_residence"), Some("folder"), today).unwrap();
        assert_eq!(desk.post(path(&link), "List-Unsubscribe=One-Click").0, 200);
    }
    world.edit(PIPELINE, &quiet, ANY_TIME);
    let ended = world.night(NIGHT).with(0);
    assert!(ended.out.contains("refuses reminders"), "{}", ended.out);
    let rows = world.outbox();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.item != "temporary_residence"), "{}", ended.out);
    world.ledger_is_sound();
}

#[test]
fn a_short_link_stands_for_the_message_that_held_it() {
    let world = with_links();
    world.night(NIGHT).with(0);
    let row = world.outbox().into_iter().next().unwrap();
    let link = links(&world).brief(&row.key.0).unwrap();
    let desk = Desk::start(&world);
    assert!(desk.get(path(&link)).2.contains("Từ chối nhận tin nhắc"));
    assert_eq!(desk.post(path(&link), "act=refuse").0, 200);
    let all = world.ledger().refused().unwrap();
    assert_eq!(all.len(), 1);
    let (subject, item, channel) = all.into_iter().next().unwrap();
    assert_eq!((item.as_str(), channel.as_str()), (row.item.as_str(), "folder"));
    let mut of_obligation = None;
    world
        .ledger()
        .standings(&row.item, |standing| {
            if standing.key == row.obligation {
                of_obligation = Some(standing.subject);
            }
        })
        .unwrap();
    assert_eq!(of_obligation, Some(subject));
    // One of a message that never was is no link.
    let link = links(&world).brief(&"0".repeat(32)).unwrap();
    assert_eq!(desk.get(path(&link)).0, 404);
    world.ledger_is_sound();
}

#[test]
fn a_refusal_is_taken_back_as_widely_as_it_was_made() {
    let world = with_links();
    world.night(NIGHT).with(0);
    let link = a_link(&world);
    let subject = links(&world).open(&link, AsOf::today().date()).unwrap().subject;
    let desk = Desk::start(&world);
    let refused = || world.ledger().refused().unwrap().len();
    // Refused one by one first: whoever wants all again wants that, too.
    assert_eq!(desk.post(path(&link), "List-Unsubscribe=One-Click").0, 200);
    assert!(desk.post(path(&link), "act=refuse_all").2.contains("mọi tin nhắc"));
    assert!(world.ledger().refused().unwrap().contains(&(subject, ALL.to_owned(), ALL.to_owned())));
    // Of one item alone it is not: all are refused, and the page says so.
    assert!(desk.post(path(&link), "act=want").2.contains("vẫn đang từ chối"));
    assert_eq!(refused(), 1);
    assert_eq!(desk.post(path(&link), "List-Unsubscribe=One-Click").0, 200);
    assert_eq!(refused(), 2);
    assert!(desk.post(path(&link), "act=want_all").2.contains("Đã ghi nhận"));
    assert_eq!(refused(), 0);
    world.ledger_is_sound();
}

#[test]
fn what_is_no_link_of_ours_changes_nothing() {
    let world = with_links();
    world.night(NIGHT).with(0);
    let link = a_link(&world);
    let desk = Desk::start(&world);
    let before = world.entries("").len();
    let changed = format!("{}0", &path(&link).trim_end_matches(|_: char| false).to_owned());
    for (method, at, body, status) in [
        ("POST", changed.as_str(), "List-Unsubscribe=One-Click", 404),
        ("GET", changed.as_str(), "", 404),
        ("GET", "/refuse/", "", 404),
        ("GET", "/refuse/%ff%00", "", 400),
        ("GET", "/", "", 404),
        ("PUT", path(&link), "List-Unsubscribe=One-Click", 405),
        ("POST", path(&link), "", 400),
        ("POST", path(&link), "act=everything", 400),
    ] {
        let (found, _, page) = desk.ask(method, at, "", body);
        assert_eq!(found, status, "{method} {at} {body}: {page}");
    }
    let long = "x".repeat(100_000);
    assert_eq!(desk.post(path(&link), &long).0, 413);
    let old = AsOf::today().date().saturating_sub(jiff::ToSpan::days(401));
    let refusal = links(&world).open(&link, AsOf::today().date()).unwrap();
    let old = links(&world).refuse(&refusal.subject, None, None, old).unwrap();
    assert_eq!(desk.post(path(&old), "List-Unsubscribe=One-Click").0, 410);
    assert_eq!(world.entries("").len(), before);
    assert_eq!(desk.get("/style.css").0, 200);
}

#[test]
fn a_file_of_wishes_is_taken_whole_or_not_at_all() {
    let world = World::of("binh-minh");
    // Before the first night there is no key, and so nobody to know again.
    let header = "subject_id,request,item,channel,language,received_on,acknowledged_on,done_on\n";
    let file = world.root().join("wishes.csv");
    let import = |rows: &str, code| {
        std::fs::write(&file, format!("{header}{rows}")).unwrap();
        world.chudong(&["preferences", "import", file.to_str().unwrap()]).with(code)
    };
    assert!(import("", 1).said().contains("state.no-key-yet"));
    world.night(NIGHT).with(0);
    let bad = "097000000001,refuse,,,,2026-11-20,,\n,refuse,,,,2026-11-20,,\n1,sing,,,,2026-11-20,,\n1,refuse,,,,yesterday,,\n1,refuse,nothing,,,2026-11-20,,\n1,refuse\n";
    let said = import(bad, 1).said();
    assert_eq!(said.matches("error[preferences.row]").count(), 5, "{said}");
    assert!(!said.contains("097000000001"), "{said}");
    let said = import(&"1,sing,,,,2026-11-20,,\n".repeat(2_500), 1).said();
    assert_eq!(said.matches("error[preferences.row]").count(), 20, "{said}");
    assert!(said.contains("2480 more rows are wrong"), "{said}");
    assert!(world.entries("preference.").is_empty() && world.entries("request.").is_empty());

    let today = AsOf::today().date();
    let rows = format!(
        "097000000001,refuse,,,,{today},,\n097000000001,language,,,en,{today},,\n097000000002,access,,,,2026-01-05,,\n"
    );
    assert_eq!(import(&rows, 0).out, "4 written down, 0 known already; 1 past their day\n");
    // The language did not take the refusal back.
    assert_eq!(world.ledger().refused().unwrap().len(), 1);
    assert_eq!(world.ledger().languages().unwrap().len(), 1);
    // A refusal that lay on a desk for a month was heard too late, and that is said.
    let said = import("097000000003,refuse,,,,2026-01-05,,\n", 0).out;
    assert_eq!(said, "2 written down, 0 known already; 1 past their day\n");
    let ended = world.chudong(&["preferences", "requests"]).with(3);
    assert!(ended.out.contains("acknowledge by 2026-01-07  due 2026-01-15  LATE"), "{}", ended.out);
    // What is refused on paper counts at once, and whether the person was told so is another matter.
    assert_eq!(ended.out.matches("receipt not confirmed").count(), 2, "{}", ended.out);
    assert!(ended.out.contains("3 open, "), "{}", ended.out);
    // It is told by the next night, until it is answered.
    assert!(world.night("2026-11-22").with(0).out.contains("3 requests under the data law are open"));
    let done = world.ledger().requests(jiff::civil::Date::MIN).unwrap();
    import("097000000002,access,,,,2026-01-05,2026-01-06,2026-01-12\n", 0);
    let told = format!("097000000001,refuse,,,,{today},{today},\n097000000003,refuse,,,,2026-01-05,2026-01-06,\n");
    import(&told, 0);
    world.chudong(&["preferences", "requests"]).with(0);
    let after = world.ledger().requests(jiff::civil::Date::MIN).unwrap();
    let days = |all: &[chudong::ledger::Request]| {
        let refused = all.iter().filter(|request| request.kind == "refuse");
        refused.map(|request| (request.subject.clone(), request.done_on)).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(days(&done), days(&after));
    world.ledger_is_sound();
}
