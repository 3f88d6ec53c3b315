//! Dossiers that are prepared for a person: from the night to the decision, through the real binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

/// What `check` refuses.
mod checks;
/// What people decide, in which order, by which link.
mod decisions;
/// Every form of the catalogue.
pub mod forms;
/// The link in a text message.
mod phone;
/// Prefill equals the registers on random data.
mod prefill;
/// Registers that disagree, are old, or know nothing.
mod registers;
/// In a real browser.
mod seen;
/// In a letter of several.
mod together;
/// From the message to the confirmed dossier, and what else a person may decide.
mod whole;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};

use chudong::dossiers::Confirmed;
use chudong::personal::dossier_links::{DossierLink, DossierLinks};
use chudong::personal::{PseudonymKey, SealingKey};

use crate::support::world::{ANY_TIME, World, copy};

pub const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";
pub const NIGHT: &str = "2026-11-21";
pub const BASE: &str = "https://nhac.example";

/// The sample agency with few people, without figures, preparing the dossiers of these items.
pub fn world(items: &[&str]) -> World {
    let world = World::small(1_000);
    world.without_figures();
    // What an agency has found in the national catalogue.
    let codes = items.iter().map(|item| format!("{item} = \"1.002809\"")).collect::<Vec<_>>().join(", ");
    let items: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    let tables = format!(
        "serve = {{ base_url = \"{BASE}\", listen = \"127.0.0.1:0\" }}\ndossiers = {{ items = [{}], paper = true, procedures = {{ {codes} }} }}\n{ANY_TIME}",
        items.join(", ")
    );
    world.edit(PIPELINE, ANY_TIME, &tables);
    world
}

/// How many tests ask for [`prepared`]: when the last has its copy, the folders of the first go.
const TESTS: usize = 9;

/// The same with one item, after its night; the night is run once for all tests.
pub fn prepared() -> World {
    static OVER: Mutex<(usize, Option<World>)> = Mutex::new((0, None));
    let mut over = OVER.lock().unwrap_or_else(PoisonError::into_inner);
    let first = over.1.take().unwrap_or_else(|| {
        let world = world(&["driving_licence"]);
        world.night(NIGHT).with(0);
        world
    });
    over.0 += 1;
    if over.0 == TESTS {
        return first;
    }
    let world = World::beside(&first);
    copy(&first.state(), &world.state());
    over.1 = Some(first);
    world
}

/// Every link to a dossier that stands in a letter, in the order of the letters' names.
pub fn links(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for bytes in world.messages().into_values().flatten() {
        let message = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        let text = message.body_text(0).unwrap().replace('\n', " ").replace('\r', "");
        found.extend(text.split_whitespace().filter_map(|word| {
            let from = word.find(&format!("{BASE}/dossier/"))?;
            let link = word.get(from..).unwrap();
            Some(link.trim_end_matches(|c: char| !c.is_ascii_hexdigit()).to_owned())
        }));
    }
    found
}

pub fn pseudonym_key(world: &World) -> PseudonymKey {
    PseudonymKey::new(std::fs::read(world.state().join("keys/pseudonym.key")).unwrap().try_into().unwrap())
}

pub fn sealing_key(world: &World) -> SealingKey {
    SealingKey::new(std::fs::read(world.state().join("keys/sealing.key")).unwrap().try_into().unwrap())
}

/// What a link says, opened on the night.
pub fn opened(world: &World, link: &str) -> DossierLink {
    DossierLinks::new(&pseudonym_key(world), BASE).open(link, NIGHT.parse().unwrap()).unwrap()
}

pub fn confirmed(world: &World) -> Vec<Confirmed> {
    chudong::run::confirmed_dossiers(&world.ledger(), &sealing_key(world), 0).unwrap()
}

/// The `serve` verb at work, on the day of the night.
pub struct Desk {
    child: Child,
    pub port: u16,
}

/// An answer: status, head in lower case, page.
pub type Answer = (u16, String, String);

impl Desk {
    pub fn start(world: &World) -> Self {
        Desk::on(world, NIGHT)
    }

    pub fn on(world: &World, day: &str) -> Self {
        let mut child = world.command(&["serve", "--today", day]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
        Desk { child, port }
    }

    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: nhac.example\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
        )
        .unwrap();
        // Who is refused because of the length does not read on.
        drop(stream.write_all(body));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let answer = String::from_utf8(answer).unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), page.to_owned())
    }

    pub fn get(&self, link: &str) -> Answer {
        self.ask("GET", path(link), "", b"")
    }

    /// Sends a form as a browser does.
    pub fn post(&self, link: &str, fields: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            write!(body, "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
        }
        for (name, file, bytes) in files {
            write!(
                body,
                "--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
            .unwrap();
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--x--\r\n");
        self.ask("POST", path(link), "Content-Type: multipart/form-data; boundary=x\r\n", &body)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The path of a link that stands in a letter.
pub fn path(link: &str) -> &str {
    link.strip_prefix(BASE).unwrap_or(link)
}

/// The version that a page shows.
pub fn version(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"version\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// What a field of a page holds; none where there is no such field.
pub fn value(page: &str, field: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{field}\""))?;
    let (tag, _) = rest.split_once('>')?;
    let (_, value) = tag.split_once("value=\"")?;
    Some(value.split('"').next().unwrap().to_owned())
}

/// Whether the registers disagree about a field.
pub fn is_conflict(page: &str, field: &str) -> bool {
    page.contains(&format!("name=\"{field}.choice\""))
}

/// The answers of somebody who lets everything stand, chooses what the first register says, and gives what is missing.
pub fn agreeing(page: &str) -> Vec<(String, String)> {
    let mut answers = vec![("version".to_owned(), version(page)), ("sure".into(), "yes".into())];
    answers.push(("act".into(), "confirm".into()));
    for field in ["full_name", "birth_date"] {
        if is_conflict(page, field) {
            answers.push((format!("{field}.choice"), "0".into()));
        }
    }
    for (field, given) in [("phone", "0912345678"), ("residence", "Số 1, đường Lê Lợi")] {
        if value(page, field).is_some_and(|value| value.is_empty()) {
            answers.push((field.into(), given.into()));
        }
    }
    answers
}

/// The same, as they are sent.
pub fn sent(answers: &[(String, String)]) -> Vec<(&str, &str)> {
    answers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
