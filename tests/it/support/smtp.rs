//! A small real SMTP server of the test's own, on a free port of 127.0.0.1.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

/// What the server does when it meets a recipient.
#[derive(Clone, Copy)]
pub enum Mood {
    /// Takes the message.
    Takes,
    /// Answers `RCPT` with this.
    AtRecipient(&'static str),
    /// Answers the end of the message with this.
    AtEnd(&'static str),
    /// Closes the connection after the whole message, without an answer.
    DropsAfterMessage,
    /// Closes the connection at `DATA`.
    DropsAtData,
    /// Reads the message and never answers.
    Silent,
    /// Takes one message, then closes the connection as an idle one.
    TakesThenHangsUp,
}

/// The server: one thread per connection, the mood by the recipient.
pub struct Server {
    /// Where it listens.
    pub port: u16,
    /// What it took: recipient and bytes of each message.
    pub taken: Arc<Taken>,
    /// How many connections were made.
    pub connections: Arc<Mutex<usize>>,
    /// How many messages came with the announcement of the next one behind them.
    pub announced: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    moods: Moods,
}

/// The mood at a recipient; a test may change its mind between two nights.
type Moods = Arc<Mutex<Box<dyn Fn(&str) -> Mood + Send>>>;

/// The mood that a local part names.
fn mood_of(recipient: &str) -> Mood {
    match recipient.split('@').next().unwrap() {
        "grey" => Mood::AtRecipient("451 4.7.1 greylisted, <grey@example.com> try later"),
        "unknown" => Mood::AtRecipient("550 5.1.1 <unknown@example.com> no such person"),
        "plain" => Mood::AtRecipient("550 no"),
        "goodbye" => Mood::AtRecipient("421 4.3.2 closing"),
        "spam" => Mood::AtEnd("554-5.7.1 no\r\n554 5.7.1 spam@example.com"),
        "full" => Mood::AtEnd("452 4.2.2 mailbox full"),
        "dropped" => Mood::DropsAfterMessage,
        "hung" => Mood::DropsAtData,
        "silent" => Mood::Silent,
        "last" => Mood::TakesThenHangsUp,
        _ => Mood::Takes,
    }
}

fn mood(moods: &Moods, recipient: &str) -> Mood {
    moods.lock().unwrap()(recipient)
}

/// How the server protects its connections.
#[derive(Clone, Copy, PartialEq)]
pub enum Protection {
    /// Not at all.
    None,
    /// After `STARTTLS`.
    StartTls,
    /// From the first byte.
    Wrapped,
}

impl Server {
    /// A server in the clear, with the moods that the recipients' local parts name.
    pub fn start(greeting: &'static str, extensions: &'static [&'static str], most: usize) -> Server {
        Server::protected(Protection::None, greeting, extensions, most)
    }

    /// `most`: how many connections it takes in its life.
    pub fn protected(
        protection: Protection,
        greeting: &'static str,
        extensions: &'static [&'static str],
        most: usize,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server {
            port,
            taken: Arc::default(),
            connections: Arc::default(),
            announced: Arc::default(),
            closed: Arc::default(),
            moods: Arc::new(Mutex::new(Box::new(mood_of))),
        };
        let (taken, connections) = (Arc::clone(&server.taken), Arc::clone(&server.connections));
        let (moods, closed) = (Arc::clone(&server.moods), Arc::clone(&server.closed));
        let announced = Arc::clone(&server.announced);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let number = {
                    let mut connections = connections.lock().unwrap();
                    *connections += 1;
                    *connections
                };
                let greeting = if number > most { "421 4.7.0 too many connections" } else { greeting };
                let (taken, moods, closed) = (Arc::clone(&taken), Arc::clone(&moods), Arc::clone(&closed));
                let announced = Arc::clone(&announced);
                std::thread::spawn(move || {
                    // A client that breaks off ends the conversation with an error, as it should.
                    let book = Book { taken: &taken, announced: &announced };
                    drop(connection(stream, protection, greeting, extensions, book, &moods));
                    closed.fetch_add(1, Ordering::Release);
                });
            }
        });
        server
    }

    /// Waits until it has closed so many connections.
    #[track_caller]
    pub fn has_closed(&self, connections: usize) {
        let begun = Instant::now();
        while self.closed.load(Ordering::Acquire) < connections {
            assert!(begun.elapsed() < Duration::from_secs(60), "the mail server keeps its connections");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// From now on the mood at each recipient is this.
    pub fn set_moods(&self, moods: impl Fn(&str) -> Mood + Send + 'static) {
        *self.moods.lock().unwrap() = Box::new(moods);
    }

    /// Who got a message, once for each message, in order.
    pub fn recipients(&self) -> Vec<String> {
        let mut recipients: Vec<String> = self.taken.lock().unwrap().iter().map(|(to, _)| to.clone()).collect();
        recipients.sort();
        recipients
    }
}

/// Recipient and bytes of each message.
pub type Taken = Mutex<Vec<(String, Vec<u8>)>>;

/// What all connections of a server write down.
#[derive(Clone, Copy)]
struct Book<'a> {
    taken: &'a Taken,
    announced: &'a AtomicUsize,
}

fn connection(
    stream: TcpStream,
    protection: Protection,
    greeting: &str,
    extensions: &[&str],
    book: Book<'_>,
    moods: &Moods,
) -> std::io::Result<()> {
    // The server waits for no acknowledgement either: what is measured is the client.
    stream.set_nodelay(true)?;
    if protection == Protection::Wrapped {
        return serve(&mut BufReader::new(over_tls(stream)), Some(greeting), extensions, book, moods).map(|_| ());
    }
    let mut reader = BufReader::new(stream);
    if serve(&mut reader, Some(greeting), extensions, book, moods)? == Ended::WantsTls {
        serve(&mut BufReader::new(over_tls(reader.into_inner())), None, extensions, book, moods)?;
    }
    Ok(())
}

fn over_tls(stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    let folder = crate::root().join("tests/it/tls");
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
}

#[derive(PartialEq)]
enum Ended {
    Closed,
    WantsTls,
}

fn say<S: Read + Write>(reader: &mut BufReader<S>, line: &str) -> std::io::Result<()> {
    reader.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
    reader.get_mut().flush()
}

fn serve<S: Read + Write>(
    reader: &mut BufReader<S>,
    greeting: Option<&str>,
    extensions: &[&str],
    book: Book<'_>,
    moods: &Moods,
) -> std::io::Result<Ended> {
    if let Some(greeting) = greeting {
        say(reader, greeting)?;
        if !greeting.starts_with("220") {
            return Ok(Ended::Closed);
        }
    }
    let (mut to, mut bits) = (String::new(), 7);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(Ended::Closed);
        }
        let verb = line.trim_end().to_ascii_uppercase();
        if verb.starts_with("EHLO") {
            say(reader, "250-test.example")?;
            for extension in extensions {
                say(reader, &format!("250-{extension}"))?;
            }
            say(reader, "250 HELP")?;
        } else if verb == "STARTTLS" {
            say(reader, "220 go on")?;
            return Ok(Ended::WantsTls);
        } else if verb.starts_with("MAIL FROM:") {
            bits = if verb.contains(" BODY=8BITMIME") && extensions.contains(&"8BITMIME") { 8 } else { 7 };
            say(reader, "250 2.1.0 ok")?;
        } else if verb.starts_with("RCPT TO:") {
            to = line.trim_end()["RCPT TO:<".len()..].trim_end_matches('>').to_owned();
            match mood(moods, &to) {
                Mood::AtRecipient(reply) => {
                    say(reader, reply)?;
                    if reply.starts_with("421") {
                        return Ok(Ended::Closed);
                    }
                }
                _ => say(reader, "250 2.1.5 ok")?,
            }
        } else if verb == "DATA" {
            if matches!(mood(moods, &to), Mood::DropsAtData) {
                return Ok(Ended::Closed);
            }
            say(reader, "354 go on")?;
            if !take_message(reader, &to, bits, book, moods)? {
                return Ok(Ended::Closed);
            }
        } else if verb.starts_with("AUTH PLAIN") {
            // \0user\0right, in base64.
            let is_right = line.trim_end().ends_with("AHVzZXIAcmlnaHQ=");
            say(reader, if is_right { "235 2.7.0 welcome" } else { "535 5.7.8 user unknown" })?;
        } else if verb == "QUIT" {
            say(reader, "221 bye")?;
            return Ok(Ended::Closed);
        } else {
            say(reader, "250 2.0.0 ok")?;
        }
    }
}

/// Reads a message to its end; false when the connection is to be closed.
fn take_message<S: Read + Write>(
    reader: &mut BufReader<S>,
    to: &str,
    bits: u32,
    book: Book<'_>,
    moods: &Moods,
) -> std::io::Result<bool> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n.\r\n") {
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(false);
        }
    }
    if reader.buffer().starts_with(b"MAIL FROM:") {
        book.announced.fetch_add(1, Ordering::Release);
    }
    if bits == 7 && !bytes.is_ascii() {
        return say(reader, "554 5.6.1 8 bits were not announced").map(|()| true);
    }
    match mood(moods, to) {
        Mood::DropsAfterMessage => Ok(false),
        Mood::Silent => {
            reader.read_to_end(&mut Vec::new())?;
            Ok(false)
        }
        Mood::AtEnd(reply) => say(reader, reply).map(|()| true),
        mood => {
            bytes.truncate(bytes.len() - 5);
            book.taken.lock().unwrap().push((to.to_owned(), bytes));
            say(reader, "250 2.0.0 taken")?;
            Ok(!matches!(mood, Mood::TakesThenHangsUp))
        }
    }
}
