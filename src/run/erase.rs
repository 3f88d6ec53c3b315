//! One person leaves the landed tables.
//!
//! What is landed is a copy of what sources hold, and goes. What proves that the
//! agency did its duty stays: the ledger knows the person by a keyed pseudonym,
//! and no name; the explanations sealed beside it go. What this cannot reach is said, so that somebody sees to it.

use super::bounces::{self, cell};
use super::dossiers;
use crate::fault::{Explain, Fault, Place};
use crate::files;
use crate::landing::{self, Store};
use crate::ledger::{Erasure, Ledger, Lock};
use crate::personal::{Personal, hex};
use crate::pipeline::Pipeline;
use crate::pipeline::authorisation::Class;
use crate::tables::TableName;
use crate::world::World;

/// What was taken out, and where something of the person may be left.
#[derive(Debug)]
pub struct Erased {
    /// By table, where there was something.
    pub tables: Vec<Erasure>,
    /// Tables in which the person was looked for.
    pub searched: usize,
    /// Landed tables that could not be searched, and why; a person must look.
    pub unsearched: Vec<(String, &'static str)>,
    /// Explanations stored with messages to the person that were taken out of the ledger.
    pub explanations: usize,
    /// Sealed addresses of messages to the person that were taken out of the ledger.
    pub addresses: usize,
    /// Dossiers of the person, prepared or confirmed, that were taken out of the ledger.
    pub dossiers: usize,
    /// Those of them that the person had confirmed and that had not left: nobody hands them in now.
    pub dossiers_not_left: usize,
    /// By list for the owners of registers: how many rows about the person were taken out.
    pub lists: Vec<(String, usize)>,
    /// Recommendations to the person of which what was weighed was taken out of the ledger.
    pub recommendations: usize,
    /// Messages to the person that the ledger knows of.
    pub messages: usize,
}

/// Takes a person out of every landed generation of an agency, and writes it down.
///
/// The ledger has the beginning before anything is rewritten, and one entry for
/// each table after it. Done again, it finds what is left and does nothing twice.
pub fn erase(world: &World, pipeline: &Pipeline, subject: &Personal<String>, account: &str) -> Result<Erased, Fault> {
    // Who has no state folder has nothing to erase, and gets none from here.
    Ledger::read(&world.state).map_err(|error| error.fault())?;
    let _lock = Lock::take(&world.state).map_err(|error| error.fault())?;
    drop(super::refuse_broken(world)?);
    let key = world.pseudonym_key().map_err(|error| error.fault())?;
    let mut ledger = Ledger::open(&world.state, &pipeline.id).map_err(|error| error.fault())?;
    let tables = searched(pipeline);
    let names: Vec<String> = tables.iter().map(|(name, _)| name.to_string()).collect();
    let pseudonym = key.pseudonym(subject);
    ledger.erasing(&pseudonym, account, &names).map_err(|error| error.fault())?;
    world.progress.step(format!("looking through {} tables", tables.len()));
    let store = Store::Folder(world.landing());
    let mut erasures = Vec::new();
    for table in &tables {
        // Each table is written down when it is done: a later one may fail.
        let erased = landing::erase(&store, std::slice::from_ref(table), subject).map_err(|error| error.fault())?;
        let erased: Vec<Erasure> = erased.into_iter().map(erasure).collect();
        ledger.erased(&pseudonym, account, &erased).map_err(|error| error.fault())?;
        erasures.extend(erased);
    }
    let explanations = ledger.erase_explanations(&pseudonym, account).map_err(|error| error.fault())?;
    let addresses = ledger.erase_addresses(&pseudonym, account).map_err(|error| error.fault())?;
    // What the portal wrote about the person's dossiers; the entry says of how many.
    ledger.erase_submissions(&pseudonym, account).map_err(|error| error.fault())?;
    let waiting = ledger.waiting_dossiers().map_err(|error| error.fault())?;
    let dossiers_not_left = waiting.iter().filter(|one| one.subject == pseudonym && !one.is_printed).count();
    let dossiers = ledger.erase_dossiers(&pseudonym, account).map_err(|error| error.fault())?;
    let recommendations = ledger.erase_recommendations(&pseudonym, account).map_err(|error| error.fault())?;
    ledger.anchor().map_err(|error| error.fault())?;
    let lists = struck_from_lists(world, subject)?;
    world.progress.done();
    Ok(Erased {
        tables: erasures,
        searched: tables.len(),
        explanations,
        addresses,
        dossiers,
        dossiers_not_left,
        lists,
        recommendations,
        unsearched: unsearched(world, pipeline, &names),
        messages: ledger.messages_to(&pseudonym).map_err(|error| error.fault())?,
    })
}

/// Takes the rows of a person out of the lists for the owners of registers, and says from which, how many. A list without
/// any other row goes.
fn struck_from_lists(world: &World, subject: &Personal<String>) -> Result<Vec<(String, usize)>, Fault> {
    let first = format!("{},", cell(subject.reveal()));
    let mut struck = Vec::new();
    for folder in [dossiers::LISTS, bounces::LISTS] {
        let Ok(listing) = std::fs::read_dir(world.state.join(folder)) else { continue };
        for path in listing.flatten().map(|entry| entry.path()) {
            let failed = |error: std::io::Error| {
                let next = "let the service's account read and write it, and erase once more; or delete the list";
                Fault::new("erase.list", Place::file(&path), format!("the list cannot be rewritten: {error}"), next)
            };
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            let rows = dossiers::rows(&text);
            let left: Vec<&str> = rows.iter().copied().filter(|row| !row.starts_with(&first)).collect();
            let count = rows.len().saturating_sub(left.len());
            if count == 0 {
                continue;
            }
            match left.len() {
                0 | 1 => std::fs::remove_file(&path).map_err(failed)?,
                _ => files::replace(&path, left.concat().as_bytes()).map_err(failed)?,
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            struck.push((format!("{folder}/{name}"), count));
        }
    }
    struck.sort();
    Ok(struck)
}

/// The tables that say in which columns a person's number is.
fn searched(pipeline: &Pipeline) -> Vec<(TableName, Vec<String>)> {
    let mut searched = Vec::new();
    for source in &pipeline.sources {
        for table in &source.tables {
            let columns = table.columns.iter().filter(|column| column.is_subject);
            let columns: Vec<String> = columns.map(|column| column.name.clone()).collect();
            if !columns.is_empty() {
                searched.push((TableName::new(&source.name, &table.name), columns));
            }
        }
    }
    searched
}

/// What lies in the landing folder and was not searched, unless it holds nothing of persons.
fn unsearched(world: &World, pipeline: &Pipeline, searched: &[String]) -> Vec<(String, &'static str)> {
    let Ok(listing) = std::fs::read_dir(world.landing()) else { return Vec::new() };
    let folders = listing.flatten().filter(|entry| entry.path().is_dir());
    let names: std::collections::BTreeSet<String> = folders
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let mut left = Vec::new();
    for name in names.into_iter().filter(|name| !searched.contains(name)) {
        let declared = name
            .split_once('.')
            .and_then(|(source, table)| pipeline.source(source)?.tables.iter().find(|declared| declared.name == table));
        match declared {
            None => left.push((name, "it is no longer in the pipeline; remove its folder if nobody needs it")),
            Some(table) if table.columns.iter().any(|column| column.class != Class::Public) => {
                left.push((name, "no column of it is marked subject = true; see whether one tells who a row is about"));
            }
            Some(_) => {}
        }
    }
    left
}

fn erasure(erased: landing::Erased) -> Erasure {
    let digests = erased.generations.iter().map(|(before, after)| (hex(before), hex(after)));
    Erasure { table: erased.table.to_string(), generations: digests.collect(), rows: erased.rows }
}
