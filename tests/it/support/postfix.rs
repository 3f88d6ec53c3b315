//! A real Postfix of the test's own: its configuration, queue and maildirs in a temporary folder, on free ports of
//! 127.0.0.1, stopped when it is dropped. It offers STARTTLS and wants an account.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const MISSING: &str = "no Postfix was found (postconf and postfix, in /usr/sbin): \
                       run the project's test script, which installs it";

/// The account that may send, `user` with the password `right`, as SASL PLAIN says it in base64.
const RIGHT: &str = "AHVzZXIAcmlnaHQ=";

/// A running Postfix.
pub struct Postfix {
    folder: TempDir,
    child: Child,
    /// Its port, on 127.0.0.1.
    pub port: u16,
}

impl Postfix {
    /// Starts one. Everything for `anbinh.example` beginning with `bounce+` comes into the maildir [`Postfix::bounces`];
    /// mail to a mailbox that `hands_on` (a regular expression over whole addresses) goes on to the SMTP server on
    /// port `to`; all other mail into [`Postfix::people`].
    pub fn start(hands_on: &str, to: u16) -> Postfix {
        let folder = tempfile::Builder::new().prefix("chudong-pf-").tempdir_in("/tmp").unwrap();
        let path = folder.path();
        // Its programs, which drop their rights, must reach it.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let nobody = number_of("postfix").expect(MISSING);
        for name in ["etc", "queue", "data", "mail"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        for name in ["data", "mail"] {
            std::os::unix::fs::chown(path.join(name), Some(nobody.0), Some(nobody.1)).unwrap();
        }
        for name in ["server.pem", "server.key"] {
            std::fs::copy(crate::root().join("tests/it/tls").join(name), path.join("etc").join(name)).unwrap();
        }
        std::fs::write(path.join("etc/handed-on"), format!("/{hands_on}/ smtp:[127.0.0.1]:{to}\n")).unwrap();
        std::fs::write(path.join("etc/mailboxes"), "/^bounce\\+.*@anbinh\\.example$/ bounces/\n/./ people/\n").unwrap();
        let accounts = accounts();
        loop {
            let port = free_port();
            std::fs::write(path.join("etc/main.cf"), main_cf(path, port, accounts, nobody)).unwrap();
            std::fs::write(path.join("etc/master.cf"), master_cf(port)).unwrap();
            let mut child = Command::new("/usr/sbin/postfix")
                .arg("-c")
                .arg(path.join("etc"))
                .arg("start-fg")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect(MISSING);
            if answers(port, &mut child) {
                return Postfix { folder, child, port };
            }
            // Somebody else took the port before it could.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// The maildir of all people.
    pub fn people(&self) -> PathBuf {
        self.folder.path().join("mail/people")
    }

    /// The maildir into which messages come back.
    pub fn bounces(&self) -> PathBuf {
        self.folder.path().join("mail/bounces")
    }

    /// Waits until so many letters are in `new` of the two maildirs together.
    #[track_caller]
    pub fn has_delivered(&self, letters: usize) {
        let begun = Instant::now();
        loop {
            let now = letters_in(&self.people()).len() + letters_in(&self.bounces()).len();
            if now >= letters {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{now} of {letters}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it logged.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("data/log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let mut stop = Command::new("/usr/sbin/postfix");
        stop.arg("-c").arg(self.folder.path().join("etc")).arg("stop");
        drop(stop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The letters in `new` of a maildir.
pub fn letters_in(maildir: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(maildir.join("new")) else { return Vec::new() };
    listing.map(|entry| entry.unwrap().path()).collect()
}

fn main_cf(path: &Path, port: u16, accounts: u16, (user, group): (u32, u32)) -> String {
    let folder = path.display();
    let mut text = String::new();
    for (name, value) in [
        ("compatibility_level", "3.6".to_owned()),
        ("queue_directory", format!("{folder}/queue")),
        ("data_directory", format!("{folder}/data")),
        ("maillog_file", format!("{folder}/data/log")),
        ("maillog_file_prefixes", "/tmp".into()),
        ("inet_interfaces", "127.0.0.1".into()),
        ("inet_protocols", "ipv4".into()),
        ("myhostname", "mail.anbinh.example".into()),
        ("mydestination", String::new()),
        ("alias_maps", String::new()),
        ("local_recipient_maps", String::new()),
        ("recipient_delimiter", "+".into()),
        ("virtual_mailbox_domains", "regexp:{{/./ all}}".into()),
        ("virtual_mailbox_base", format!("{folder}/mail")),
        ("virtual_mailbox_maps", format!("regexp:{folder}/etc/mailboxes")),
        ("virtual_uid_maps", format!("static:{user}")),
        ("virtual_gid_maps", format!("static:{group}")),
        ("virtual_minimum_uid", "1".into()),
        ("transport_maps", format!("regexp:{folder}/etc/handed-on")),
        ("smtpd_tls_security_level", "encrypt".into()),
        ("smtpd_tls_auth_only", "yes".into()),
        ("smtpd_tls_received_header", "yes".into()),
        ("smtpd_tls_chain_files", format!("{folder}/etc/server.key, {folder}/etc/server.pem")),
        ("smtpd_sasl_auth_enable", "yes".into()),
        ("smtpd_sasl_type", "dovecot".into()),
        ("smtpd_sasl_path", format!("inet:127.0.0.1:{accounts}")),
        ("smtpd_relay_restrictions", "permit_sasl_authenticated, reject".into()),
        ("smtpd_recipient_restrictions", "permit_sasl_authenticated, reject".into()),
        ("smtp_tls_security_level", "none".into()),
        ("notify_classes", String::new()),
        ("smtpd_client_connection_rate_limit", "0".into()),
        ("smtpd_banner", format!("mail.anbinh.example ESMTP {port}")),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

fn master_cf(port: u16) -> String {
    let mut text = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
    for (name, process, limit) in [
        ("cleanup", "cleanup", "0"),
        ("qmgr", "qmgr", "1"),
        ("tlsmgr", "tlsmgr", "1"),
        ("rewrite", "trivial-rewrite", "-"),
        ("bounce", "bounce", "0"),
        ("defer", "bounce", "0"),
        ("trace", "bounce", "0"),
        ("verify", "verify", "1"),
        ("flush", "flush", "0"),
        ("proxymap", "proxymap", "-"),
        ("smtp", "smtp", "-"),
        ("relay", "smtp", "-"),
        ("showq", "showq", "-"),
        ("error", "error", "-"),
        ("retry", "error", "-"),
        ("discard", "discard", "-"),
        ("virtual", "virtual", "-"),
        ("anvil", "anvil", "1"),
        ("scache", "scache", "1"),
    ] {
        let is_public = if ["cleanup", "qmgr", "flush", "showq"].contains(&name) { "n" } else { "-" };
        let wakes = if name == "qmgr" { "2" } else { "-" };
        // Delivering into maildirs changes the account, and so begins as root.
        let drops = if name == "virtual" { "n" } else { "-" };
        let _ = writeln!(text, "{name} unix {is_public} {drops} n {wakes} {limit} {process}");
    }
    text.push_str("postlog unix-dgram n - n - 1 postlogd\n");
    text
}

/// Who may send, as Postfix asks for it: the protocol of Dovecot's authentication, for PLAIN.
fn accounts() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Postfix hangs up when it ends.
            std::thread::spawn(move || drop(answer(stream)));
        }
    });
    port
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n")?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        let mut words = line.split('\t');
        if words.next() == Some("AUTH") {
            let id = words.next().unwrap_or_default();
            let is_right = line.ends_with(&format!("resp={RIGHT}"));
            let word = if is_right { "OK" } else { "FAIL" };
            stream.write_all(format!("{word}\t{id}\tuser=user\n").as_bytes())?;
        }
    }
    Ok(())
}

fn answers(port: u16, child: &mut Child) -> bool {
    let begun = Instant::now();
    let expected = format!("220 mail.anbinh.example ESMTP {port}");
    while begun.elapsed() < Duration::from_secs(30) && child.try_wait().unwrap().is_none() {
        let greeted = TcpStream::connect(("127.0.0.1", port)).ok().and_then(|stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
            BufReader::new(stream).lines().next()?.ok()
        });
        if greeted.is_some_and(|line| line == expected) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Number and group of a system account; none when there is no such account.
pub fn number_of(account: &str) -> Option<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|line| line.split(':').next() == Some(account))?;
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
    Some((numbers.next()?, numbers.next()?))
}
