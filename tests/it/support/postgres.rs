//! A real PostgreSQL server of the test's own: in a temporary folder, on a Unix
//! socket and a free port of 127.0.0.1, stopped when it is dropped.
//!
//! PostgreSQL refuses to run as root; then it runs as `postgres` or `nobody`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chudong::pipeline::SourceKind;
use chudong::pipeline::secret::SecretRef;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

const MISSING: &str = "no PostgreSQL server was found (initdb and postgres, on PATH or under /usr/lib/postgresql): \
                       run the project's test script, which installs it";

/// A running server. The superuser is `owner`, and anybody on this machine may connect as it over the socket.
pub struct Server {
    folder: TempDir,
    child: Child,
    runtime: tokio::runtime::Runtime,
    /// Its port, on 127.0.0.1 and in the name of the socket.
    pub port: u16,
}

impl Server {
    /// Starts a server with an empty database `agency`. It takes about a second.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server that offers TLS, with the certificate of 127.0.0.1 in `tests/it/tls`.
    pub fn start_with_tls() -> Self {
        Self::start_with(&["-c", "ssl=on", "-c", "ssl_cert_file=server.pem", "-c", "ssl_key_file=server.key"])
    }

    fn start_with(settings: &[&str]) -> Self {
        let programs = programs().expect(MISSING);
        let folder = tempfile::Builder::new().prefix("chudong-pg-").tempdir_in("/tmp").unwrap();
        let account = Account::for_server();
        account.give(folder.path());
        let data = folder.path().join("data");
        let mut initdb = account.command(&programs.join("initdb"));
        initdb.args(["--username=owner", "--auth-local=trust", "--auth-host=scram-sha-256"]);
        // Durability is not what these tests are about: without it a server starts in half the time.
        initdb.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", "--pgdata"]).arg(&data);
        let made = initdb.stdin(Stdio::null()).output().unwrap();
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        for name in ["server.pem", "server.key"] {
            let copy = data.join(name);
            std::fs::copy(crate::root().join("tests/it/tls").join(name), &copy).unwrap();
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600)).unwrap();
            account.give(&copy);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (port, child) = serve(&account, &programs.join("postgres"), folder.path(), settings);
        let mut server = Server { folder, child, runtime, port };
        // Another process may have taken the port before the server could: then it ends at once, and tries another.
        while !server.answers() {
            (server.port, server.child) = serve(&account, &programs.join("postgres"), server.folder.path(), settings);
        }
        server.run_in("postgres", "create database agency");
        server
    }

    /// Runs SQL as the superuser in the database `agency`.
    pub fn run(&self, sql: &str) {
        self.run_in("agency", sql);
    }

    /// The first column of every row, as text.
    pub fn texts(&self, sql: &str) -> Vec<Option<String>> {
        let rows = self.runtime.block_on(async { self.client("agency").await.unwrap().query(sql, &[]).await.unwrap() });
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Stops it at once, as a power failure does for those who are connected.
    pub fn stop_at_once(&self) {
        signal("QUIT", i64::from(self.child.id()));
    }

    /// The first column of the first row, as a number.
    pub fn number(&self, sql: &str) -> i64 {
        self.runtime.block_on(async { self.client("agency").await.unwrap().query_one(sql, &[]).await.unwrap().get(0) })
    }

    /// The source as a pipeline would name it, over the Unix socket.
    pub fn over_socket(&self, user: &str) -> SourceKind {
        SourceKind::Postgres(chudong::pipeline::Server {
            host: self.folder.path().display().to_string(),
            port: self.port,
            database: "agency".into(),
            user: user.into(),
            password: None,
            authority: None,
            readers: 4,
            silence_seconds: 60,
        })
    }

    /// The source over 127.0.0.1, with a password in a file of mode 0600.
    pub fn over_loopback(&self, user: &str, password: &str) -> SourceKind {
        let file = self.folder.path().join(format!("{user}.secret"));
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        SourceKind::Postgres(chudong::pipeline::Server {
            host: "127.0.0.1".into(),
            port: self.port,
            database: "agency".into(),
            user: user.into(),
            password: Some(SecretRef::File(file)),
            authority: None,
            readers: 4,
            silence_seconds: 60,
        })
    }

    fn run_in(&self, database: &str, sql: &str) {
        self.runtime.block_on(async { self.client(database).await.unwrap().batch_execute(sql).await.unwrap() });
    }

    async fn client(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(self.port).user("owner").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Waits until the server answers; no when it has ended because its port was taken.
    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while let Err(error) = self.runtime.block_on(self.client("postgres")) {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if self.child.try_wait().unwrap().is_some() {
                assert!(log.contains("Address already in use"), "the server ended: {log}");
                return false;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the server did not start: {error}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// Starts the server on a port that is free at this moment.
fn serve(account: &Account, program: &Path, folder: &Path, settings: &[&str]) -> (u16, Child) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut postgres = account.command(program);
    postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-p", &port.to_string()]);
    postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB"]).args(settings);
    let log = std::fs::File::create(folder.join("log")).unwrap();
    (port, postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGQUIT is PostgreSQL's immediate shutdown: it stops its own children, which SIGKILL would leave.
        let stopped = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        if !stopped.is_ok_and(|status| status.success()) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// Sends a signal to a process of the server.
pub fn signal(name: &str, process: i64) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.unwrap().success(), "the process {process} could not be signalled");
}

/// The folder that holds `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(said) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
    }
    folders.push("/usr/local/bin".into());
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// As whom the server runs.
struct Account(Option<(u32, u32)>);

impl Account {
    fn for_server() -> Self {
        // Our own account, unless it is root; the folder /proc/self belongs to whoever we are.
        use std::os::unix::fs::MetadataExt;
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Account(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
        let ids = |name: &str| {
            let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        Account(Some(ids("postgres").or_else(|| ids("nobody")).expect("an account postgres or nobody for the server")))
    }

    fn give(&self, folder: &Path) {
        if let Account(Some((uid, gid))) = self {
            chown(folder, Some(*uid), Some(*gid)).unwrap();
        }
    }

    fn command(&self, program: &Path) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        if let Account(Some((uid, gid))) = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }
}
