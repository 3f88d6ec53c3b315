//! Postfix's own source and sink, and the pool of the library that we use.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;

use super::Fallible;

/// Connections of the pool.
const POOLED: u32 = 64;

/// A running `smtp-sink`, which takes every message and keeps none.
pub struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    pub fn start() -> Fallible<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(program("smtp-sink"));
        // It refuses to serve as root.
        if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            command.args(["-u", "nobody"]);
        }
        let child =
            command.arg(format!("127.0.0.1:{port}")).arg("1024").stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let sink = Sink { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err("smtp-sink does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(sink)
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It ends with the benchmark either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> String {
    let beside = format!("/usr/sbin/{name}");
    if std::path::Path::new(&beside).exists() { beside } else { name.to_owned() }
}

/// Messages a second of `smtp-source`, each connection kept for all its messages.
pub fn smtp_source(messages: u64, bytes: u64, connections: usize, port: u16) -> Fallible<f64> {
    let begun = Instant::now();
    let status = Command::new(program("smtp-source"))
        .args(["-d", "-s", &connections.to_string(), "-m", &messages.to_string(), "-l", &bytes.to_string()])
        .args(["-f", "agency@an-binh.example", "-t", "citizen@example.com"])
        .arg(format!("127.0.0.1:{port}"))
        .status()?;
    if !status.success() {
        return Err(format!("smtp-source ended with {status}").into());
    }
    Ok(messages as f64 / begun.elapsed().as_secs_f64())
}

/// Messages a second of the connections that lettre's pooled transport keeps, 64 of them, each with a task of its own.
///
/// The pool itself is a feature of the library that this package does not switch on; what it hands out are these
/// connections. The messages are made beforehand.
pub fn pooled(messages: u64, port: u16) -> Fallible<f64> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let message = Message::builder()
            .from("agency@an-binh.example".parse()?)
            .to("citizen@example.com".parse()?)
            .subject("Nhắc hạn")
            .body("x".repeat(4000))?;
        let begun = Instant::now();
        let tasks: Vec<_> = (0..u64::from(POOLED))
            .map(|_| {
                let message = message.clone();
                let mine = messages / u64::from(POOLED);
                tokio::spawn(async move {
                    let hello = ClientId::Domain("an-binh.example".into());
                    let mut connection =
                        AsyncSmtpConnection::connect_tokio1(("127.0.0.1", port), None, &hello, None, None).await?;
                    for _ in 0..mine {
                        connection.send(message.envelope(), &message.formatted()).await?;
                    }
                    Ok::<u64, lettre::transport::smtp::Error>(mine)
                })
            })
            .collect();
        let mut sent = 0;
        for task in tasks {
            sent += task.await??;
        }
        Ok(sent as f64 / begun.elapsed().as_secs_f64())
    })
}
