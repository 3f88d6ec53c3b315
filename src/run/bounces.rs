//! Reads what came back, letters and receipts, writes it down, and tells the owners of registers which of their addresses are wrong.
//!
//! It is a step of the night, before anybody is written to, and a verb of its own for the hours between.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::Date;

use super::Night;
use super::remind::index_of;
use crate::bounces::{self, Report, Reports, Shelf, Verdict, receipt};
use crate::calendar::AsOf;
use crate::fault::{Explain, Fault, Place};
use crate::files;
use crate::ledger::{self, Ledger, Lock, NUMBER_REFUSED, Origin, Preference, Returned, Stance, Suppression, Taken};
use crate::personal::PseudonymKey;
use crate::pipeline::mail::Mailbox;
use crate::pipeline::{Channel, Pipeline, Reach};
use crate::reminders::plan::{self, Recipients};
use crate::report::FaultLine;
use crate::sql::lineage::ColumnName;
use crate::tables::TableName;
use crate::world::World;

/// How long a list of wrong addresses is kept, in days: the owner of the register has them by then.
pub(super) const LISTS_KEPT_DAYS: i64 = 90;
/// The folder of these lists, in the state folder.
pub(super) const LISTS: &str = "wrong-addresses";

/// The fault of a maildir into which nothing came yet.
const NOT_YET: &str = "bounces.no-maildir";

/// What was in the mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Back {
    /// Letters that were read.
    pub letters: u64,
    /// Receipts of services that were read.
    pub receipts: u64,
    /// Reports about messages of ours, by what they say.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Letters that are no such report, by what they are.
    pub others: BTreeMap<&'static str, u64>,
}

impl Back {
    /// In one sentence each: what came back, and what a person should look at.
    pub fn lines(&self) -> Vec<String> {
        let list = |counts: &BTreeMap<&'static str, u64>| {
            counts
                .iter()
                .map(|(word, count)| format!("{count} {}", word.replace('_', " ")))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut lines = Vec::new();
        if !self.verdicts.is_empty() {
            lines.push(format!("What came back: {}", list(&self.verdicts)));
        }
        if !self.others.is_empty() {
            let what = if self.receipts == 0 { "Other letters in the mailbox" } else { "Other letters and receipts" };
            lines.push(format!("{what}: {}", list(&self.others)));
        }
        lines
    }

    /// What both held.
    fn with(mut self, other: Back) -> Back {
        self.letters += other.letters;
        self.receipts += other.receipts;
        for (mine, others) in [(&mut self.verdicts, other.verdicts), (&mut self.others, other.others)] {
            others.into_iter().for_each(|(word, count)| *mine.entry(word).or_default() += count);
        }
        self
    }
}

/// Reads the mailbox of an agency and the receipts of its services, outside of a night; none where the pipeline names
/// neither. `file` holds receipts that a service gave otherwise than to the serving process.
pub async fn bounces(world: &World, pipeline: &Pipeline, file: Option<&Path>) -> Result<Option<Back>, Fault> {
    let takes_receipts = file.is_some() || pipeline.serve.as_ref().is_some_and(|serve| !serve.receipts.is_empty());
    if pipeline.mail.mailbox.is_none() && !takes_receipts {
        return Ok(None);
    }
    // Who has sent nothing gets no ledger from here.
    Ledger::read(&world.state).map_err(|error| error.fault())?;
    let _lock = Lock::take(&world.state).map_err(|error| error.fault())?;
    let key = world.pseudonym_key().map_err(|error| error.fault())?;
    let mut ledger = Ledger::open(&world.state, &pipeline.id).map_err(|error| error.fault())?;
    let on = AsOf::today().date();
    if let Some(file) = file {
        let unreadable = |error: std::io::Error| {
            let next = "name a file of receipts that this account may read";
            let what = format!("the receipts cannot be read: {error}");
            Fault::new("bounces.receipts-unreadable", Place::file(file), what, next)
        };
        let body = std::fs::read(file).map_err(unreadable)?;
        receipt::keep(&world.state, None, &body).map_err(|error| error.fault())?;
    }
    let receipts = read_receipts(&mut ledger, &world.state, &key, ("-", on));
    let letters = match &pipeline.mail.mailbox {
        Some(mailbox) => read(&mut ledger, (mailbox, &pipeline.channels), &key, ("-", on)).await,
        None => Ok(Back::default()),
    };
    ledger.anchor().map_err(|error| error.fault())?;
    Ok(Some(receipts?.with(letters?)))
}

/// Reads the receipts that wait to their end: what a body says is durable before it is removed.
fn read_receipts(
    ledger: &mut Ledger,
    state: &Path,
    key: &PseudonymKey,
    (run, on): (&str, Date),
) -> Result<Back, Fault> {
    let mut back = Back::default();
    loop {
        let waiting = receipt::waiting(state, bounces::BATCH).map_err(|error| error.fault())?;
        if waiting.is_empty() {
            return Ok(back);
        }
        for kept in waiting {
            let origin = kept.channel.clone().map_or(Origin::ByHand, Origin::Service);
            // Each of a body is known by its place in it, under a key: a body may hold a number of the person.
            let ids = (0..kept.reports.len()).map(|place| key.mark("receipt", &format!("{} {place}", kept.id)));
            let returned: Vec<Returned> =
                ids.zip(&kept.reports).filter_map(|(id, report)| returned(&id, report)).collect();
            let taken = ledger.take_returned(run, on, &returned, &origin).map_err(|error| error.fault())?;
            refuse_after_complaints(ledger, &kept.reports, on, &origin)?;
            let mut taken = taken.into_iter();
            for report in &kept.reports {
                back.receipts += 1;
                back.count(report, &mut taken);
            }
            receipt::remove(&kept).map_err(|error| error.fault())?;
        }
    }
}

/// Reads a mailbox to its end: each batch is durable before its letters are put away.
async fn read(
    ledger: &mut Ledger,
    (mailbox, channels): (&Mailbox, &[Channel]),
    key: &PseudonymKey,
    (run, on): (&str, Date),
) -> Result<Back, Fault> {
    let mut back = Back::default();
    let without_letters = channels.iter().filter(|channel| !channel.carries_letters());
    let origin = Origin::Mailbox { never: without_letters.map(|channel| channel.name.clone()).collect() };
    let mut reports = Reports::open(mailbox).await.map_err(|error| error.fault())?;
    loop {
        let letters = reports.next().await.map_err(|error| error.fault())?;
        if letters.is_empty() {
            break;
        }
        let read: Vec<Report> = letters.iter().map(|letter| bounces::report::read(&letter.bytes, key)).collect();
        let returned: Vec<Returned> =
            letters.iter().zip(&read).filter_map(|(letter, report)| returned(&letter.id, report)).collect();
        let taken = ledger.take_returned(run, on, &returned, &origin).map_err(|error| error.fault())?;
        refuse_after_complaints(ledger, &read, on, &origin)?;
        let mut taken = taken.into_iter();
        for (letter, report) in letters.iter().zip(&read) {
            back.letters += 1;
            let shelf = back.count(report, &mut taken);
            reports.put_away(letter, shelf).await.map_err(|error| error.fault())?;
        }
    }
    reports.close(on).await.map_err(|error| error.fault())?;
    Ok(back)
}

/// Who called a message unwanted refuses its channel, for every item: they said so to their mail provider.
///
/// Also where the report was taken already: a run may have ended between the two.
fn refuse_after_complaints(ledger: &mut Ledger, read: &[Report], on: Date, origin: &Origin) -> Result<(), Fault> {
    let complaints = read.iter().filter_map(|report| match report {
        Report::About { message, verdict: Verdict::Complaint, .. } => Some(message.clone()),
        _ => None,
    });
    let parties = ledger.parties(&complaints.collect(), origin).map_err(|error| error.fault())?;
    let refused: Vec<Preference> = parties
        .into_iter()
        .map(|(subject, channel)| Preference {
            subject,
            item: ledger::ALL.to_owned(),
            channel,
            stance: Some(Stance::Refused),
            language: None,
            since: on,
            how: "complaint",
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    ledger.prefer(&refused, &[]).map(drop).map_err(|error| error.fault())
}

fn returned(id: &str, report: &Report) -> Option<Returned> {
    let Report::About { message, verdict, code } = report else { return None };
    let effect = verdict.effect();
    Some(Returned {
        report: id.to_owned(),
        message: message.clone(),
        verdict: verdict.word(),
        code: (*code != bounces::Code::default()).then(|| code.to_string()),
        state: effect.state,
        address: effect.address,
    })
}

impl Back {
    /// Counts a letter, and says where it goes.
    fn count(&mut self, report: &Report, taken: &mut impl Iterator<Item = Taken>) -> Shelf {
        let (word, shelf) = match report {
            Report::About { verdict, .. } => match taken.next() {
                Some(Taken::New) => {
                    *self.verdicts.entry(verdict.word()).or_default() += 1;
                    return Shelf::Processed;
                }
                Some(Taken::Known) => ("taken_before", Shelf::Processed),
                Some(Taken::NoMessage) | None => ("about_no_message_of_ours", Shelf::ToLookAt),
            },
            Report::Forged => ("forged", Shelf::ToLookAt),
            Report::AutoReply => ("automatic_replies", Shelf::Processed),
            Report::Information => ("information", Shelf::Processed),
            Report::Unknown => ("not_understood", Shelf::ToLookAt),
        };
        *self.others.entry(word).or_default() += 1;
        shelf
    }
}

impl Night<'_> {
    /// Reads what came back since the last night. A mailbox that cannot be read is said, and stops nobody's reminder.
    pub(super) async fn read_mailbox(&mut self, ledger: &mut Ledger) {
        match read_receipts(ledger, &self.world.state, &self.key, (&self.run, self.today)) {
            Ok(back) => self.report.notes.extend(back.lines()),
            Err(fault) => self.report.faults.push(FaultLine::from(&fault)),
        }
        let Some(mailbox) = &self.checked.pipeline.mail.mailbox else { return };
        self.world.progress.step("reading what came back".to_owned());
        let channels = &self.checked.pipeline.channels;
        match read(ledger, (mailbox, channels), &self.key, (&self.run, self.today)).await {
            Ok(back) => self.report.notes.extend(back.lines()),
            // The mail server makes the maildir with the first letter: until then nothing came back.
            Err(fault) if fault.code == NOT_YET => self.report.notes.push(format!("{}: {}", fault.place, fault.what)),
            Err(fault) => self.report.faults.push(FaultLine::from(&fault)),
        }
    }

    /// Learns which channels are closed to whom: refused by the person, or given back by the address.
    pub(super) fn close_channels(
        &mut self,
        ledger: &Ledger,
        people: Option<&Recipients>,
    ) -> Result<Vec<Suppression>, Fault> {
        // First: what is said meanwhile is news.
        self.heard_until = ledger.newest_preference().map_err(|error| error.fault())?;
        self.closed.refused = ledger.refused().map_err(|error| error.fault())?;
        let mut suppressions = ledger.suppressions().map_err(|error| error.fault())?;
        suppressions.retain(|suppression| suppression.holds_on(self.today));
        self.closed.suppressed.clear();
        let Some(people) = people.filter(|_| !suppressions.is_empty()) else { return Ok(suppressions) };
        let mut channels: HashMap<&str, Vec<&str>> = HashMap::new();
        for suppression in &suppressions {
            channels.entry(&suppression.address).or_default().push(&suppression.channel);
        }
        for reach in [Reach::Email, Reach::Phone] {
            for (subject, address) in people.addresses_by(reach, false).chain(people.addresses_by(reach, true)) {
                let index = index_of(address.reveal(), reach, &self.key);
                for channel in index.and_then(|index| channels.get(index.as_str())).into_iter().flatten() {
                    let closed = (self.key.subject(&subject).into(), plan::ALL.to_owned(), (*channel).to_owned());
                    self.closed.suppressed.insert(closed);
                }
            }
        }
        Ok(suppressions)
    }

    /// Writes the list of wrong addresses for each source that addresses come from, and removes old lists.
    ///
    /// Only who has something due tonight is looked up: nobody reads a register for this alone.
    pub(super) fn list_wrong_addresses(
        &mut self,
        suppressions: &[Suppression],
        people: Option<&Recipients>,
    ) -> Result<(), Fault> {
        let folder = self.world.state.join(LISTS);
        forget(&folder, self.as_of.date())?;
        let wrong: HashMap<&str, &Suppression> = suppressions
            .iter()
            .filter(|suppression| [Verdict::AddressWrong.word(), NUMBER_REFUSED].contains(&suppression.reason.as_str()))
            .map(|suppression| (suppression.address.as_str(), suppression))
            .collect();
        let Some(people) = people.filter(|_| !wrong.is_empty()) else { return Ok(()) };
        let mut lists: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
        let kinds = [("person", "people"), ("business", "businesses")];
        let reaches = [(Reach::Email, "email"), (Reach::Phone, "phone")];
        for ((audience, model), (reach, column)) in
            kinds.into_iter().flat_map(|kind| reaches.map(|reach| (kind, reach)))
        {
            let mut rows = Vec::new();
            for (subject, address) in people.addresses_by(reach, audience == "business") {
                let index = index_of(address.reveal(), reach, &self.key);
                if let Some(suppression) = index.and_then(|index| wrong.get(index.as_str()).copied()) {
                    let code = suppression.code.as_deref().unwrap_or_default();
                    let cells = [*subject.reveal(), *address.reveal(), &suppression.since, code];
                    rows.push(cells.map(cell).join(","));
                }
            }
            rows.sort();
            for source in self.sources_of_addresses(model, column).into_iter().filter(|_| !rows.is_empty()) {
                let lists = lists.entry((source, column)).or_default();
                lists.append(&mut rows.clone());
            }
        }
        for ((source, column), mut rows) in lists {
            // Persons and businesses may come from one register.
            rows.sort();
            rows.dedup();
            let what = if column == "email" { String::new() } else { format!("-{column}") };
            let path = folder.join(format!("{source}{what}-{}.csv", self.as_of));
            let text = format!("subject_id,{column},since,code\r\n{}\r\n", rows.join("\r\n"));
            files::private_folder(&folder).map_err(unwritable(&folder))?;
            files::replace(&path, text.as_bytes()).map_err(unwritable(&path))?;
            self.report.look.insert("addresses".into(), folder.clone());
        }
        Ok(())
    }

    /// The sources whose columns reach the addresses of a staging table.
    fn sources_of_addresses(&self, model: &str, column: &str) -> BTreeSet<String> {
        let reach = self.checked.graph.reach(&TableName::new("staging", model));
        let flow = reach.and_then(|reach| reach.lineage.column(column));
        let columns = flow.into_iter().flat_map(|flow| flow.values());
        let sources: BTreeSet<String> = columns.map(|column: &ColumnName| column.table.schema.clone()).collect();
        sources.into_iter().filter(|name| self.checked.pipeline.source(name).is_some()).collect()
    }
}

/// A cell of CSV. A spreadsheet would take what begins with one of these signs for a formula.
pub(super) fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

pub(super) fn forget(folder: &Path, today: Date) -> Result<(), Fault> {
    let Ok(listing) = std::fs::read_dir(folder) else { return Ok(()) };
    let first_kept = today.saturating_sub(LISTS_KEPT_DAYS.days());
    for entry in listing.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".csv").unwrap_or_default();
        let written: Option<Date> = stem.get(stem.len().saturating_sub(10)..).and_then(|date| date.parse().ok());
        if written.is_some_and(|written| written < first_kept) {
            std::fs::remove_file(entry.path()).map_err(unwritable(&entry.path()))?;
        }
    }
    Ok(())
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Fault {
    move |error| {
        let what = format!("the list of wrong addresses cannot be kept: {error}");
        let next = "make room, or let the service's account write there";
        Fault::new("bounces.list-not-writable", Place::file(path), what, next)
    }
}
