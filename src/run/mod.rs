//! One night, top to bottom: the whole product in one function.
//!
//! ```text
//! pull → build → obligations → follow → reminders → record → send
//!             └→ satisfaction, quality → release → publish → push → report
//! ```
//!
//! Each step is in a file of its own beside this one; each decision is in its
//! chapter. This is where the world meets them.

mod accounts;
mod analyst;
mod aside;
mod attend;
mod bounces;
mod budget;
mod build;
mod change;
mod channels;
mod depart;
mod dossiers;
mod erase;
mod exact;
mod explain;
mod figures;
mod follow;
pub mod leaving;
mod lineage;
mod made;
mod options;
mod provenance;
mod pull;
mod push;
mod quality;
mod ratings;
mod recheck;
pub mod remind;
mod sealed;
mod shelf;
mod tokens;
mod trace;
mod unfiled;
mod watched;
mod weeks;
mod window;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::calendar::{AsOf, Day, now, vietnam};
use crate::check::{self, Checked};
use crate::fault::{Explain, Fault, Place};
use crate::landing::Store;
use crate::ledger::{Checkpoint, Ledger, Lock, RunOutcome, verify};
use crate::lineage::{Ending, Job};
use crate::obligations::Obligation;
use crate::personal::PseudonymKey;
use crate::pipeline::Rho;
use crate::reminders::plan;
use crate::reminders::window::{Hour, Window};
use crate::report::change::Changes;
use crate::report::{FaultLine, Report};
use crate::world::World;

pub use analyst::{inquire, listed};
pub use bounces::{Back, bounces};
pub use budget::{Budget, budget};
pub use dossiers::confirmed_dossiers;
pub use erase::{Erased, erase};
pub use explain::{explain, is_taken, stored};
pub use options::{Regenerated, recommended};
pub use push::{Pushed, push};
pub use quality::{Asked, judge, note_look, prove, quality};
pub use shelf::{Asked as AskedTable, let_pass, restate, withdraw};
pub use tokens::{issue_tokens, rating_texts};
pub use trace::{NightAnswer, Opened, Question, Story, Whom, trace};
pub use window::{NIGHTS_MAX, window};

/// Runs the night of `as_of` and reports it.
///
/// Once the run has begun, a fault is part of the report, beside what was done
/// before it: that stays done and recorded. An error here means that the run did
/// not begin, or that its end could not be recorded.
pub async fn run(world: &World, checked: &Checked, as_of: AsOf, accept: &[String]) -> Result<Report, Fault> {
    run_for(Purpose::Night, world, checked, as_of, accept).await
}

/// Sends what waited for the sending window: looks again at everything and sends what stands. It publishes nothing.
///
/// Errors as [`run`], and where the window is closed.
pub async fn send(world: &World, checked: &Checked, as_of: AsOf, accept: &[String]) -> Result<Report, Fault> {
    if let Hour::Closed(until) = Window::of(&checked.pipeline, world.today.unwrap_or(as_of.date())).at(now()) {
        let until = until.to_zoned(vietnam()).strftime("%Y-%m-%d %H:%M");
        let what = format!("the sending window is closed until {until}");
        let next = "start it when the window is open, or leave it to `chudong schedule`";
        return Err(Fault::new("run.window-closed", Place::file(&checked.pipeline.path), what, next));
    }
    run_for(Purpose::Send, world, checked, as_of, accept).await
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The whole night.
    Night,
    /// Only what waits to be sent.
    Send,
}

async fn run_for(
    purpose: Purpose,
    world: &World,
    checked: &Checked,
    as_of: AsOf,
    accept: &[String],
) -> Result<Report, Fault> {
    refuse(checked, as_of.into())?;
    world.make_state().map_err(|error| error.fault())?;
    let _lock = Lock::take(&world.state).map_err(|error| error.fault())?;
    // Nothing is sent on a ledger that is gone or broken: everybody might be reminded again.
    world.refuse_lost_ledger().map_err(|error| error.fault())?;
    let before = refuse_broken(world)?;
    let key = world.pseudonym_key().map_err(|error| error.fault())?;
    let mut ledger = Ledger::open(&world.state, &checked.pipeline.id).map_err(|error| error.fault())?;
    let run = ledger.begin_run(as_of).map_err(|error| error.fault())?;
    let mut night = Night {
        world,
        checked,
        as_of,
        known_on: as_of.date(),
        today: world.today.map_or(as_of.date(), |today| today.max(as_of.date())),
        pulled_at: now(),
        looked_at: now(),
        key,
        run: run.clone(),
        purpose,
        accept: accept.to_vec(),
        heard_until: 0,
        spent: Vec::new(),
        closed: plan::Standing::default(),
        settled: HashMap::new(),
        waiting: unfiled::Waiting::new(),
        absent: Vec::new(),
        unfiled: BTreeMap::new(),
        accounts: accounts::Accounts::default(),
        dossiers: dossiers::Links::new(),
        recommended: options::Recommended::default(),
        events: Vec::new(),
        report: new_report(checked, as_of),
        post: std::sync::OnceLock::new(),
    };
    night.report.run = Some(run.clone());
    night.tell(Job::Night, Ending::Start);
    let worked = night.work(&mut ledger).await;
    night.tell(Job::Night, if worked.is_ok() { Ending::Complete } else { Ending::Fail });
    let told = night.write_lineage();
    world.progress.done();
    let mut report = night.report;
    for fault in [&worked, &told].into_iter().filter_map(|done| done.as_ref().err()) {
        report.faults.push(FaultLine::from(fault));
    }
    if worked.is_ok() && report.did_nothing_new() {
        report.notes.push(NOTHING_NEW.into());
    }
    look(world, &mut report);
    // It is a finding aid: what it lacks is read when somebody asks, and the night is as good without it.
    if let Err(error) = ledger.index_mentions() {
        report.faults.push(FaultLine::from(&error.fault()));
    }
    let checkpoint = match before.map(|before| checkpoint(world, before)).transpose() {
        Ok(checkpoint) => checkpoint,
        Err(fault) => {
            report.faults.push(FaultLine::from(&fault));
            None
        }
    };
    let outcome = match (purpose, report.settle()) {
        // It proves no night: what the night has to do beside sending is not done by it.
        (Purpose::Send, RunOutcome::Done | RunOutcome::Held) => RunOutcome::Sent,
        (_, outcome) => outcome,
    };
    ledger.finish_run(&run, outcome, &json!(report)).map_err(|error| error.fault())?;
    let key = world.pseudonym_key().map_err(|error| error.fault())?;
    match checkpoint {
        Some(checkpoint) => ledger.anchor_verified(&checkpoint, &key),
        None => ledger.anchor(),
    }
    .map_err(|error| error.fault())?;
    Ok(report)
}

/// Says what the night of `as_of` would do, and how it differs from the last run. Nothing is written.
///
/// `day` is seen with the knowledge of its `known_on`: a law that was enacted later does not count.
pub async fn plan(world: &World, checked: &Checked, day: impl Into<Day>) -> Result<Report, Fault> {
    let Day { as_of, known_on } = day.into();
    refuse(checked, Day { as_of, known_on })?;
    let key = world.pseudonym_key_or_new().map_err(|error| error.fault())?;
    let ledger = ledger_of(world, checked)?;
    let mut night = Night::to_plan(world, checked, Day { as_of, known_on }, key);
    let mut landed = night.pull(&Store::beside(world.landing()));
    if let Some(ledger) = &ledger {
        night.weigh(ledger, &mut landed)?;
        night.know_waiting(ledger)?;
        night.know_unfiled(ledger)?;
        night.know_settled(ledger)?;
    }
    let answers = landed.take_answers();
    let mut built = night.build(landed).await?;
    night.count_ratings(ledger.as_ref(), &mut built, &answers).await?;
    night.tabulate(&mut built).await;
    let obligations = night.obligations(&mut built, |_| true).await?;
    let mut obligations = night.hold_changes(ledger.as_ref(), &mut built, obligations)?;
    night.followed(ledger.as_ref(), &built, &obligations).await?;
    obligations.append(&mut night.absent);
    night.preview(ledger.as_ref(), &built, &obligations).await?;
    night.foresee(ledger.as_ref(), &built)?;
    night.foresee_exact(ledger.as_ref())?;
    world.progress.done();
    let mut report = night.report;
    compare(ledger.as_ref(), &mut report)?;
    report.settle();
    Ok(report)
}

/// The ledger as it is, for reading; none before the first run.
fn ledger_of(world: &World, checked: &Checked) -> Result<Option<Ledger>, Fault> {
    match Ledger::read(&world.state) {
        Ok(ledger) => {
            ledger.belongs_to(&checked.pipeline.id).map_err(|error| error.fault())?;
            Ok(Some(ledger))
        }
        Err(crate::ledger::Error::None { .. }) => Ok(None),
        Err(error) => Err(error.fault()),
    }
}

/// What a second run of the same night says.
const NOTHING_NEW: &str = "Nothing was left to do: no message was written, no privacy budget was spent, and every published file has the same bytes.";

/// A night under way.
struct Night<'a> {
    world: &'a World,
    checked: &'a Checked,
    as_of: AsOf,
    /// What was decided after this date is not known.
    known_on: Date,
    /// The day on which messages leave: a night that is caught up proves its own day, and writes to people on this one.
    today: Date,
    /// Since when what was read of the sources may be out of date.
    pulled_at: Timestamp,
    /// When what is to be sent was last compared with what was read.
    looked_at: Timestamp,
    key: PseudonymKey,
    run: String,
    purpose: Purpose,
    /// Tables whose volume a person accepted.
    accept: Vec<String>,
    /// The newest preference that was looked at.
    heard_until: i64,
    /// What this run reserved and drew, by month.
    spent: Vec<(String, Rho)>,
    /// Which channels are closed to whom: refusals and addresses that do not work.
    closed: plan::Standing,
    /// Obligations that a dossier has settled, by item and key, with the day on which it was handed in.
    settled: HashMap<(String, String), Date>,
    /// The obligations of which a confirmed dossier has not left: their persons are looked up, whatever is due.
    waiting: unfiled::Waiting,
    /// Those of them that are not among tonight's obligations: nothing is due any more, and somebody waits to be told.
    absent: Vec<Obligation>,
    /// The confirmed dossiers that are not handed in, by the key of their obligation.
    unfiled: BTreeMap<String, unfiled::NotFiled>,
    /// How the due dates of tonight's reminders came about.
    accounts: accounts::Accounts,
    /// The dossiers that were prepared tonight, by the key of their obligation.
    dossiers: dossiers::Links,
    /// Which ways are recommended to those who are written to tonight.
    recommended: options::Recommended,
    /// What each job has come to, as OpenLineage events.
    events: Vec<Value>,
    report: Report,
    /// What every message has from the agency; open when there is something to write.
    post: std::sync::OnceLock<crate::delivery::Post>,
}

impl<'a> Night<'a> {
    /// A night that is only planned: it has no run.
    fn to_plan(world: &'a World, checked: &'a Checked, day: Day, key: PseudonymKey) -> Self {
        Night {
            world,
            checked,
            as_of: day.as_of,
            known_on: day.known_on,
            today: day.as_of.date(),
            pulled_at: now(),
            looked_at: now(),
            key,
            run: String::new(),
            purpose: Purpose::Night,
            accept: Vec::new(),
            heard_until: 0,
            spent: Vec::new(),
            closed: plan::Standing::default(),
            settled: HashMap::new(),
            waiting: unfiled::Waiting::new(),
            absent: Vec::new(),
            unfiled: BTreeMap::new(),
            accounts: accounts::Accounts::default(),
            dossiers: dossiers::Links::new(),
            recommended: options::Recommended::default(),
            events: Vec::new(),
            report: new_report(checked, day.as_of),
            post: std::sync::OnceLock::new(),
        }
    }
}

impl Night<'_> {
    /// The day by which people are written to.
    fn now_as_of(&self) -> AsOf {
        AsOf::new(self.today)
    }

    fn day(&self) -> Day {
        Day { as_of: self.as_of, known_on: self.known_on }
    }

    async fn work(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        // Before anything else is said: whoever refused is not written to because of an old ledger.
        let said = ledger.take_over_said().map_err(|error| error.fault())?;
        if said > 0 {
            self.report.notes.push(format!(
                "{said} refusals, wishes, decisions, suppressions or stops were not known to this ledger: the journal knew them"
            ));
        }
        let drawn = ledger.take_over_drawn().map_err(|error| error.fault())?;
        if drawn > 0 {
            self.report.notes.push(format!(
                "{drawn} draws of figures were not known to this ledger: the journal knew them, and they count as spent"
            ));
        }
        let recovered = ledger.recover(&self.run).map_err(|error| error.fault())?;
        if recovered.adopted > 0 {
            let adopted = recovered.adopted;
            self.report
                .notes
                .push(format!("{adopted} messages were sent that this ledger did not know: the journal did"));
        }
        let died = recovered.uncertain;
        if died > 0 {
            self.report.notes.push(format!(
                "{died} messages were in flight when an earlier run ended; each is settled by its item's policy"
            ));
        }
        self.read_mailbox(ledger).await;
        self.follow_dossiers(ledger).await?;
        let mut landed = self.pull(&Store::Folder(self.world.landing()));
        self.weigh(ledger, &mut landed)?;
        self.record_pulls(ledger, &landed)?;
        let answers = landed.take_answers();
        let mut built = self.build(landed).await?;
        if self.purpose == Purpose::Night {
            let fresh = self.count_ratings(Some(ledger), &mut built, &answers).await?;
            self.keep_ratings(ledger, fresh)?;
            self.tabulate(&mut built).await;
        }
        drop(answers);
        let obligations = self.obligations(&mut built, |_| true).await?;
        let mut obligations = self.hold_changes(Some(ledger), &mut built, obligations)?;
        self.follow(ledger, &built, &obligations).await?;
        obligations.append(&mut self.absent);
        self.leave_dossiers(ledger, &built, &obligations).await?;
        self.send(ledger, &mut built, &obligations).await?;
        self.tell_requests(ledger)?;
        self.settle_dossiers(ledger)?;
        self.forget_sealed(ledger)?;
        self.forget_rating_texts(ledger)?;
        if self.purpose == Purpose::Send {
            return Ok(());
        }
        // Neither kind of figures waits for the other, the pages show both, and the rating system is told of both.
        let exact = self.publish_exact(ledger, &built).await;
        self.publish(ledger, &built)?;
        exact?;
        self.push(ledger).await
    }
}

/// A ledger up to this size is verified as a whole before each run: that takes a few seconds.
const WHOLE_BYTES: u64 = 256 << 20;

/// A larger one as a whole once in so many days, after the night, when nobody waits.
const WHOLE_DAYS: i32 = 7;

/// Nothing is sent on a ledger that somebody changed. One whose making was cut off, by a full disk, has not begun.
fn refuse_broken(world: &World) -> Result<Option<verify::Before>, Fault> {
    if !Ledger::has_begun(&world.state) {
        return Ok(None);
    }
    // Without the key nothing that was noted is believed.
    let key = world.opening_pseudonym_key().ok();
    match verify::verify_before_run(&world.state, key.as_ref(), WHOLE_BYTES) {
        Ok(mut before) => {
            let first = before.verified.faults.drain(..).next();
            first.map_or(Ok(Some(before)), Err)
        }
        Err(crate::ledger::Error::None { .. }) => Ok(None),
        Err(error) => Err(error.fault()),
    }
}

/// How far the ledger is verified at the end of a run; as a whole, where that is due.
fn checkpoint(world: &World, before: verify::Before) -> Result<Checkpoint, Fault> {
    let today = remind::today();
    let Some(since) = before.since else { return Ok(Checkpoint { head: before.verified.head, whole_on: today }) };
    // A day that lies ahead was noted by a clock that was wrong.
    if (0..WHOLE_DAYS).contains(&(today - since.whole_on).get_days()) {
        return Ok(Checkpoint { head: before.verified.head, whole_on: since.whole_on });
    }
    world.progress.step("verifying the whole ledger");
    let whole = verify::verify(&world.state).map_err(|error| error.fault())?;
    match whole.faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(Checkpoint { head: whole.head, whole_on: today }),
    }
}

fn new_report(checked: &Checked, as_of: AsOf) -> Report {
    Report { agency: checked.pipeline.id.clone(), as_of: as_of.to_string(), ..Report::default() }
}

/// A source without a term stops the night before it begins.
fn refuse(checked: &Checked, day: Day) -> Result<(), Fault> {
    match check::faults_on(&checked.pipeline, day).into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

fn look(world: &World, report: &mut Report) {
    report.look.insert("messages".into(), world.outbox());
    report.look.insert("set aside".into(), world.landing());
    report.look.insert("figures".into(), world.published().join("index.html"));
    report.look.insert("ledger".into(), world.state.join("ledger.sqlite"));
    report.look.retain(|_, path| path.exists());
}

/// Puts the difference from the last run that ended into the notes.
fn compare(ledger: Option<&Ledger>, report: &mut Report) -> Result<(), Fault> {
    let Some(ledger) = ledger else {
        report.notes.push("There was no night before this one.".into());
        return Ok(());
    };
    let Some((last, earlier)) = last_night(ledger, &report.as_of)? else {
        report.notes.push("There is no earlier night that ended to compare with.".into());
        return Ok(());
    };
    report.notes.push(format!("Difference from the night of {last}:"));
    let lines = report.difference(&earlier);
    report.notes.extend(lines.into_iter().map(|line| format!("  {line}")));
    Ok(())
}

/// The last night before a date that ended, and what it came to; a night that was run twice is one night.
fn last_night(ledger: &Ledger, as_of: &str) -> Result<Option<(String, Report)>, Fault> {
    let runs = ledger.runs().map_err(|error| error.fault())?;
    let is_over = |outcome: &Option<String>| outcome.as_deref().is_some_and(|word| word != RunOutcome::Failed.word());
    // Dates in ISO 8601 are in order as text.
    let earlier = runs.iter().filter(|run| is_over(&run.outcome) && run.as_of.as_str() < as_of);
    let Some(last) = earlier.clone().map(|run| run.as_of.clone()).max() else { return Ok(None) };
    let night = earlier.filter(|run| run.as_of == last);
    let reports = night.filter_map(|run| serde_json::from_str::<Report>(run.summary.as_deref()?).ok());
    Ok(reports.reduce(Report::together).map(|report| (last, report)))
}

/// What tonight's plan comes to beside the last night that ended, by item and commune.
pub fn changes(world: &World, checked: &Checked, plan: &Report) -> Result<Changes, Fault> {
    let Some(ledger) = ledger_of(world, checked)? else { return Ok(plan.changes(None)) };
    let last = last_night(&ledger, &plan.as_of)?;
    Ok(plan.changes(last.as_ref().map(|(night, report)| (night.as_str(), report))))
}
