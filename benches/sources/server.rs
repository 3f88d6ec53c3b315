//! A PostgreSQL server of our own on a free port of 127.0.0.1, with the register
//! in it; its data stay where they are for the next run.
//!
//! PostgreSQL refuses to run as root; then it runs as `postgres` or `nobody`.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::contest::Measured;
use super::data::{COLUMNS, Data};
use super::ours::{BY_DATE, SourceText, cpu_seconds};
use super::{Fallible, say};

const MISSING: &str = "no PostgreSQL server was found (initdb, postgres and psql, on PATH or under \
                       /usr/lib/postgresql): run ./test.sh --install";

/// A running server. Its superuser is `owner`, over a Unix socket that nobody else reaches; the contenders
/// connect over loopback as `reader`, who may only read.
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    socket: TempDir,
    child: Child,
    port: u16,
    password: String,
    buffers_mb: u64,
}

impl Server {
    /// Starts the server, and fills it if that was not done before.
    pub fn start(bench: &Path, data: &Data) -> Fallible<Self> {
        let programs = programs().ok_or(MISSING)?;
        let account = Account::for_server()?;
        let folder = bench.join(format!("postgres-{}", data.rows));
        let password = password(&folder)?;
        let is_new = !folder.join("filled").exists();
        if is_new {
            say("making a PostgreSQL server")?;
            if folder.join("data").exists() {
                std::fs::remove_dir_all(folder.join("data"))?;
            }
            std::fs::create_dir(folder.join("data"))?;
            account.give(&folder.join("data"))?;
            let mut initdb = account.command(&programs.join("initdb"));
            initdb.args(["--username=owner", "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8"]);
            initdb.args(["--locale=C", "--no-instructions", "--pgdata"]).arg(folder.join("data"));
            succeed(initdb.stdout(Stdio::null()), "initdb")?;
        }
        // A benchmark that was killed leaves its server behind.
        if folder.join("data/postmaster.pid").exists() {
            let mut stop = account.command(&programs.join("pg_ctl"));
            stop.args(["stop", "--silent", "--mode=fast", "--pgdata"]).arg(folder.join("data"));
            drop(stop.stderr(Stdio::null()).status());
        }
        let socket = tempfile::Builder::new().prefix("chudong-bench-").tempdir_in("/tmp")?;
        account.give(socket.path())?;
        // The register takes about 100 bytes a row, and so does its twin for the increment.
        let buffers_mb = (data.rows * 300 / 1_000_000).max(128);
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut postgres = account.command(&programs.join("postgres"));
        postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(socket.path()).args(["-p", &port.to_string()]);
        postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("shared_buffers={buffers_mb}MB")]);
        let log = std::fs::File::create(folder.join("log"))?;
        let child = postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut server = Server { programs, folder, socket, child, port, password, buffers_mb };
        server.wait()?;
        if is_new {
            server.fill(data)?;
        }
        let found: u64 = server.ask("select count(*) from persons")?.parse()?;
        if found != data.rows {
            let folder = server.folder.display();
            return Err(format!("the server has {found} rows, not {}: remove {folder}", data.rows).into());
        }
        Ok(server)
    }

    /// What is not as PostgreSQL has it by default.
    pub fn settings(&self, table: &str) -> Fallible<String> {
        let version = self.ask("show server_version")?;
        let version = version.split_whitespace().next().unwrap_or_default();
        let table_mb = self.ask(&format!("select pg_table_size('{table}') / 1000000"))?;
        let buffers_mb = self.buffers_mb;
        Ok(format!(
            "PostgreSQL {version} on loopback, default settings, shared_buffers {buffers_mb} MB, table {table_mb} MB"
        ))
    }

    /// As whom and where the contenders connect.
    pub fn url(&self) -> String {
        format!("postgresql://reader:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// The same for ours; `more` are further lines of the table.
    pub fn source(&self, table: &str, readers: u8, more: &str) -> SourceText {
        SourceText {
            place: format!(
                "kind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"postgres\"\nuser = \"reader\"\n\
                 password = {{ file = \"{}\" }}\nreaders = {readers}\n",
                self.port,
                self.folder.join("reader.secret").display()
            ),
            table: format!("from = \"{table}\"\n{BY_DATE}{more}"),
        }
    }

    /// Brings a table into the server's memory.
    pub fn warm(&self, table: &str) -> Fallible<()> {
        // Without the extension, one reading leaves the table in the system's memory at least.
        if self.run(&format!("create extension if not exists pg_prewarm; select pg_prewarm('{table}')")).is_err() {
            say("there is no pg_prewarm: the table is in the system's memory, not in the server's")?;
        }
        self.run(&format!("select count(*) from {table}"))
    }

    /// Adds what the server itself worked meanwhile.
    pub fn watched(&self, run: impl FnOnce() -> Fallible<Measured>) -> Fallible<Measured> {
        let process = self.child.id().to_string();
        let before = cpu_seconds(&process)?.1;
        let mut measured = run()?;
        // Its processes end a moment after those that they served.
        std::thread::sleep(Duration::from_millis(100));
        measured.server_cpu_seconds = Some(cpu_seconds(&process)?.1 - before);
        Ok(measured)
    }

    /// What must be done at the very least: so many `psql` copy the table at once and throw it away.
    pub fn copy_to_nowhere(&self, connections: u64, rows: u64) -> Fallible<Measured> {
        let pages: u64 =
            self.ask("select pg_relation_size('persons') / current_setting('block_size')::int")?.parse()?;
        let (begun, cpu) = (Instant::now(), cpu_seconds("self")?.1);
        let mut running = Vec::new();
        for part in 0..connections {
            let (from, to) = (pages * part / connections, pages * (part + 1) / connections);
            let range = match connections {
                1 => String::new(),
                // No upper bound for the last: nothing may be left out.
                _ if part + 1 == connections => format!(" where ctid >= '({from},0)'::tid"),
                _ => format!(" where ctid >= '({from},0)'::tid and ctid < '({to},0)'::tid"),
            };
            let sql = format!("copy (select * from persons{range}) to stdout (format binary)");
            let mut psql = self.psql_of_reader();
            psql.args(["-c", &sql]);
            running.push(psql.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
        }
        let mut failed = false;
        for mut psql in running {
            failed |= !psql.wait()?.success();
        }
        if failed {
            return Err("psql failed".into());
        }
        let (wall_seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu_seconds("self")?.1 - cpu);
        Ok(Measured { wall_seconds, cpu_seconds, server_cpu_seconds: None, peak_mb: None, rows })
    }

    /// What a night of changes cannot do without: one `psql` that connects, copies the changed rows by the index on
    /// their cursor, and throws them away.
    pub fn copy_changed_to_nowhere(&self) -> Fallible<Measured> {
        // Behind the changes of the night before, and before the first of this one.
        let first = self.ask("select max(changed_at) - interval '22 hours 30 minutes' from register")?;
        let changed = format!("changed_at >= timestamptz '{first}'");
        let rows = self.ask(&format!("select count(*) from register where {changed}"))?.parse()?;
        let (begun, cpu) = (Instant::now(), cpu_seconds("self")?.1);
        let sql = format!("copy (select * from register where {changed}) to stdout (format binary)");
        let mut psql = self.psql_of_reader();
        succeed(psql.args(["-c", &sql]).stdin(Stdio::null()).stdout(Stdio::null()), "psql")?;
        let (wall_seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu_seconds("self")?.1 - cpu);
        Ok(Measured { wall_seconds, cpu_seconds, server_cpu_seconds: None, peak_mb: None, rows })
    }

    /// As the contenders connect.
    fn psql_of_reader(&self) -> Command {
        // Not through the account's `env`: psql runs as we do, as the other contenders.
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "reader", "-d", "postgres"]);
        psql.env("PGPASSWORD", &self.password);
        psql
    }

    /// The register with the moment of each row's last change, and an index on it.
    pub fn make_register(&self) -> Fallible<()> {
        if self.ask("select to_regclass('register') is not null")? == "t" {
            return Ok(());
        }
        say("making the register with a cursor")?;
        self.run(
            "begin; \
             create table register as select *, timestamptz '2025-01-01 00:00+07' + person_id * interval '1 second' \
             as changed_at from persons; \
             alter table register add primary key (person_id); \
             create index on register (changed_at); \
             grant select on register to reader; \
             commit; \
             vacuum analyze register",
        )
    }

    /// Changes one row of a thousand, all over the table, as a day does: spread over the 22 hours that begin an hour
    /// after the last change.
    pub fn change_one_of_a_thousand(&self, round: u32) -> Fallible<()> {
        self.run(&format!(
            "update register set phone = '08' || substr(phone, 3), \
             changed_at = (select max(changed_at) + interval '1 hour' from register) \
             + (person_id / 1000) * (interval '22 hours' / (select count(*) / 1000 from register)) \
             where person_id % 1000 = {}",
            round % 1000
        ))?;
        // Hours before the night the server has written down what the day changed: without this it still does while we
        // are measured.
        self.run("vacuum analyze register; checkpoint")
    }

    fn fill(&self, data: &Data) -> Fallible<()> {
        let csv = data.csv()?;
        say(&format!("loading {} rows into PostgreSQL", data.rows))?;
        self.run(&format!("create table persons ({COLUMNS})"))?;
        let mut copy = self.psql();
        copy.args(["-c", "copy persons from stdin (format csv, header)"]);
        succeed(copy.stdin(std::fs::File::open(csv)?).stdout(Stdio::null()), "copy")?;
        self.run("alter table persons add primary key (person_id)")?;
        self.run("vacuum analyze persons")?;
        self.run(&format!("create role reader login password '{}'", self.password))?;
        self.run("grant select on persons to reader; checkpoint")?;
        std::fs::write(self.folder.join("filled"), "")?;
        Ok(())
    }

    /// Statements with `; ` between them, each by itself in one session: `vacuum` may not stand in a transaction.
    fn run(&self, sql: &str) -> Fallible<()> {
        let mut psql = self.psql();
        for statement in sql.split("; ") {
            psql.args(["-c", statement]);
        }
        succeed(psql.stdin(Stdio::null()).stdout(Stdio::null()), "psql")
    }

    fn ask(&self, sql: &str) -> Fallible<String> {
        let done = self.psql().args(["-A", "-t", "-c", sql]).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !done.status.success() {
            return Err("psql failed".into());
        }
        Ok(String::from_utf8(done.stdout)?.trim().to_owned())
    }

    /// As the superuser.
    fn psql(&self) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "owner", "-d", "postgres", "-p", &self.port.to_string()]);
        psql.arg("-h").arg(self.socket.path()).env("PGOPTIONS", "-c client_min_messages=warning");
        psql
    }

    fn wait(&mut self) -> Fallible<()> {
        let begun = Instant::now();
        loop {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            ready.arg("-q").arg("-h").arg(self.socket.path()).args(["-p", &self.port.to_string()]);
            if ready.status()?.success() {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() || begun.elapsed() > Duration::from_secs(120) {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("PostgreSQL did not start:\n{log}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: it writes what it holds, so that the next start is quick.
        let stopped = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        if !stopped.is_ok_and(|status| status.success()) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// The password of `reader`, made once, in a file of mode 0600.
fn password(folder: &Path) -> Fallible<String> {
    std::fs::create_dir_all(folder)?;
    // The server's account must be able to enter, and only to enter.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?;
    let path = folder.join("reader.secret");
    if !path.exists() {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
    }
    Ok(std::fs::read_to_string(path)?)
}

fn succeed(program: &mut Command, name: &str) -> Fallible<()> {
    let status = program.status()?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}").into()) }
}

/// The folder that holds the server's programs.
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
    let needed = ["initdb", "postgres", "psql", "pg_ctl", "pg_isready"];
    folders.into_iter().find(|folder| needed.iter().all(|program| folder.join(program).exists()))
}

/// As whom the server runs.
struct Account(Option<(u32, u32)>);

impl Account {
    fn for_server() -> Fallible<Self> {
        // Our own account, unless it is root; the folder /proc/self belongs to whoever we are.
        if std::fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(Account(None));
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        let ids = |name: &str| {
            let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        let ids = ids("postgres").or_else(|| ids("nobody"));
        Ok(Account(Some(ids.ok_or("there is no account postgres or nobody for the server")?)))
    }

    fn give(&self, folder: &Path) -> Fallible<()> {
        if let Account(Some((uid, gid))) = self {
            chown(folder, Some(*uid), Some(*gid))?;
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        if let Account(Some((uid, gid))) = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }
}
