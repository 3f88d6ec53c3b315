//! What every night of a window would do: pulled once, then decided night by night.
//!
//! Each night is as it would be if it ran and nothing changed in the sources: with the law of that night, the
//! rows that its filters ask for, and the messages of the nights before it taken for delivered. All of it is in
//! memory; nothing is written into the state folder.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::Night;
use super::pull::Harvest;
use super::remind::history;
use crate::calendar::cron::Cron;
use crate::calendar::{AsOf, Day, vietnam};
use crate::check::{self, Checked};
use crate::fault::{Explain, Fault, Place};
use crate::landing::Store;
use crate::pipeline::Source;
use crate::pipeline::filter::{Dates, Dialect};
use crate::reminders::plan::{Before, History, Told};
use crate::report::FaultLine;
use crate::report::window::{ItemNight, Window};
use crate::tables::{Stored, TableName};
use crate::world::World;

/// The longest window: a year, and a month to look back.
pub const NIGHTS_MAX: usize = 400;

/// Says what the nights from one date to another, both included, would do: each with the law as it was known on
/// that night, or on `known_on`.
pub async fn window(
    world: &World,
    checked: &Checked,
    from: AsOf,
    to: AsOf,
    known_on: Option<Date>,
) -> Result<Window, Fault> {
    let pipeline = &checked.pipeline;
    let nights = nights(&pipeline.schedule.cron, from, to)?;
    let key = world.pseudonym_key_or_new().map_err(|error| error.fault())?;
    let ledger = super::ledger_of(world, checked)?;
    // What was sent before the window counts; what was sent in it is decided again.
    let mut history = match &ledger {
        Some(ledger) => history(ledger, |row| row.run.get(..10).is_some_and(|day| day < from.to_string().as_str()))?,
        None => History::default(),
    };
    let day = |as_of: AsOf| Day { as_of, known_on: known_on.unwrap_or(as_of.date()) };
    // A table whose filter cannot be made is left out of its night; a plan of many nights pulls once for all of them,
    // and refuses such a night.
    let faults_on = |as_of: AsOf| {
        let gaps = check::gaps_on(pipeline, &checked.library, day(as_of)).into_iter();
        let of_tables = gaps.filter(|gap| gap.items.is_empty()).map(|gap| gap.fault);
        check::faults_on(pipeline, day(as_of)).into_iter().chain(of_tables).collect::<Vec<_>>()
    };
    let mut window = Window::new(&pipeline.id, from, to);
    let (open, refused): (Vec<AsOf>, Vec<AsOf>) = nights.iter().partition(|night| faults_on(**night).is_empty());
    let Some(first) = open.iter().find(|night| **night >= from) else {
        // Not one night could be run: the first fault is the answer.
        return Err(faults_on(from).into_iter().next().unwrap_or_else(|| no_night(from, to)));
    };
    for night in refused.into_iter().filter(|night| *night >= from) {
        let fault = faults_on(night).into_iter().next();
        window.refused.extend(fault.map(|fault| (night.to_string(), FaultLine::from(&fault))));
    }
    let mut pulling = Night::to_plan(world, checked, day(*first), key.clone());
    let days: Vec<Day> = open.iter().map(|night| day(*night)).collect();
    let sources = over(&pipeline.sources, checked, &days)?;
    // Volumes are not weighed: the rows of all nights together are more than those of one.
    let harvest = pulling.pull_of(&sources, &Store::beside(world.landing()));
    window.take(pulling.report);
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for as_of in open {
        world.progress.step(format!("the night of {as_of}"));
        let mut night = Night::to_plan(world, checked, day(as_of), key.clone());
        let lines = night.simulate(&harvest, &mut history, &mut known, as_of >= from).await?;
        window.night(as_of, lines, night.report);
    }
    world.progress.done();
    Ok(window)
}

impl Night<'_> {
    /// Decides one night and takes its messages for delivered. One before the window only shows what is known by then.
    async fn simulate(
        &mut self,
        harvest: &Harvest,
        history: &mut History,
        known: &mut BTreeMap<String, BTreeSet<String>>,
        counts: bool,
    ) -> Result<Vec<ItemNight>, Fault> {
        let mut tonight: Vec<(&TableName, Stored)> = Vec::with_capacity(harvest.landed.len());
        for landed in &harvest.landed {
            tonight.push((&landed.name, self.of_tonight(&landed.name, &landed.stored)?));
        }
        let stored = tonight.iter().map(|(name, stored)| (*name, stored));
        let mut built = self.stage(stored, (&harvest.blocked, &harvest.held), |_| true).await?;
        let obligations = self.obligations(&mut built, |_| true).await?;
        let mut lines: BTreeMap<String, ItemNight> = BTreeMap::new();
        for line in &self.report.items {
            let standing = line.obligations;
            lines.insert(line.item.clone(), ItemNight { item: line.item.clone(), standing, ..ItemNight::default() });
        }
        // What is done or past already when it is first seen is no work of the window.
        for obligation in obligations.iter().filter(|obligation| obligation.is_open(self.as_of)) {
            let is_new = known.entry(obligation.item.to_string()).or_default().insert(obligation.key.to_string());
            if let Some(line) = lines.get_mut(&*obligation.item).filter(|_| is_new) {
                line.arise += 1;
            }
        }
        if !counts {
            return Ok(Vec::new());
        }
        let people = self.recipients(&built)?;
        let mut plan = self.decide(&obligations, people.as_ref(), history)?;
        let reminders = std::mem::take(&mut plan.reminders);
        self.open_post()?;
        let standing = self.standing();
        // Written as on the night itself: a letter that cannot be written is not counted.
        for (record, _) in self.write(&reminders, &standing, &mut plan) {
            if let Some(line) = lines.get_mut(&record.item) {
                line.messages += 1;
            }
            let days = history.sent.entry(record.subject).or_default();
            // Of a digest, one is the message.
            if !(self.checked.pipeline.attention.is_digested && days.last() == Some(&self.as_of.date())) {
                days.push(self.as_of.date());
            }
            let told_of = record.obligation.clone();
            let shortest = history.shortest_sent.entry(record.obligation).or_insert(record.stage_notice_days);
            *shortest = record.stage_notice_days.min(*shortest);
            let told = Told { due_on: record.due_on, message: record.key.0.clone() };
            history.told.insert(told_of, told);
            history.messages.insert(record.key.0, Before::Sent);
        }
        self.count_held(&plan);
        Ok(lines.into_values().collect())
    }

    /// A table as it would be tonight: of the rows that were pulled for the whole window, those that tonight's filter asks for.
    fn of_tonight(&self, name: &TableName, stored: &Stored) -> Result<Stored, Fault> {
        let pipeline = &self.checked.pipeline;
        let table = pipeline.source(&name.schema).and_then(|s| s.tables.iter().find(|table| table.name == name.table));
        let Some(filter) = table.and_then(|table| table.filter.as_ref()) else { return Ok(stored.clone()) };
        let condition = filter.on(dates(self.checked, self.day())).map_err(|what| no_filter(name, what))?;
        Ok(Stored { condition: Some(condition.sql(Dialect::Standard)), ..stored.clone() })
    }
}

/// The sources, asked for every row that one of the nights asks for.
fn over(sources: &[Source], checked: &Checked, nights: &[Day]) -> Result<Vec<Source>, Fault> {
    let dates: Vec<Dates<'_>> = nights.iter().map(|night| dates(checked, *night)).collect();
    let mut sources = sources.to_vec();
    for source in &mut sources {
        for table in &mut source.tables {
            let name = TableName::new(&source.name, &table.name);
            let wide = table.filter.as_ref().map(|filter| filter.over(&dates)).transpose();
            table.filter = wide.map_err(|what| no_filter(&name, what))?;
        }
    }
    Ok(sources)
}

fn dates(checked: &Checked, day: Day) -> Dates<'_> {
    let pipeline = &checked.pipeline;
    let (until, since) = (pipeline.until(day.as_of), pipeline.since(day.as_of));
    Dates { as_of: day.as_of.date(), until, since, known_on: day.known_on, law: &pipeline.law }
}

fn no_filter(table: &TableName, what: String) -> Fault {
    let next = "correct the filter of the table, or the rule that it names";
    Fault::new("landing.filter", Place::Table(table.to_string()), format!("the filter cannot be made: {what}"), next)
}

/// The nights on which the schedule fires, with the one before them: what stands by then does not arise in the window.
fn nights(cron: &str, from: AsOf, to: AsOf) -> Result<Vec<AsOf>, Fault> {
    let refused = |what: String, next: &str| Fault::new("plan.window", Place::Thing("the window".into()), what, next);
    let days = i64::from(crate::calendar::to_days(to.date())) - i64::from(crate::calendar::to_days(from.date())) + 1;
    if days < 1 {
        let what = format!("the window ends on {to}, before it begins on {from}");
        return Err(refused(what, "name the earlier date with --from"));
    }
    if usize::try_from(days).is_ok_and(|days| days > NIGHTS_MAX) {
        let what = format!("the window has {days} nights, and {NIGHTS_MAX} are the most");
        return Err(refused(what, "ask for a shorter one, and for the rest in another plan"));
    }
    let cron = Cron::parse(cron).map_err(|why| refused(why.to_string(), "correct the schedule of the pipeline"))?;
    let fires = |day: &Date| {
        let before = end_of(day.yesterday().ok()?)?;
        let next = cron.next_after(before)?.to_zoned(vietnam()).date();
        (next == *day).then_some(AsOf::new(*day))
    };
    // A schedule that fires on fewer days than one in a month has nothing before the window that is worth a look.
    let earlier = (1..=31_i64).find_map(|back| fires(&from.date().checked_sub(back.days()).ok()?));
    let within = (0..days).filter_map(|ahead| fires(&from.date().checked_add(ahead.days()).ok()?));
    let nights: Vec<AsOf> = within.collect();
    if nights.is_empty() {
        return Err(no_night(from, to));
    }
    Ok(earlier.into_iter().chain(nights).collect())
}

fn no_night(from: AsOf, to: AsOf) -> Fault {
    let what = format!("the schedule fires on no night from {from} to {to}");
    Fault::new("plan.window", Place::Thing("the window".into()), what, "ask for a longer window")
}

fn end_of(day: Date) -> Option<jiff::Timestamp> {
    day.at(23, 59, 59, 0).to_zoned(vietnam()).ok().map(|zoned| zoned.timestamp())
}
