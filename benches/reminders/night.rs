//! A whole night of an agency whose persons all have something due: what `chudong run` does, and nothing beside it.
//!
//! The agency is the sample Bình Minh with its own rules, selects and letters; its persons and their licences are made.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chudong::calendar::AsOf;
use chudong::check;
use chudong::run;
use chudong::world::World;
use jiff::civil::date;

use super::ours::{Done, peak_mb};
use super::{CONNECTIONS, Fallible};

const AGENCY: &str = "binh-minh";
const ITEM: &str = "driving_licence";

/// Pulls, builds, follows, plans, explains, reserves, sends to this port, settles and publishes; says how long that took
/// and how much memory at its peak.
pub fn night(persons: u64, port: u16, folder: &Path) -> Fallible<Done> {
    let root = folder.join("installation");
    install(persons, port, &root)?;
    let state = folder.join("state");
    let as_of = AsOf::new(date(2026, 11, 21));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begun = Instant::now();
    let report = runtime.block_on(async {
        let checked = check::check(&root, AGENCY).await.map_err(|faults| {
            faults.first().map_or_else(|| "the agency cannot be read".to_owned(), |fault| fault.to_string())
        })?;
        let world = World { today: Some(as_of.date()), ..World::new(root.clone(), state.clone()) };
        let accept = [format!("obligations.{ITEM}")];
        Fallible::Ok(run::run(&world, &checked, as_of, &accept).await.map_err(|fault| fault.to_string())?)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    if let Some(fault) = report.faults.first() {
        return Err(fault.what.clone().into());
    }
    let messages = report.items.iter().filter(|line| line.item == ITEM).map(|line| line.messages).sum();
    if messages != persons {
        return Err(format!("{messages} of {persons} messages were sent").into());
    }
    let bytes = std::fs::metadata(state.join("ledger.sqlite"))?.len();
    Ok(Done { messages, seconds, bytes, peak_mb: peak_mb()?, told: String::new() })
}

/// The sample agency, with a mail server on this port and as many persons as asked for.
fn install(persons: u64, port: u16, root: &Path) -> Fallible<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = Path::new("data-samples").join(AGENCY);
    for part in ["pipelines".into(), "sql".into(), data.clone()] {
        copy(&here.join(&part), &root.join(&part))?;
    }
    let path = root.join("pipelines").join(AGENCY).join("pipeline.toml");
    let text = std::fs::read_to_string(&path)?;
    let smtp =
        format!("kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nconnections = {CONNECTIONS}");
    let text = text.replacen("kind = \"folder\"", &smtp, 1);
    // It may be run at any hour.
    std::fs::write(&path, format!("attention = {{ quiet = \"never\", tet = \"open\" }}\n{text}"))?;
    let folder = root.join(data);
    rows(&folder.join("cong_dan.csv"), persons, |number| {
        let (commune, name) = (number % 3 + 1, number);
        format!("{};Nguyễn Văn {name};01/02/1980;9800{commune};vi;nguoi.{name}@example.com;false;false", person(number))
    })?;
    rows(&folder.join("giay_phep_lai_xe.csv"), persons, |number| {
        // Ten years later each is due within a month.
        format!("{number:012};{};C1;{:02}/12/2016", person(number), number % 20 + 1)
    })
}

fn person(number: u64) -> String {
    format!("0980{number:08}")
}

/// Puts made rows in place of those of a file, under its own first line.
fn rows(path: &Path, number: u64, row: impl Fn(u64) -> String) -> Fallible<()> {
    let text = std::fs::read_to_string(path)?;
    let head = text.lines().next().ok_or("the sample has no first line")?;
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{head}")?;
    (0..number).try_for_each(|number| writeln!(file, "{}", row(number)))?;
    Ok(file.flush()?)
}

fn copy(from: &Path, to: &Path) -> Fallible<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, to): (PathBuf, PathBuf) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            std::fs::copy(&path, &to)?;
        }
    }
    Ok(())
}
