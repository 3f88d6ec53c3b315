//! The rating page: a token becomes one answer of its cell, and what waits for the night says nothing to whoever looks.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use chudong::ledger::answers::Answers;
use chudong::ledger::tokens::sealed_counts;
use chudong::personal::sha256;
use chudong::satisfaction::counts::Counts;
use chudong::simulate::APP_ID;

use crate::support::browser::Browser;
use crate::support::world::{World, tree};

const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";

/// An agency on whose page people rate, and nowhere else.
fn agency(scale: &str) -> World {
    let world = World::small(300);
    world.edit(PIPELINE, "first_month = 2026-07-01", "first_month = 2026-10-01");
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let (before, after) = text.split_once("[sources.one_stop.tables.ratings]").unwrap();
    let (_, after) = after.split_once("\n\n").unwrap();
    let serve =
        format!("serve = {{ base_url = \"https://nhac.example\", listen = \"127.0.0.1:0\", ratings = \"{scale}\" }}");
    world.put(PIPELINE, format!("{serve}\n{before}{after}").as_bytes());
    world
}

/// The tokens of October, in the order of the file, which is nobody's.
fn issue(world: &World) -> Vec<String> {
    world.night("2026-11-05").with(0);
    let file = world.temporary().join("tokens.csv");
    world.chudong(&["ratings", "issue", "--month", "2026-10", "--to", file.to_str().unwrap()]).with(0);
    let issued = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    issued.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1.to_owned()).collect()
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

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.send(method, path, "Content-Type: application/x-www-form-urlencoded\r\n", body)
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: nhac.example\r\nConnection: close\r\n\
             {headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), page.to_owned())
    }

    fn rate(&self, token: &str, fields: &str) -> (u16, String) {
        self.ask("POST", "/rate?lang=en", &format!("token={token}&{fields}"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn counts(world: &World) -> Counts {
    let key = chudong::world::World::new(world.root(), world.state()).opening_key().unwrap();
    let taken = world.ledger().taken_ratings().unwrap();
    let (_, part, sealed) = taken.iter().find(|(month, _, _)| month == "2026-10").unwrap();
    Counts::of_text(&key.open(&sealed_counts(part), sealed).unwrap()).unwrap()
}

/// The lines of every file of answers.
fn lines(folder: &Path) -> Vec<(String, Vec<String>)> {
    let files = tree(folder).into_iter().filter_map(|(path, bytes)| Some((path, bytes?)));
    let text = |(path, bytes): (std::path::PathBuf, Vec<u8>)| {
        let lines = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
        (path.display().to_string(), lines)
    };
    files.map(text).filter(|(name, _)| !name.starts_with('.')).collect()
}

#[test]
fn a_token_rates_once_and_what_waits_for_the_night_says_nothing() {
    let world = agency("five");
    let tokens = issue(&world);
    let desk = Desk::start(&world);
    // Looking changes nothing; the token of an address is put into the form, and nothing else of it.
    let (status, page) = desk.ask("GET", &format!("/rate/{}?lang=vi", tokens[0]), "");
    assert!(status == 200 && page.contains(&tokens[0]) && page.contains("<html lang=\"vi\">"), "{page}");
    assert_eq!(page.matches("<fieldset>").count(), 12);
    assert_eq!(desk.ask("GET", "/rate/%22%3E%3Cscript%3E", "").1.matches("<script").count(), 0);
    assert!(!world.state().join("answers").exists());

    // What lacks something comes back as it was filled in, and is not kept.
    let (status, page) = desk.rate(&tokens[0], "attitude=2&text=ch%E1%BA%ADm");
    assert!(status == 422 && page.contains("please answer the first question") && page.contains("chậm"), "{page}");
    assert!(page.contains("id=\"attitude-2\" name=\"attitude\" value=\"2\" checked"), "{page}");
    assert_eq!(desk.rate("ABC", "overall=5").0, 422);
    assert_eq!(desk.rate(&tokens[0], "overall=6").0, 422);
    assert_eq!(desk.rate("ZZZZZZZZZZZZZZZZZZZZZZZZZZ", "overall=1").0, 410);
    assert!(!world.state().join("answers").exists());

    // As people type it; a second time it is refused, and the first answer stands.
    let typed = tokens[0].to_lowercase().replace('0', "o");
    assert_eq!(desk.rate(&typed, "overall=5&attitude=2&text=ch%E1%BA%ADm+qu%C3%A1").0, 200);
    assert_eq!(desk.rate(&tokens[0], "overall=1").0, 410);
    for (place, token) in tokens.iter().enumerate().skip(1).take(9) {
        let words = "x".repeat(place * 60);
        assert_eq!(desk.rate(token, &format!("overall={}&text={words}", 1 + place % 5)).0, 200);
    }
    let folder = world.state().join("answers");
    let kept = lines(&folder);
    assert_eq!(kept.iter().map(|(_, lines)| lines.len()).collect::<Vec<_>>(), [10, 10]);
    for (name, lines) in &kept {
        assert!(lines.is_sorted(), "{name} is in the order of random digits");
        let lengths: BTreeSet<usize> = lines.iter().map(String::len).collect();
        assert_eq!(lengths.len(), 1, "{name}: an answer is as long as any other");
        let modified = std::fs::metadata(folder.join(name)).unwrap().modified().unwrap();
        let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((seconds + 7 * 3600) % 86_400, 0, "{name} is dated to the midnight of its day");
    }
    // Nothing in the state folder holds a token; without the key nothing can be opened.
    for (path, bytes) in tree(&world.state()) {
        let is_in = |needle: &str| {
            bytes.as_ref().is_some_and(|bytes| bytes.windows(needle.len()).any(|w| w == needle.as_bytes()))
        };
        assert!(!tokens.iter().take(10).any(|token| is_in(token)), "{} holds a token", path.display());
    }
    drop(desk);

    world.night("2026-11-21").with(0);
    let counts = counts(&world);
    assert_eq!(counts.sum(|cell| cell.question == "overall" && cell.proof == "token"), 10);
    assert_eq!(counts.sum(|cell| cell.question == "attitude" && cell.level == 2), 1);
    assert_eq!(counts.sum(|cell| cell.question == "overall" && cell.level == 5), 3);
    let texts = world.chudong(&["ratings", "texts", "--month", "2026-10"]).with(0);
    assert!(texts.out.lines().any(|line| line == "chậm quá"), "{}", texts.out);
    assert_eq!(world.ledger().tokens_spent("2026-10").unwrap().1, 10);
    // The month is closed: neither a used token nor another one of it can be spent.
    let desk = Desk::start(&world);
    assert_eq!((desk.rate(&tokens[3], "overall=1").0, desk.rate(&tokens[20], "overall=1").0), (410, 410));
    world.ledger_is_sound();
}

/// As Zalo signs an event in which somebody answered a template that asks for a rating.
fn stars(desk: &Desk, secret: &str, token: &str, rate: &str, note: &str) -> u16 {
    let body = format!(
        r#"{{"event_name":"user_feedback","app_id":"{APP_ID}","timestamp":"1793850000000","message":{{"note":"{note}","rate":{rate},"submit_time":"1793849999000","msg_id":"m1","feedbacks":["Nhanh"],"tracking_id":"{token}"}}}}"#
    );
    let mac = sha256(format!("{APP_ID}{body}1793850000000{secret}").as_bytes());
    desk.send("POST", "/receipts/zns", &format!("X-ZEvent-Signature: mac={mac}\r\n"), &body).0
}

#[test]
fn a_rating_that_is_given_in_zalo_is_an_answer_like_any_other() {
    let world = agency("five");
    let tokens = issue(&world);
    let plain = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    crate::channels::secret(&world.root(), "oa", "secret-of-the-official-account");
    let file = format!("{{ file = \"{}\" }}", world.root().join("oa").display());
    let (before, rest) = plain.split_once("[channel]\n").unwrap();
    let (folder, after) = rest.split_once("\n\n").unwrap();
    let zns = format!(
        "[[channels]]\n{folder}\n\n[[channels]]\nkind = \"zns\"\napp_id = \"{APP_ID}\"\napp_secret = {file}\nrefresh_token = {file}\n\n\
         [[channels.templates]]\nitem = \"driving_licence\"\nid = \"204001\"\nparameters.han = {{ value = \"due_on\" }}\n"
    );
    let before = before.replace("ratings = \"five\"", &format!("ratings = \"five\", receipts = {{ zns = {file} }}"));
    world.put(PIPELINE, format!("{before}{zns}\n{after}").as_bytes());

    let desk = Desk::start(&world);
    let rate = |token: &str, rate: &str| stars(&desk, "secret-of-the-official-account", token, rate, "cảm ơn bác Bảy");
    assert_eq!(stars(&desk, "another secret", &tokens[0], "1", ""), 401);
    // What Zalo says twice counts once; what proves nothing, or is no level, is forgotten, and not said again.
    for (token, level) in [(&tokens[0], "5"), (&tokens[0], "1"), (&tokens[1], "\"2\""), (&tokens[2], "9")] {
        assert_eq!(rate(token, level), 200);
    }
    assert_eq!(rate("1234567", "4"), 200);
    assert_eq!(lines(&world.state().join("answers")).iter().map(|(_, lines)| lines.len()).sum::<usize>(), 2 * 2);
    assert!(!world.state().join("receipts").exists(), "a rating is no receipt: it would lie open in the state folder");
    for (path, bytes) in tree(&world.state()) {
        let bytes = bytes.unwrap_or_default();
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds("bác Bảy") && !holds(&tokens[0]), "{}", path.display());
    }
    // The page knows that the token was used, and the other way round.
    assert_eq!((desk.rate(&tokens[0], "overall=3").0, desk.rate(&tokens[3], "overall=3").0), (410, 200));
    assert_eq!(rate(&tokens[3], "1"), 200);
    drop(desk);

    world.put(PIPELINE, plain.as_bytes());
    world.night("2026-11-21").with(0);
    let counts = counts(&world);
    let level = |level| counts.sum(|cell| cell.question == "overall" && cell.level == level && cell.proof == "token");
    assert_eq!([1, 2, 3, 4, 5].map(level), [0, 1, 1, 0, 1]);
    let texts = world.chudong(&["ratings", "texts", "--month", "2026-10"]).with(0);
    assert_eq!(texts.out.lines().filter(|line| line.contains("cảm ơn bác Bảy")).count(), 2, "{}", texts.out);
}

/// Who looks at the folder cannot tell two agencies apart at which others answered otherwise, in another order.
#[test]
fn the_order_and_the_content_of_answers_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let day = jiff::civil::date(2026, 11, 5);
    let shown = |name: &str, order: &[u8]| {
        let state = folder.path().join(name);
        let answers = Answers::of(&state);
        for token in order {
            assert!(answers.put(day, &[*token; 32], &[token.wrapping_mul(97); 60]).unwrap());
            assert!(!answers.put(day, &[*token; 32], &[1; 60]).unwrap());
        }
        assert!(answers.is_used(&[order[0]; 32]).unwrap());
        (lines(&state.join("answers")), answers.all().unwrap())
    };
    assert_eq!(shown("one", &[1, 2, 3, 4]), shown("other", &[3, 1, 4, 2]));
    let answers = Answers::of(&folder.path().join("one"));
    assert_eq!((answers.forget_before(day).unwrap(), answers.all().unwrap().len()), (0, 4));
    assert_eq!(answers.forget_before(jiff::civil::date(2026, 12, 1)).unwrap(), 1);
    assert!(answers.all().unwrap().is_empty() && !answers.is_used(&[1; 32]).unwrap());
    assert_eq!(Answers::of(&folder.path().join("none")).all().unwrap().len(), 0);
}

/// The form on a wide light screen and a narrow dark one, in both languages and scales, as it is first shown and after a
/// mistake: no rule of WCAG 2.2 AA is broken, no script runs, and nothing has to be scrolled to the side.
#[test]
fn the_form_is_accessible() {
    let browser = Browser::start();
    for (scale, levels) in [("five", 60), ("three", 36)] {
        let world = agency(scale);
        world.night("2026-11-05").with(0);
        let desk = Desk::start(&world);
        let address = |path: &str| format!("http://127.0.0.1:{}{path}", desk.port);
        let mut page = browser.open(&address("/rate?lang=vi"));
        for language in ["vi", "en"] {
            for (width, colours) in [(1280, "light"), (320, "dark")] {
                page.viewport(width, 900);
                page.media("screen", &[("prefers-color-scheme", colours)]);
                page.go(&address(&format!("/rate?lang={language}")));
                assert_eq!(page.evaluate("document.querySelectorAll('input[type=radio]').length"), levels);
                assert_eq!(page.evaluate("document.scripts.length"), 0);
                assert_eq!(page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
                let broken = page.axe();
                assert!(broken.is_empty(), "{scale} {language} {width}: {broken:?}");
            }
        }
        // A form that lacks its token is sent by its button alone, and says what is wrong where one hears it.
        page.evaluate("document.getElementById('token').value = 'ABC'; document.getElementById('overall-1').checked = true; document.forms[0].noValidate = true; document.forms[0].submit()");
        page.wait_until("document.querySelector('[role=alert]') !== null");
        let broken = page.axe();
        assert!(broken.is_empty(), "{scale}: {broken:?}");
    }
}
