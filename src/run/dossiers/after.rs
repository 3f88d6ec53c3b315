//! What becomes of prepared dossiers after the person: those that leave, what registers are told, what is erased.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use jiff::civil::Date;

use crate::calendar::vietnam;
use crate::dossiers::{Basis, Confirmed, Discrepancy, Prepared, discrepancies, read_confirmed};
use crate::fault::{Explain, Fault, Place};
use crate::files;
use crate::ledger::{ConfirmedDossier, Ledger, confirmed_name, dossier_name};
use crate::personal::{Personal, SealingKey};
use crate::report::FaultLine;
use crate::run::Night;
use crate::run::bounces::{LISTS_KEPT_DAYS, cell, forget};

/// The folder of the state in which the lists of what registers say otherwise are.
pub(in crate::run) const LISTS: &str = "discrepancies";

/// The first row of each list.
const HEAD: &str = "subject_id,column,register,person,dossier,since\r\n";

/// The confirmed dossiers that were decided after an entry of the ledger, opened: what leaves for the portal.
///
/// # Errors
///
/// Where the ledger cannot be read, or what is sealed cannot be opened.
pub fn confirmed_dossiers(ledger: &Ledger, key: &SealingKey, after: i64) -> Result<Vec<Confirmed>, Fault> {
    let kept = ledger.confirmed_dossiers(after).map_err(|error| error.fault())?;
    kept.iter().map(|one| open(ledger, key, one)).collect()
}

/// Opens a confirmed dossier, with its files.
pub(in crate::run) fn open(ledger: &Ledger, key: &SealingKey, kept: &ConfirmedDossier) -> Result<Confirmed, Fault> {
    let lost = || sealed_fault(ledger);
    let name = |place| confirmed_name(&kept.dossier.dossier, place);
    let (first, files) = kept.parts.split_first().ok_or_else(lost)?;
    let text = key.open(&name(0), first).ok_or_else(lost)?;
    let opened = |(place, part): (usize, &Vec<u8>)| key.open_bytes(&name(place), part);
    let files: Option<Vec<Personal<Vec<u8>>>> = (1..).zip(files).map(opened).collect();
    read_confirmed(&text, files.ok_or_else(lost)?).map_err(|error| error.fault())
}

fn sealed_fault(ledger: &Ledger) -> Fault {
    let what = "a dossier cannot be opened: it was sealed with another key, or changed since";
    let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
    Fault::new("dossiers.sealed", Place::file(ledger.path()), what, next)
}

fn lost_fault(ledger: &Ledger, lost: usize) -> Fault {
    let what = format!("{lost} dossiers are confirmed, and what was confirmed is not there: this ledger was restored");
    let next = "restore the folder said.parts as well, or ask these persons again: \
                `chudong ledger list --kind dossier.decided` names the dossiers";
    Fault::new("dossiers.contents-lost", Place::file(ledger.path()), what, next)
}

impl Night<'_> {
    /// Erases what nobody decided in time, and tells the owners of registers where persons corrected them.
    pub(in crate::run) fn settle_dossiers(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        let expired = ledger.expire_dossiers(&self.run, self.today).map_err(|error| error.fault())?;
        if expired > 0 {
            let (what, day) = if expired == 1 { ("dossier is", "its day") } else { ("dossiers are", "their day") };
            self.report
                .notes
                .push(format!("{expired} prepared {what} erased: {day} is over, or nothing is due any more"));
        }
        ledger.tidy_beside().map_err(|error| error.fault())?;
        // A list that cannot be written is said; what it would say is kept in the ledger, and written tomorrow.
        if let Err(fault) = self.list_discrepancies(ledger) {
            self.report.faults.push(FaultLine::from(&fault));
        }
        Ok(())
    }

    /// Writes a list for each source in which a person who confirmed a dossier found something wrong.
    ///
    /// Of one decision there is one line, in the list of the day of it, and once: the ledger knows which decisions were
    /// listed, so that a list that was handed over and deleted does not come back. The list has the number of the person
    /// and both values: it is for the owner of the register, readable by the service's account alone.
    fn list_discrepancies(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        let folder = self.world.state.join(LISTS);
        forget(&folder, self.as_of.date())?;
        let listed = ledger.listed_until().map_err(|error| error.fault())?;
        let kept = ledger.confirmed_dossiers(listed).map_err(|error| error.fault())?;
        let Some(newest) = kept.iter().map(|one| one.dossier.entry).max() else { return Ok(()) };
        let key = self.world.opening_key().map_err(|error| error.fault())?;
        let mut bases: HashMap<String, Basis> = HashMap::new();
        let mut lists: BTreeMap<(String, Date), BTreeSet<String>> = BTreeMap::new();
        // A ledger that was restored may know of a confirmation, and not what was confirmed or shown.
        let lost = kept.iter().filter(|one| one.parts.is_empty()).count();
        if lost > 0 {
            self.report.faults.push(FaultLine::from(&lost_fault(ledger, lost)));
        }
        for one in kept.iter().filter(|one| !one.parts.is_empty() && one.dossier.sealed.is_some()) {
            let (dossier, confirmed) = (&one.dossier, open(ledger, &key, one)?);
            let day = confirmed.confirmed_at.to_zoned(vietnam()).date();
            if i64::from((self.today - day).get_days()) > LISTS_KEPT_DAYS {
                continue;
            }
            let basis = match bases.get(&dossier.basis) {
                Some(basis) => basis,
                None => {
                    let text = ledger.dossier_basis(&dossier.basis).map_err(|error| error.fault())?;
                    let Some(text) = text else { continue };
                    let basis = Basis::read(&text).map_err(|error| error.fault())?;
                    bases.entry(dossier.basis.clone()).or_insert(basis)
                }
            };
            let sealed = dossier.sealed.as_deref().ok_or_else(|| sealed_fault(ledger))?;
            let text = key.open(&dossier_name(&dossier.dossier), sealed).ok_or_else(|| sealed_fault(ledger))?;
            let prepared = Prepared::read(&text).map_err(|error| error.fault())?;
            for one in discrepancies(basis, &prepared, &confirmed) {
                let source = one.column.split('.').next().unwrap_or_default().to_owned();
                lists.entry((source, day)).or_default().insert(line(&confirmed, &one, day));
            }
        }
        let mut names = Vec::new();
        for ((source, day), mut found) in lists {
            names.push(format!("{source}-{day}"));
            let path = folder.join(format!("{source}-{day}.csv"));
            // What was said of a dossier that is over stands on: its owner may not have read it yet.
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            found.extend(rows(&before).into_iter().skip(1).map(str::to_owned));
            let text: String = found.into_iter().collect();
            let text = format!("{HEAD}{text}");
            files::private_folder(&folder).map_err(|error| unwritable(&folder, &error))?;
            files::replace(&path, text.as_bytes()).map_err(|error| unwritable(&path, &error))?;
            self.report.look.insert("discrepancies".into(), folder.clone());
        }
        ledger.dossiers_listed(&self.run, newest, &names).map_err(|error| error.fault())
    }
}

fn line(confirmed: &Confirmed, one: &Discrepancy, day: Date) -> String {
    let (subject, day) = (confirmed.identity_number.reveal(), day.to_string());
    let cells = [subject, &one.column, one.register.reveal(), one.person.reveal(), &confirmed.dossier, &day];
    cells.map(|text| cell(text)).join(",") + "\r\n"
}

/// The rows of a list with their ends, the head first. A value may run over several lines within its quotes.
pub(in crate::run) fn rows(text: &str) -> Vec<&str> {
    let (mut found, mut from, mut is_quoted) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => {
                found.extend(text.get(from..=at));
                from = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    let what = format!("the list of what registers say otherwise cannot be kept: {error}");
    let next = "make room, or let the service's account write there";
    Fault::new("dossiers.list-not-writable", Place::file(path), what, next)
}
