//! Step three and a half: what is recommended to those who are written to, written down before a letter says it.
//!
//! The ways of tonight are put on a sheet for each outcome, the select of the outcome says how each way stands to each
//! person, and `options` decides. Where any of this fails it is said, and the letters leave without: a duty is not held
//! back by a comparison.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;

use super::Night;
use super::build::Built;
use crate::calendar::to_days;
use crate::check::contract;
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{self, KeptRecommendation, Ledger, Recommendation, Sheeted};
use crate::lineage::{Ending, Job};
use crate::obligations::key_of;
use crate::options::told::{Explained, tell};
use crate::options::{self, Cases, Cell, Decided, Measured, Scales, Sheet, Weighed, decide_all};
use crate::personal::{PseudonymKey, SealingKey};
use crate::pipeline::options::{Criterion, Outcome, Via};
use crate::reminders::letter::Advice;
use crate::reminders::plan::Reminder;
use crate::report::FaultLine;
use crate::sql::engine::Bound;
use crate::tables::TableName;
use crate::world::World;

/// What is recommended tonight.
#[derive(Default)]
pub(super) struct Recommended {
    outcomes: Vec<Compared>,
    /// The outcome and the place in it, by the key of the obligation.
    places: HashMap<String, (usize, usize)>,
}

/// The ways to one outcome, and those to whom they are open.
struct Compared {
    sheet: Sheet,
    scales: Scales,
    cases: Cases,
    /// Obligation and pseudonym, in the order of the cases.
    keys: Vec<(String, String)>,
}

impl Night<'_> {
    /// Compares the ways for everybody who is to be written to and wants to hear of it.
    pub(super) async fn compare_options<'o>(
        &mut self,
        ledger: Option<&Ledger>,
        built: &Built,
        reminders: impl Iterator<Item = &'o Reminder<'o>>,
    ) {
        self.recommended = Recommended::default();
        let checked = self.checked;
        let outcomes = &checked.pipeline.options.outcomes;
        if outcomes.is_empty() {
            return;
        }
        let wishes = match ledger.map_or(Ok(Wishes::default()), Wishes::read) {
            Ok(wishes) => wishes,
            Err(fault) => return self.report.faults.push(FaultLine::from(&fault)),
        };
        let mut asked: HashMap<&str, Vec<&Reminder<'_>>> = HashMap::new();
        for reminder in reminders.flat_map(|one| std::iter::once(one).chain(&one.together)) {
            if reminder.unfiled.is_none() && !wishes.refused.contains(&*reminder.subject) {
                asked.entry(&reminder.item.id).or_default().push(reminder);
            }
        }
        let measured = match self.measured(built).await {
            Ok(measured) => measured,
            Err(fault) => return self.report.faults.push(FaultLine::from(&fault)),
        };
        for outcome in outcomes {
            let Some(asked) = asked.get(outcome.id.as_str()) else { continue };
            self.world.progress.step(format!("comparing the options of {} people: {}", asked.len(), outcome.id));
            match self.compare_outcome(built, outcome, asked, &wishes, &measured).await {
                Ok(compared) => self.recommended.put(compared),
                Err(fault) => self.report.faults.push(FaultLine::from(&fault)),
            }
        }
    }

    async fn compare_outcome(
        &mut self,
        built: &Built,
        outcome: &Outcome,
        asked: &[&Reminder<'_>],
        wishes: &Wishes,
        measured: &Measured,
    ) -> Result<Compared, Fault> {
        let checked = self.checked;
        let pipeline = &checked.pipeline;
        let calendar = pipeline.calendar.known_on(self.known_on);
        let sheet = Sheet::of(outcome, &pipeline.options, measured, self.now_as_of(), &calendar)
            .map_err(|error| error.fault())?;
        let due_on = asked.iter().map(|reminder| to_days(reminder.obligation.due_on)).collect();
        let wished = asked.iter().map(|reminder| wishes.first.get(&*reminder.subject).copied()).collect();
        let mut cases = Cases::new(&sheet, due_on, wished);
        let table = self.option_table(built, outcome).await?;
        let places: HashMap<&str, usize> =
            asked.iter().enumerate().map(|(at, reminder)| (reminder.obligation.key.as_str(), at)).collect();
        let declared: Vec<String> = outcome.ways.iter().map(|way| way.id.clone()).collect();
        let find = |key: [&str; 3]| places.get(key_of(&outcome.id, key, &self.key).as_str()).copied();
        options::read(&sheet, &declared, &table, &mut cases, find).map_err(|error| error.fault())?;
        let keys = asked.iter().map(|reminder| (reminder.obligation.key.to_string(), reminder.subject.to_string()));
        Ok(Compared { scales: Scales::of(&sheet), cases, keys: keys.collect(), sheet })
    }

    /// What the select of an outcome says.
    async fn option_table(&mut self, built: &Built, outcome: &Outcome) -> Result<crate::tables::Table, Fault> {
        self.option_model(built, TableName::new("options", &outcome.id)).await?.ok_or_else(|| {
            let what =
                format!("the options of {} are not compared tonight: a table that they read is not there", outcome.id);
            let place = Place::file(format!("sql/options/{}.sql", outcome.id));
            Fault::new("run.options-blocked", place, what, "see the fault of that table, or what a check holds")
        })
    }

    /// How long ways take, by the dossiers; nothing where the agency has none to go by.
    async fn measured(&mut self, built: &Built) -> Result<Measured, Fault> {
        let name = TableName::new("quality", "times");
        if self.checked.library.model(&name).is_none() {
            return Ok(Measured::nothing());
        }
        let Some(table) = self.option_model(built, name).await? else { return Ok(Measured::nothing()) };
        Measured::of(&table, self.checked.pipeline.options.measured_least).map_err(|error| error.fault())
    }

    /// The table of a model; none where what it reads is blocked or held, or where there is no such model.
    async fn option_model(&mut self, built: &Built, name: TableName) -> Result<Option<crate::tables::Table>, Fault> {
        let checked = self.checked;
        let Some(model) = checked.library.model(&name) else { return Ok(None) };
        if let Some(table) = built.tables.get(&name) {
            return Ok(Some(table.clone()));
        }
        if model.reads.iter().any(|table| built.is_blocked(table) || built.is_held(table)) {
            return Ok(None);
        }
        let pipeline = &checked.pipeline;
        let (since, until) = (pipeline.since(self.as_of), pipeline.until(self.as_of));
        let bound: Bound = [("$as_of", self.today), ("$until", until), ("$since", since)].into();
        self.tell(Job::Model(&model.name), Ending::Start);
        let made = built.engine.build(model, &bound, contract(pipeline, model).as_ref()).await;
        self.tell(Job::Model(&model.name), if made.is_ok() { Ending::Complete } else { Ending::Fail });
        made.map(Some).map_err(|error| error.fault())
    }

    /// Writes down what is recommended tonight: before a letter says it.
    pub(super) fn record_options(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        let recommended = std::mem::take(&mut self.recommended);
        let night = self.today;
        let mut counts = (0, 0);
        for compared in &recommended.outcomes {
            let (digest, sheet) = (compared.sheet.digest(), compared.sheet.json());
            let decided = decide_all(&compared.sheet, &compared.scales, &compared.cases)
                .marked(|sha256| explained_mark(sha256, &self.key));
            let mut order: Vec<usize> = (0..compared.keys.len()).collect();
            order.sort_unstable_by_key(|at| compared.keys.get(*at).map(|(obligation, _)| obligation));
            let key = self.accounts.key();
            let make = |at: &usize| compared.recommendation(*at, &decided, key, night);
            let of = Sheeted { night, outcome: &compared.sheet.outcome, digest: &digest, sheet: &sheet };
            ledger.recommend(&self.run, of, &order, &make).map_err(|error| error.fault())?;
            let with = order.iter().filter(|at| decided.way(**at).is_some()).count();
            counts.0 += with;
            counts.1 += order.len() - with;
        }
        self.recommended = recommended;
        if counts != (0, 0) {
            let (with, without) = counts;
            self.report.notes.push(format!(
                "Options were compared for {} people: {with} are recommended one, {without} none without harm",
                with + without
            ));
        }
        Ok(())
    }

    /// What a letter says about the ways to what it reminds of; none where nothing is compared.
    pub(super) fn advice(&self, reminder: &Reminder<'_>) -> Option<Advice> {
        let (outcome, at) = self.recommended.places.get(&*reminder.obligation.key)?;
        let compared = self.recommended.outcomes.get(*outcome)?;
        let case = compared.cases.get(*at)?;
        let decision = compared.scales.decide(&case);
        let told = tell(&compared.sheet, &case, &decision, reminder.language);
        (!told.ways.is_empty()).then_some(Advice { recommended: told.recommended, why: told.why, ways: told.ways })
    }
}

impl Recommended {
    /// Whether the comparison says that no way online is open to the person of an obligation. False where nothing was
    /// compared, and where there is no such way at all.
    pub(super) fn is_online_closed(&self, obligation: &str) -> bool {
        let Some((outcome, at)) = self.places.get(obligation) else { return false };
        let Some(compared) = self.outcomes.get(*outcome) else { return false };
        let Some(case) = compared.cases.get(*at) else { return false };
        let online = compared.sheet.ways.iter().zip(case.cells).filter(|(way, _)| way.via == Via::Online);
        let standings: Vec<u8> = online.map(|(_, cell)| cell.standing).collect();
        let is_closed = |standing: &u8| *standing != 0 && *standing != Cell::ABSENT;
        !standings.contains(&0) && standings.iter().any(is_closed)
    }

    fn put(&mut self, compared: Compared) {
        let outcome = self.outcomes.len();
        let places = compared.keys.iter().enumerate();
        self.places.extend(places.map(|(at, (obligation, _))| (obligation.clone(), (outcome, at))));
        self.outcomes.push(compared);
    }
}

impl Compared {
    /// What the ledger keeps of one case.
    fn recommendation<'c>(
        &'c self,
        at: usize,
        decided: &'c Decided,
        key: Option<&SealingKey>,
        night: Date,
    ) -> Recommendation<'c> {
        let (obligation, subject) = self.keys.get(at).map_or(("", ""), |(key, subject)| (key, subject));
        let sealed = self
            .cases
            .get(at)
            .and_then(|case| key?.seal(&ledger::weighed_name(obligation, night), &Weighed::text(&case)));
        let recommended = decided.way(at).and_then(|way| self.sheet.ways.get(way)).map(|way| way.id.as_str());
        Recommendation { obligation, subject, recommended, explained: decided.digest(at), sealed }
    }
}

/// What people said about recommendations, by pseudonym.
#[derive(Default)]
struct Wishes {
    /// Who wants none.
    refused: BTreeSet<String>,
    /// What counts first.
    first: HashMap<String, Criterion>,
}

impl Wishes {
    fn read(ledger: &Ledger) -> Result<Self, Fault> {
        let refused = ledger.without_recommendations().map_err(|error| error.fault())?;
        let said = ledger.first_criteria().map_err(|error| error.fault())?;
        let known = |word: &str| Criterion::WORDS.iter().find(|(known, _)| *known == word).map(|(_, found)| *found);
        // Of several, the one that was said last.
        let first = said.into_iter().filter_map(|(subject, word)| Some((subject, known(&word)?))).collect();
        Ok(Wishes { refused, first })
    }
}

/// The mark of an explanation, by its SHA-256.
fn explained_mark(sha256: &str, key: &PseudonymKey) -> String {
    key.mark("explained", sha256)
}

/// A recommendation that was made again from what the ledger keeps of it.
#[derive(Debug)]
pub struct Regenerated {
    /// What the ledger keeps.
    pub kept: KeptRecommendation,
    /// The sheet of its night.
    pub sheet: Sheet,
    /// Its words; none where what was weighed was erased, or its term is over.
    pub explained: Option<Explained>,
}

/// What was recommended about the obligations whose key begins so, made again from the ledger alone: the newest first.
///
/// # Errors
///
/// Where nothing was, where it cannot be opened, and where it is no longer what was said then.
pub fn recommended(world: &World, prefix: &str) -> Result<Vec<Regenerated>, Fault> {
    const MOST: usize = 50;
    let prefix = super::explain::key_prefix(prefix)?;
    let ledger = Ledger::read(&world.state).map_err(|error| error.fault())?;
    let kept = ledger.recommendations_like(&prefix, MOST).map_err(|error| error.fault())?;
    kept.into_iter().map(|kept| regenerate(world, &ledger, kept)).collect()
}

fn regenerate(world: &World, ledger: &Ledger, kept: KeptRecommendation) -> Result<Regenerated, Fault> {
    let sheet = Sheet::from_json(&kept.sheet, &kept.outcome).map_err(|error| error.fault())?;
    let Some(sealed) = &kept.sealed else { return Ok(Regenerated { kept, sheet, explained: None }) };
    let fault = |code, what: &str| {
        let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
        Fault::new(code, Place::file(ledger.path()), what, next)
    };
    let key = world.opening_key().map_err(|error| error.fault())?;
    let weighed = key.open(&ledger::weighed_name(&kept.obligation, kept.night), sealed);
    let weighed = weighed.and_then(|weighed| Weighed::read(weighed.reveal()));
    let what =
        "what was weighed for a recommendation cannot be opened: it was sealed with another key, or changed since";
    let weighed = weighed.ok_or_else(|| fault("explain.sealed", what))?;
    let case = weighed.case();
    let decision = Scales::of(&sheet).decide(&case);
    let explained = Explained::of(&sheet, &case, &decision);
    let way = decision.recommended().and_then(|at| sheet.ways.get(at)).map(|way| way.id.clone());
    // Earlier versions kept the hash itself.
    let is_the_same = explained.sha256 == kept.explained || {
        let key = world.opening_pseudonym_key().map_err(|error| error.fault())?;
        explained_mark(&explained.sha256, &key) == kept.explained
    };
    if !is_the_same || way != kept.recommended {
        let what = "this version of the program would not say what was said then: the explanation has another hash";
        return Err(fault("explain.not-the-same", what));
    }
    Ok(Regenerated { kept, sheet, explained: Some(explained) })
}
