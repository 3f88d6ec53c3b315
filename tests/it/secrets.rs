//! A secret is had where it is needed, and is nowhere else: not in what is said, logged or kept, and in no core dump.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chudong::fault::Explain;
use chudong::pipeline::secret::SecretRef;

use crate::support::postgres::Server;
use crate::support::world::{World, tree};

/// What is searched for.
const SECRET: &str = "open-sesame-7f3a91";

fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn code_of(path: PathBuf) -> &'static str {
    let error = SecretRef::File(path).resolve().unwrap_err();
    let fault = error.fault();
    assert!(!fault.to_string().contains(SECRET) && !format!("{error:?}").contains(SECRET), "{fault}");
    fault.code
}

#[test]
fn a_secret_file_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, mode| file(folder.path(), name, format!("{SECRET}\n"), mode);
    for mode in [0o600, 0o400, 0o700] {
        let secret = SecretRef::File(at(&format!("own-{mode:o}"), mode)).resolve().unwrap();
        assert_eq!(secret.reveal(), SECRET);
        assert_eq!(format!("{secret:?}"), "[secret]");
    }
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o666] {
        assert_eq!(code_of(at(&format!("open-{mode:o}"), mode)), "secret.readable-by-others");
    }
}

#[test]
fn what_is_judged_is_what_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let open = file(folder.path(), "open", SECRET, 0o644);
    let own = file(folder.path(), "own", SECRET, 0o600);
    // A link has a mode of its own that says nothing: the file behind it counts, also behind a linked folder.
    symlink(&open, folder.path().join("link")).unwrap();
    assert_eq!(code_of(folder.path().join("link")), "secret.readable-by-others");
    symlink(folder.path(), folder.path().join("folder")).unwrap();
    assert_eq!(code_of(folder.path().join("folder/open")), "secret.readable-by-others");
    symlink(&own, folder.path().join("good")).unwrap();
    assert_eq!(SecretRef::File(folder.path().join("good")).resolve().unwrap().reveal(), SECRET);
    // While the name is exchanged all the time, a file that others read is never taken.
    let name = folder.path().join("changing");
    symlink(&own, &name).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let theirs = file(folder.path(), "theirs", "what others wrote", 0o666);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..50_000 {
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let aside = folder.path().join("aside");
                symlink(if turn % 2 == 0 { &theirs } else { &own }, &aside).unwrap();
                std::fs::rename(&aside, &name).unwrap();
            }
        });
        for _ in 0..2_000 {
            match SecretRef::File(name.clone()).resolve() {
                Ok(secret) => assert_eq!(secret.reveal(), SECRET),
                Err(error) => assert_eq!(error.code(), "secret.readable-by-others"),
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn what_holds_no_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &[u8]| code_of(file(folder.path(), name, text, 0o600));
    assert_eq!(at("empty", b""), "secret.not-one");
    assert_eq!(at("line", b"\r\n"), "secret.not-one");
    assert_eq!(at("zero", b"a\0b"), "secret.not-one");
    assert_eq!(at("latin", b"m\xe1t"), "secret.not-one");
    assert_eq!(at("long", &vec![b'a'; 20_000]), "secret.not-one");
    assert_eq!(code_of(folder.path().to_path_buf()), "secret.not-one");
    assert_eq!(code_of(folder.path().join("nothing")), "secret.unreadable");
    // A pipe that nobody writes does not make the night wait for ever.
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg("-m").arg("600").arg(&pipe).status().unwrap().success());
    assert_eq!(code_of(pipe), "secret.not-one");
}

#[test]
fn a_file_of_another_account_is_refused() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Only root can give a file away; the continuous build runs as root.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "given", SECRET, 0o600);
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    assert_eq!(code_of(path), "secret.foreign");
}

// ---- nowhere else -----------------------------------------------------------------

/// A source of this kind with one table; the agency of the awkward files reads it.
fn world_with(kind: &str) -> World {
    let world = World::of("awkward");
    for agency in ["an-binh", "binh-minh"] {
        std::fs::remove_dir_all(world.root().join("pipelines").join(agency)).unwrap();
    }
    let awkward = |file: &str| std::fs::read_to_string(crate::root().join("data-samples/awkward").join(file)).unwrap();
    // A server gives what it holds today, whichever day that is.
    let sound = awkward("pipelines/sound.toml").replace("to = 2027-06-30", "to = 2099-12-31");
    assert!(sound.contains("kind = \"csv\"\npath = \"register\"\n"));
    let pipeline = sound.replace("kind = \"csv\"\npath = \"register\"\n", kind);
    world.put("pipelines/awkward/pipeline.toml", pipeline.as_bytes());
    world.put("sql/staging/awkward/people.sql", awkward("sql/sound_people.sql").as_bytes());
    world.put("sql/staging/awkward/temporary_residences.sql", awkward("sql/sound_stays.sql").as_bytes());
    world
}

/// Runs a night that cannot connect, at the most talkative, and looks everywhere.
fn night_with_the_secret(world: &World) -> String {
    let mut command = world.command(&["run", "--as-of", "2026-11-21", "--format", "json"]);
    command.env("CHUDONG_LOG", "trace").env("RUST_BACKTRACE", "full").env("A_SECRET", SECRET);
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(!out.contains(SECRET) && !err.contains(SECRET), "the secret is said");
    for (name, bytes) in tree(&world.state()) {
        let bytes = bytes.unwrap_or_default();
        let is_in = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!is_in, "the secret is in {}", name.display());
    }
    // That the pull failed is written down, and why.
    let failed = world.entries("pull.failed");
    assert_eq!(failed.len(), 2, "{out}");
    assert!(!failed.iter().any(|entry| entry.body.contains(SECRET)));
    world.ledger_is_sound();
    out
}

#[test]
fn no_source_that_refuses_us_makes_the_secret_known() {
    let server = "host = \"127.0.0.1\"\nport = 1\ndatabase = \"register\"\nuser = \"reader\"";
    let kinds = [
        format!("kind = \"postgres\"\n{server}\npassword = {{ env = \"A_SECRET\" }}\n"),
        format!("kind = \"mysql\"\n{server}\npassword = {{ env = \"A_SECRET\" }}\n"),
        "kind = \"odbc\"\nconnection = \"Driver={No Such Driver};Server=127.0.0.1;UID=reader\"\npassword = { env = \"A_SECRET\" }\n".into(),
        "kind = \"s3\"\nendpoint = \"http://127.0.0.1:1\"\nbucket = \"b\"\naccess_key = { env = \"A_SECRET\" }\nsecret_key = { env = \"A_SECRET\" }\n".into(),
    ];
    for kind in kinds {
        night_with_the_secret(&world_with(&kind));
    }
}

#[test]
fn a_wrong_password_is_refused_by_a_real_server_and_stays_unknown() {
    let server = Server::start();
    server.run("create role reader login password 'another-one'");
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "password", SECRET, 0o600);
    let kind = format!(
        "kind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"agency\"\nuser = \"reader\"\npassword = {{ file = \"{}\" }}\n",
        server.port,
        path.display()
    );
    let world = world_with(&kind);
    let out = night_with_the_secret(&world);
    assert!(out.contains("password authentication failed"), "{out}");
    // One that others may read is not sent at all.
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let ended = world.chudong(&["plan", "--as-of", "2026-11-21"]).with(1);
    assert!(ended.out.contains("secret.readable-by-others"), "{}", ended.out);
}

// ---- no core dump -----------------------------------------------------------------

#[test]
fn a_process_that_is_brought_down_leaves_no_core() {
    let world = World::of("binh-minh");
    let here = tempfile::tempdir().unwrap();
    let binary = world.command(&["schedule"]);
    // A shell that allows dumps of any size first, so that it is the process that refuses them.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("ulimit -c unlimited; exec \"$0\" \"$@\"").arg(binary.get_program()).args(binary.get_args());
    shell.current_dir(here.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = shell.spawn().unwrap();
    let limits = PathBuf::from(format!("/proc/{}/limits", child.id()));
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(&limits).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        // Neither the limit in force nor the one to which it could be raised again.
        if line.split_whitespace().skip(4).take(2).eq(["0", "0"]) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{line}");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Rust's own handler lets the first signal that stands for no fault of memory pass: the next one kills.
    let status = loop {
        Command::new("kill").args(["-SEGV", &child.id().to_string()]).stderr(Stdio::null()).status().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
        }
    };
    assert_eq!(status.signal(), Some(11), "{status}");
    assert!(!status.core_dumped(), "{status}");
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0, "something was left behind");
}
