//! A real IMAP server (Dovecot) of the test's own: one mailbox in a temporary folder, over TLS on a free port of
//! 127.0.0.1, stopped when it is dropped. The account is `user`, the password `right`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const MISSING: &str = "no Dovecot was found (/usr/sbin/dovecot): run the project's test script, which installs it";

/// A running Dovecot.
pub struct Dovecot {
    folder: TempDir,
    child: Child,
    owner: (u32, u32),
    /// Its port, on 127.0.0.1.
    pub port: u16,
}

impl Dovecot {
    /// Starts one, with further lines of configuration.
    pub fn start(more: &str) -> Dovecot {
        let folder = tempfile::Builder::new().prefix("chudong-imap-").tempdir_in("/tmp").unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let owner = super::postfix::number_of("dovecot").expect(MISSING);
        for name in ["run", "state", "mail", "mail/new", "mail/cur", "mail/tmp"] {
            std::fs::create_dir(path.join(name)).unwrap();
            if name.starts_with("mail") {
                chown(path.join(name), Some(owner.0), Some(owner.1)).unwrap();
            }
        }
        for name in ["server.pem", "server.key"] {
            std::fs::copy(crate::root().join("tests/it/tls").join(name), path.join(name)).unwrap();
        }
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let text = configuration(&path.display().to_string(), port, owner, more);
            std::fs::write(path.join("dovecot.conf"), text).unwrap();
            let mut child = Command::new("/usr/sbin/dovecot")
                .arg("-F")
                .arg("-c")
                .arg(path.join("dovecot.conf"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect(MISSING);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(30) && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Dovecot { folder, child, owner, port };
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            // Somebody else took the port before it could.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Puts a letter into the mailbox.
    pub fn gets(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join("mail/new").join(name);
        std::fs::write(&path, bytes).unwrap();
        chown(&path, Some(self.owner.0), Some(self.owner.1)).unwrap();
    }

    /// How many letters are in a folder of the mailbox; the empty name is the inbox.
    pub fn holds(&self, folder: &str) -> usize {
        let path: PathBuf = self.folder.path().join("mail").join(folder);
        let count = |name: &str| std::fs::read_dir(path.join(name)).map_or(0, Iterator::count);
        count("new") + count("cur")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // It ends its own processes when it is asked to; a killed one would leave them.
        let pid = self.child.id().to_string();
        drop(Command::new("kill").arg(&pid).status());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn configuration(folder: &str, port: u16, (user, group): (u32, u32), more: &str) -> String {
    format!(
        "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\n\
         instance_name = chudong-test-{port}\nprotocols = imap\nlisten = 127.0.0.1\n\
         ssl = required\nssl_cert = <{folder}/server.pem\nssl_key = <{folder}/server.key\n\
         auth_mechanisms = plain\nmail_location = maildir:{folder}/mail\n\
         mail_uid = {user}\nmail_gid = {group}\nfirst_valid_uid = 1\n{more}\n\
         passdb {{\n  driver = static\n  args = password=right\n}}\n\
         userdb {{\n  driver = static\n  args = uid={user} gid={group} home={folder}/mail\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = 0\n  }}\n\
         \x20 inet_listener imaps {{\n    port = {port}\n    ssl = yes\n  }}\n}}\n\
         service stats {{\n  unix_listener stats-writer {{\n    mode = 0666\n  }}\n}}\n"
    )
}
