//! Confirmed dossiers leave for the portal, and what becomes of them comes back to their obligations.
//!
//! Nothing leaves without an entry that says so before it does. A run that dies between the portal's answer and the
//! commit leaves a dossier announced: it is handed in again under the same key, and the portal gives the number that it
//! gave before. A dossier that the portal has decided settles its obligation in the same night, before anybody is written
//! to about it; one that was not accepted, taken back or stopped leaves the obligation as it was, open.

use std::collections::BTreeMap;

use super::Night;
use crate::calendar::AsOf;
use crate::dossiers::Confirmed;
use crate::fault::{Explain, Fault, Place};
use crate::ledger::submissions::{Departure, Outcome, Stage, Submission, sealed_words_name};
use crate::ledger::{Ledger, Lock};
use crate::personal::SealingKey;
use crate::pipeline::publication::Submission as Terms;
use crate::report::FaultLine;
use crate::submission::{Becomes, Error, Known, Patience, Portal, Status};
use crate::world::World;

/// A confirmed dossier, and which obligation it answers.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// The dossier.
    pub confirmed: Confirmed,
    /// The key of the obligation.
    pub obligation: String,
    /// The keyed pseudonym of the person.
    pub subject: String,
}

/// What became of the dossiers that were to leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Dossiers that the portal took now, with its numbers for them.
    pub filed: Vec<(String, String)>,
    /// Dossiers that it refused now, or that cannot be written in its form, with a code: a person must look.
    pub refused: Vec<(String, String)>,
}

/// What the portal said of the dossiers that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// How many it was asked about.
    pub asked: usize,
    /// Dossiers whose status is another than it was, with the new one.
    pub news: Vec<(String, Status)>,
    /// How many it said nothing of, although it gave them a number.
    pub unspoken: usize,
}

impl Left {
    /// As sentences.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        if !self.filed.is_empty() {
            texts.push(format!("{} handed in to the portal", dossiers(self.filed.len())));
        }
        if !self.refused.is_empty() {
            texts.push(format!("{} refused and left for a person", dossiers(self.refused.len())));
        }
        texts
    }
}

impl Heard {
    /// As sentences.
    pub fn texts(&self) -> Vec<String> {
        let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
        for (_, status) in &self.news {
            *counts.entry(*status).or_default() += 1;
        }
        let mut texts: Vec<String> = counts.into_iter().map(|(status, count)| text(status, count)).collect();
        if self.unspoken > 0 {
            texts.push(format!("the portal says nothing of {}", dossiers(self.unspoken)));
        }
        texts
    }
}

fn dossiers(count: usize) -> String {
    if count == 1 { "1 dossier".into() } else { format!("{count} dossiers") }
}

fn text(status: Status, count: usize) -> String {
    let then = match status.becomes() {
        Becomes::UnderWay => "",
        Becomes::Supplement => "; the person is to add papers",
        Becomes::Fee => "; the person is to pay a fee",
        Becomes::Fulfilled => "; the obligation is fulfilled",
        Becomes::OpenAgain => "; the obligation is open",
    };
    format!("{} at the portal: {}{then}", dossiers(count), status.word())
}

/// Hands in what the portal does not have yet, each dossier once whatever happened before.
///
/// # Errors
///
/// Where the ledger cannot be written. What goes wrong with one dossier is beside the others; what would be the same for
/// each is said once, and the rest is left to the next run.
pub async fn submit(
    terms: &Terms,
    ledger: &mut Ledger,
    run: &str,
    leaving: impl IntoIterator<Item = Leaving>,
    patience: Patience,
) -> Result<(Left, Vec<Fault>), Fault> {
    let (mut left, mut faults) = (Left::default(), Vec::new());
    let mut portal = None;
    for leaving in leaving {
        let dossier = leaving.confirmed.dossier.clone();
        let known = ledger.submission_of(&dossier).map_err(|error| error.fault())?;
        if known.is_some_and(|known| !matches!(known.stage, Stage::Waiting | Stage::Announced)) {
            continue;
        }
        let open = match &mut portal {
            Some(open) => open,
            None => match Portal::open(terms, patience) {
                Ok(open) => portal.insert(open),
                Err(error) => {
                    faults.push(error.fault());
                    break;
                }
            },
        };
        ledger.announce_submission(run, &departure(&leaving)).map_err(|error| error.fault())?;
        match open.submit(&leaving.confirmed).await {
            Ok(number) => {
                let day = AsOf::today().date();
                ledger.submission_filed(run, &dossier, &number, day).map_err(|error| error.fault())?;
                left.filed.push((dossier, number));
            }
            Err(error) => {
                if let Some(code) = error.refusal() {
                    ledger.submission_refused(run, &dossier, &code).map_err(|error| error.fault())?;
                    left.refused.push((dossier, code));
                }
                faults.push(error.fault());
                if error.is_of_all() {
                    break;
                }
            }
        }
    }
    Ok((left, faults))
}

fn departure(leaving: &Leaving) -> Departure {
    Departure {
        dossier: leaving.confirmed.dossier.clone(),
        item: leaving.confirmed.item.clone(),
        obligation: leaving.obligation.clone(),
        subject: leaving.subject.clone(),
        due_on: leaving.confirmed.due_on,
    }
}

/// Asks the portal how the dossiers stand that it has and has not come to an end with, and writes down what is new.
///
/// # Errors
///
/// Where the ledger cannot be read or written. That the portal does not answer is a fault beside what is known.
pub async fn follow(
    terms: &Terms,
    ledger: &mut Ledger,
    run: &str,
    key: &SealingKey,
    patience: Patience,
) -> Result<(Heard, Option<Fault>), Fault> {
    let filed = ledger.submissions(&[Stage::Filed]).map_err(|error| error.fault())?;
    let mut heard = Heard { asked: filed.len(), ..Heard::default() };
    let by_number: BTreeMap<&str, &Submission> =
        filed.iter().filter_map(|one| Some((one.number.as_deref()?, one))).collect();
    if by_number.is_empty() {
        return Ok((heard, None));
    }
    let numbers: Vec<String> = by_number.keys().map(|number| (*number).to_owned()).collect();
    let known = match standing(terms, &numbers, patience).await {
        Ok(known) => known,
        Err(error) => return Ok((heard, Some(error.fault()))),
    };
    heard.unspoken = numbers.len().saturating_sub(known.len());
    for known in known {
        let Some(one) = by_number.get(known.number.as_str()) else { continue };
        if is_known(one, &known, key) {
            continue;
        }
        let sealed = match &known.words {
            Some(words) => Some(key.seal(&sealed_words_name(&one.dossier), words.reveal()).ok_or_else(no_random)?),
            None => None,
        };
        let stands = (known.status.number(), outcome(known.status));
        ledger.submission_stands(run, &one.dossier, stands, sealed.as_deref()).map_err(|error| error.fault())?;
        if one.status != Some(known.status.number()) {
            heard.news.push((one.dossier.clone(), known.status));
        }
    }
    Ok((heard, None))
}

async fn standing(terms: &Terms, numbers: &[String], patience: Patience) -> Result<Vec<Known>, Error> {
    Portal::open(terms, patience)?.standing(numbers).await
}

/// Whether the ledger has this status with these words.
fn is_known(one: &Submission, known: &Known, key: &SealingKey) -> bool {
    let words = one.words.as_deref().and_then(|sealed| key.open(&sealed_words_name(&one.dossier), sealed));
    one.status == Some(known.status.number()) && words == known.words
}

fn outcome(status: Status) -> Option<Outcome> {
    match status.becomes() {
        Becomes::Fulfilled => Some(Outcome::Fulfilled),
        Becomes::OpenAgain => Some(Outcome::OpenAgain),
        Becomes::UnderWay | Becomes::Supplement | Becomes::Fee => None,
    }
}

fn no_random() -> Fault {
    let what = "the system gives no random bytes, and what the portal writes is kept sealed or not at all";
    Fault::new("submission.no-random", Place::Thing("the operating system".into()), what, "look after /dev/urandom")
}

/// Asks the portal, by hand, as [`follow`].
///
/// # Errors
///
/// As [`follow`], and where another run is at work.
pub async fn ask(
    world: &World,
    agency: &str,
    terms: &Terms,
    patience: Patience,
) -> Result<(Heard, Option<Fault>), Fault> {
    Ledger::read(&world.state).map_err(|error| error.fault())?;
    let _lock = Lock::take(&world.state).map_err(|error| error.fault())?;
    super::refuse_broken(world)?;
    let key = world.sealing_key().map_err(|error| error.fault())?;
    let mut ledger = Ledger::open(&world.state, agency).map_err(|error| error.fault())?;
    let heard = follow(terms, &mut ledger, "-", &key, patience).await;
    ledger.anchor().map_err(|error| error.fault())?;
    heard
}

impl Night<'_> {
    /// Asks the portal what became of dossiers, so that tonight nobody is written to about what is done.
    pub(super) async fn follow_dossiers(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        if let Some(terms) = &self.checked.pipeline.submission
            && !ledger.submissions(&[Stage::Filed]).map_err(|error| error.fault())?.is_empty()
        {
            self.world.progress.step("asking the portal about dossiers");
            let key = self.world.sealing_key().map_err(|error| error.fault())?;
            let (heard, fault) = follow(terms, ledger, &self.run, &key, Patience::default()).await?;
            self.report.notes.extend(heard.texts());
            self.report.faults.extend(fault.as_ref().map(FaultLine::from));
        }
        self.know_settled(ledger)
    }

    /// Learns which obligations a dossier has settled.
    pub(super) fn know_settled(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        self.settled = ledger.settled_by_dossier().map_err(|error| error.fault())?;
        Ok(())
    }
}
