//! A real MariaDB server of the test's own: in a temporary folder, on its own
//! socket and a free port of 127.0.0.1, stopped when it is dropped.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chudong::pipeline::SourceKind;
use chudong::pipeline::secret::SecretRef;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use tempfile::TempDir;

const MISSING: &str = "no MariaDB server was found (mariadbd, on PATH or in /usr/sbin): \
                       run the project's test script, which installs it";

/// Durability is not what these tests are about: without it a server is ready in a second.
const QUICK: [&str; 9] = [
    "--innodb-log-file-size=4M",
    "--innodb-buffer-pool-size=16M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
    "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
    "--debug-no-sync",
    "--skip-log-bin",
];

/// A running server with an empty database `agency`. `root` may do everything over the socket, without a password.
pub struct Server {
    folder: TempDir,
    child: Child,
    runtime: tokio::runtime::Runtime,
    /// Its port, on 127.0.0.1.
    pub port: u16,
}

impl Server {
    /// Starts a server. It takes about a second.
    pub fn start() -> Self {
        Server::start_with(|_| Vec::new())
    }

    /// Starts a server with more options; its folder is given, for files that they name.
    pub fn start_with(options: impl Fn(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("chudong-my-").tempdir_in("/tmp").unwrap();
        let program = program().expect(MISSING);
        bootstrap(&program, folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = options(folder.path());
        let (port, child) = serve(&program, folder.path(), &options);
        let mut server = Server { folder, child, runtime, port };
        // Another process may have taken the port before the server could: then it ends at once, and tries another.
        while !server.answers() {
            (server.port, server.child) = serve(&program, server.folder.path(), &options);
        }
        server
    }

    /// Runs statements as `root` in the database `agency`.
    pub fn run(&self, sql: &str) {
        self.runtime.block_on(async { self.client().await.unwrap().query_drop(sql).await.unwrap() });
    }

    /// The first column of the first row, as a number.
    pub fn number(&self, sql: &str) -> i64 {
        self.runtime.block_on(async {
            let row: Option<Row> = self.client().await.unwrap().query_first(sql).await.unwrap();
            row.unwrap().get(0).unwrap()
        })
    }

    /// The source as a pipeline would name it, over the Unix socket.
    pub fn over_socket(&self, user: &str) -> SourceKind {
        let host = self.socket().display().to_string();
        SourceKind::Mysql(chudong::pipeline::Server { host, ..self.server(user, None) })
    }

    /// The source over 127.0.0.1, with a password in a file of mode 0600.
    pub fn over_loopback(&self, user: &str, password: &str) -> SourceKind {
        SourceKind::Mysql(self.server(user, Some(password)))
    }

    /// The server over 127.0.0.1.
    pub fn server(&self, user: &str, password: Option<&str>) -> chudong::pipeline::Server {
        use std::os::unix::fs::PermissionsExt;
        let password = password.map(|password| {
            let file = self.folder.path().join(format!("{user}.secret"));
            std::fs::write(&file, password).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            SecretRef::File(file)
        });
        chudong::pipeline::Server {
            host: "127.0.0.1".into(),
            port: self.port,
            database: "agency".into(),
            user: user.into(),
            password,
            authority: None,
            readers: 4,
            silence_seconds: 60,
        }
    }

    /// Ends the server at once, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// The folder of its data, its socket and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    async fn client(&self) -> Result<Conn, mysql_async::Error> {
        let opts = OptsBuilder::default().socket(Some(self.socket().display().to_string())).user(Some("root"));
        Conn::new(opts.db_name(Some("agency"))).await
    }

    /// Waits until the server answers; no when it has ended because its port was taken.
    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while let Err(error) = self.runtime.block_on(self.client()) {
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

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Makes the system tables, as `mariadb-install-db` does; that script needs the client's package as well.
fn bootstrap(program: &Path, folder: &Path) {
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    let log = std::fs::File::create(folder.join("bootstrap.log")).unwrap();
    let mut server = command(program, folder);
    server.arg("--bootstrap").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
    let mut child = server.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A user of the system who is root there needs no password here.
    input.write_all(b"create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n").unwrap();
    for name in ["mysql_system_tables.sql", "mysql_system_tables_data.sql"] {
        let folders = ["/usr/share/mysql", "/usr/share/mariadb", "/usr/local/share/mysql"];
        let sql = folders.iter().find_map(|folder| std::fs::read(Path::new(folder).join(name)).ok()).expect(MISSING);
        input.write_all(&sql).unwrap();
    }
    input.write_all(b"create database agency character set utf8mb4;\n").unwrap();
    drop(input);
    let said = || std::fs::read_to_string(folder.join("bootstrap.log")).unwrap();
    assert!(child.wait().unwrap().success(), "{}", said());
}

/// Starts the server on a port that is free at this moment.
fn serve(program: &Path, folder: &Path, options: &[String]) -> (u16, Child) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut server = command(program, folder);
    server.arg(format!("--socket={}", folder.join("socket").display())).arg(format!("--port={port}"));
    server.arg("--bind-address=127.0.0.1").arg(format!("--pid-file={}", folder.join("pid").display())).args(options);
    (port, server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

fn command(program: &Path, folder: &Path) -> Command {
    use std::os::unix::fs::MetadataExt;
    let mut server = Command::new(program);
    server.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").arg("--no-defaults");
    server.arg(format!("--datadir={}", folder.join("data").display())).args(QUICK);
    // Two servers in one folder would take each other's temporary tables.
    server.arg(format!("--tmpdir={}", folder.display()));
    // As root it runs only when it is told to; the folder /proc/self belongs to whoever we are.
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        server.arg("--user=root");
    }
    server
}

fn program() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join("mariadbd")).find(|program| program.exists())
}
