//! What a clerk does with confirmed dossiers by hand, while no run is at work: hand them in, write them on paper, withdraw
//! them.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::{Heard, Left, follow, opened, submit_confirmed};
use crate::check::Checked;
use crate::dossiers::{Basis, Reader};
use crate::fault::{Explain, Fault, Place};
use crate::files;
use crate::ledger::{Ledger, Lock, WaitingDossier, Withdrawal};
use crate::paper;
use crate::personal::{SealingKey, sha256};
use crate::pipeline::Pipeline;
use crate::pipeline::publication::Submission as Terms;
use crate::submission::Patience;
use crate::world::World;

/// Asks the portal how dossiers stand, and hands in what is confirmed, by hand. `again` are dossiers that were refused or
/// are held, and leave all the same, by the system account `account`.
///
/// # Errors
///
/// As [`follow`] and [`submit_confirmed`], where no portal is named, where another run is at work, and where a dossier of
/// `again` was not refused.
pub async fn leave(
    world: &World,
    checked: &Checked,
    (again, account): (&[String], &str),
    today: Date,
    patience: Patience,
) -> Result<(Heard, Left, Vec<Fault>), Fault> {
    let Some(terms) = &checked.pipeline.submission else {
        let next = "add the table [submission], or write the dossiers on paper with --paper";
        let place = Place::file(&checked.pipeline.path);
        return Err(Fault::new("submission.none", place, "the pipeline names no portal that takes dossiers", next));
    };
    let mut desk = Desk::open(world, checked)?;
    for dossier in again {
        if !desk.ledger.submit_again(dossier, account).map_err(|error| error.fault())? {
            let what = format!("dossier {dossier} is neither one that was refused nor one that is held");
            let next = "see `chudong ledger list --kind submission` for those that are";
            return Err(Fault::new("submission.not-refused", Place::Thing("--again".into()), what, next));
        }
    }
    let done = both((terms, &checked.pipeline), &mut desk, today, patience).await;
    desk.ledger.anchor().map_err(|error| error.fault())?;
    done
}

async fn both(
    way @ (terms, _): (&Terms, &Pipeline),
    desk: &mut Desk,
    today: Date,
    patience: Patience,
) -> Result<(Heard, Left, Vec<Fault>), Fault> {
    let (heard, fault) = follow(terms, &mut desk.ledger, "-", &desk.key, patience).await?;
    let (left, mut faults) = submit_confirmed(way, &mut desk.ledger, ("-", today), &desk.key, patience).await?;
    faults.extend(fault);
    Ok((heard, left, faults))
}

/// Withdraws confirmed dossiers that have not left, by hand, and says how many were not withdrawn before. Their persons
/// are told by the next night. `reason` is a sentence without personal data.
///
/// # Errors
///
/// Where the ledger cannot be written, where another run is at work, and where a dossier has left or is not confirmed:
/// those before it are withdrawn.
pub fn withdraw(
    world: &World,
    checked: &Checked,
    dossiers: &[String],
    by: (&str, &str),
    today: Date,
) -> Result<usize, Fault> {
    let mut desk = Desk::open(world, checked)?;
    let mut done = 0;
    let mut refused = None;
    for dossier in dossiers {
        let (what, next) = match desk.ledger.withdraw_dossier(dossier, by, today).map_err(|error| error.fault())? {
            Withdrawal::Done => {
                done += 1;
                continue;
            }
            Withdrawal::Before => continue,
            Withdrawal::HasLeft => ("has left, or is leaving", "whoever has it can stop it there"),
            Withdrawal::NotConfirmed => (
                "is not one that its person confirmed, or is over",
                "`chudong ledger list --kind dossier.decided` names those that were confirmed",
            ),
        };
        let what = format!("dossier {dossier} {what}");
        refused = Some(Fault::new("submission.not-withdrawn", Place::Thing("--withdraw".into()), what, next));
        break;
    }
    desk.ledger.anchor().map_err(|error| error.fault())?;
    refused.map_or(Ok(done), Err)
}

/// Writes every dossier that is to leave into a folder as an accessible PDF, readable by the service's account alone, and
/// says into which files. The dossiers go on waiting: whoever takes them on paper tells the register.
///
/// # Errors
///
/// Where the ledger or the folder cannot be written, or what is sealed cannot be opened.
pub fn write_papers(world: &World, checked: &Checked, folder: &Path, account: &str) -> Result<Vec<PathBuf>, Fault> {
    let mut desk = Desk::open(world, checked)?;
    let unwritable = |path: &Path, error: &std::io::Error| {
        let next = "make room, let the service's account write there, or name another folder";
        Fault::new(
            "submission.paper-not-writable",
            Place::file(path),
            format!("no paper can be written: {error}"),
            next,
        )
    };
    let key = world.opening_pseudonym_key().map_err(|error| error.fault())?;
    files::private_folder(folder).map_err(|error| unwritable(folder, &error))?;
    let mut written = Vec::new();
    let waiting = desk.ledger.waiting_dossiers().map_err(|error| error.fault())?;
    for one in waiting.into_iter().filter(WaitingDossier::may_be_printed) {
        let Some(leaving) = opened(&desk.ledger, &desk.key, &one.dossier)? else { continue };
        let basis = desk.ledger.dossier_basis(&one.basis).map_err(|error| error.fault())?;
        let basis = basis.map(|text| Basis::read(&text)).transpose().map_err(|error| error.fault())?;
        let reader = Reader(basis.as_ref().map(|basis| &basis.form));
        let paper = paper::dossier(&leaving.confirmed, reader).map_err(|error| error.fault())?;
        // The number of a dossier is of hexadecimal digits: it is a name, and no path.
        let path = folder.join(format!("{}.pdf", leaving.confirmed.dossier));
        files::replace(&path, paper.reveal()).map_err(|error| unwritable(&path, &error))?;
        let mark = key.mark("paper", &sha256(paper.reveal()));
        desk.ledger.submission_printed(&leaving.confirmed.dossier, account, &mark).map_err(|error| error.fault())?;
        written.push(path);
    }
    desk.ledger.anchor().map_err(|error| error.fault())?;
    Ok(written)
}

/// The ledger and its key, while no run is at work.
struct Desk {
    ledger: Ledger,
    key: SealingKey,
    _lock: Lock,
}

impl Desk {
    fn open(world: &World, checked: &Checked) -> Result<Desk, Fault> {
        Ledger::read(&world.state).map_err(|error| error.fault())?;
        let _lock = Lock::take(&world.state).map_err(|error| error.fault())?;
        crate::run::refuse_broken(world)?;
        let key = world.sealing_key().map_err(|error| error.fault())?;
        let ledger = Ledger::open(&world.state, &checked.pipeline.id).map_err(|error| error.fault())?;
        Ok(Desk { ledger, key, _lock })
    }
}
