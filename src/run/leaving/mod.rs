//! Confirmed dossiers leave for the portal, and what becomes of them comes back to their obligations.
//!
//! Nothing leaves without an entry that says so before it does. A run that dies between the portal's answer and the
//! commit leaves a dossier announced: it is handed in again under the same key, and the portal gives the number that it
//! gave before. A dossier that the portal has decided settles its obligation in the same night, before anybody is written
//! to about it; one that was not accepted, taken back or stopped leaves the obligation as it was, open.

mod by_hand;

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::dossiers::{Basis, Confirmed};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::submissions::{Departure, Outcome, Stage, Submission, sealed_words_name};
use crate::ledger::{ConfirmedDossier, Ledger, Objection, WaitingDossier};
use crate::personal::SealingKey;
use crate::pipeline::Pipeline;
use crate::pipeline::form::Form;
use crate::pipeline::options::Confidence;
use crate::pipeline::publication::Submission as Terms;
use crate::submission::{Becomes, Error, Known, Patience, Portal, Status};

pub use by_hand::{leave, withdraw, write_papers};

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
    /// Dossiers that are held now because the code of their procedure has no source, or is another by now.
    pub unsourced: Vec<String>,
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
        if !self.unsourced.is_empty() {
            texts.push(format!(
                "{} held: the code of the procedure has no source, or is another by now, and no portal takes it: write it \
                 on paper with `chudong submit --paper DIR`",
                dossiers(self.unsourced.len())
            ));
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

/// So many dossiers.
pub(super) fn dossiers(count: usize) -> String {
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

/// Hands in these dossiers, as far as the portal does not have them yet, each once whatever happened before. `today` is
/// the day in Vietnam that is written down as the day of handing in.
///
/// # Errors
///
/// Where the ledger cannot be written. What goes wrong with one dossier is beside the others; what would be the same for
/// each is said once, and the rest is left to the next run.
pub async fn submit(
    terms: &Terms,
    ledger: &mut Ledger,
    (run, today): (&str, Date),
    leaving: impl IntoIterator<Item = Leaving>,
    patience: Patience,
) -> Result<(Left, Vec<Fault>), Fault> {
    let mut way = Way::new(terms, patience);
    for leaving in leaving {
        if !way.take(ledger, (run, today), &leaving, None).await? {
            break;
        }
    }
    Ok((way.left, way.faults))
}

/// Hands in every dossier that is confirmed, that the portal neither has nor refused, and that is not held, as [`submit`].
///
/// Whoever confirmed by the last day was in time: where the portal takes the dossier after it, the day of the decision
/// is written down as the day of handing in, as it stands in the dossier too (`NgayNopHoSo`).
///
/// # Errors
///
/// As [`submit`]; one that cannot be opened is a fault beside the others.
pub async fn submit_confirmed(
    (terms, pipeline): (&Terms, &Pipeline),
    ledger: &mut Ledger,
    (run, today): (&str, Date),
    key: &SealingKey,
    patience: Patience,
) -> Result<(Left, Vec<Fault>), Fault> {
    let mut way = Way::new(terms, patience);
    for one in ledger.dossiers_to_leave().map_err(|error| error.fault())? {
        // One at a time: each brings its files.
        let leaving = match opened(ledger, key, &one.dossier) {
            Ok(Some(leaving)) => leaving,
            Ok(None) => continue,
            Err(fault) => {
                way.faults.push(fault);
                continue;
            }
        };
        // It may have been confirmed for paper, under a code that nobody had to look up then.
        if one.can_be_held_for(Objection::Unsourced) && !has_sourced_code(pipeline, ledger, &leaving, &one.basis)? {
            ledger.hold_dossier(run, &one, Objection::Unsourced).map_err(|error| error.fault())?;
            way.left.unsourced.push(one.dossier);
            continue;
        }
        if !way.take(ledger, (run, today), &leaving, Some(&one)).await? {
            break;
        }
    }
    Ok((way.left, way.faults))
}

/// Whether the code of a dossier's procedure has a source: by the form as it is now, which must have the same code; where
/// there is no such form any more, by the one that the person was shown.
pub(super) fn has_sourced_code(
    pipeline: &Pipeline,
    ledger: &Ledger,
    leaving: &Leaving,
    basis: &str,
) -> Result<bool, Fault> {
    let Confirmed { item, procedure, .. } = &leaving.confirmed;
    let is_sourced = |form: &Form| form.procedure == *procedure && form.confidence != Confidence::Unsourced;
    if let Some(form) = pipeline.form(item) {
        return Ok(is_sourced(form));
    }
    let shown = ledger.dossier_basis(basis).map_err(|error| error.fault())?;
    let shown = shown.map(|text| Basis::read(&text)).transpose().map_err(|error| error.fault())?;
    Ok(shown.is_some_and(|basis| is_sourced(&basis.form)))
}

/// The day that counts as the day of handing in.
fn filed_on(today: Date, waiting: Option<&WaitingDossier>) -> Date {
    let decided_on = waiting.and_then(|one| one.decided_on.filter(|on| *on <= one.due_on && one.due_on < today));
    decided_on.unwrap_or(today)
}

/// One of the dossiers that are to leave; none where it was erased since it was asked which there are.
pub(super) fn opened(ledger: &Ledger, key: &SealingKey, dossier: &str) -> Result<Option<Leaving>, Fault> {
    let Some(kept) = ledger.dossier(dossier).map_err(|error| error.fault())? else { return Ok(None) };
    let parts = ledger.confirmed_parts(dossier).map_err(|error| error.fault())?;
    if parts.is_empty() {
        return Ok(None);
    }
    let (obligation, subject) = (kept.obligation.clone(), kept.subject.clone());
    let confirmed = super::dossiers::open(ledger, key, &ConfirmedDossier { dossier: kept, parts })?;
    Ok(Some(Leaving { confirmed, obligation, subject }))
}

/// The way of dossiers to the portal, and what became of them.
struct Way<'t> {
    terms: &'t Terms,
    patience: Patience,
    portal: Option<Portal>,
    left: Left,
    faults: Vec<Fault>,
}

impl<'t> Way<'t> {
    fn new(terms: &'t Terms, patience: Patience) -> Self {
        Way { terms, patience, portal: None, left: Left::default(), faults: Vec::new() }
    }

    /// Hands a dossier in, and says whether another would fare better than one that failed. `waiting` is how the ledger
    /// knows it; whoever took the decision back since then is not handed in.
    async fn take(
        &mut self,
        ledger: &mut Ledger,
        (run, today): (&str, Date),
        leaving: &Leaving,
        waiting: Option<&WaitingDossier>,
    ) -> Result<bool, Fault> {
        let dossier = &leaving.confirmed.dossier;
        let known = ledger.submission_of(dossier).map_err(|error| error.fault())?;
        if known.as_ref().is_some_and(|known| !matches!(known.stage, Stage::Waiting | Stage::Announced)) {
            return Ok(true);
        }
        let number = known.and_then(|known| known.number);
        let portal = match &mut self.portal {
            Some(portal) => portal,
            None => match Portal::open(self.terms, self.patience) {
                Ok(portal) => self.portal.insert(portal),
                Err(error) => {
                    self.faults.push(error.fault());
                    return Ok(false);
                }
            },
        };
        let departure = departure(leaving);
        let announced = match waiting {
            Some(waiting) => ledger.announce_decided(run, &departure, waiting.decision),
            None => ledger.announce_submission(run, &departure).map(|()| true),
        };
        if !announced.map_err(|error| error.fault())? {
            return Ok(true);
        }
        let day = filed_on(today, waiting);
        match hand_in(portal, ledger, run, (&leaving.confirmed, number)).await? {
            Ok(number) => {
                ledger.submission_filed(run, dossier, &number, day).map_err(|error| error.fault())?;
                self.left.filed.push((dossier.clone(), number));
                Ok(true)
            }
            Err(error) => {
                if let Some(code) = error.refusal() {
                    ledger.submission_refused(run, dossier, &code).map_err(|error| error.fault())?;
                    self.left.refused.push((dossier.clone(), code));
                }
                self.faults.push(error.fault());
                Ok(!error.is_of_all())
            }
        }
    }
}

/// Hands a dossier in under the number that it has, or under one that is written down before it is used: however long a
/// portal remembers a key, the dossier is the same one. The outer error is the ledger's, the inner one the portal's.
async fn hand_in(
    portal: &mut Portal,
    ledger: &mut Ledger,
    run: &str,
    (confirmed, number): (&Confirmed, Option<String>),
) -> Result<Result<String, Error>, Fault> {
    let number = match number {
        Some(number) => number,
        None => {
            let number = match portal.number(confirmed).await {
                Ok(number) => number,
                Err(error) => return Ok(Err(error)),
            };
            ledger.submission_numbered(run, &confirmed.dossier, &number).map_err(|error| error.fault())?;
            number
        }
    };
    Ok(portal.submit(confirmed, &number).await.map(|()| number))
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
