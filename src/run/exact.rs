//! Step five: exact tables of closed months and quarters, decided once, and published from what was decided.
//!
//! All tables of a month that are not decided yet are protected, attacked and admitted together; what may leave is
//! committed to the ledger before a file is written, and every file is made of what the ledger keeps. So a crash
//! leaves all of a decision or none of it, and a late record changes nothing that is out.

use std::path::PathBuf;

use super::Night;
use super::build::Built;
use crate::disclosure::cells::Cube;
use crate::disclosure::exact::{Closing, Decided, Outcome, is_made};
use crate::disclosure::{Month, Period, Released, closed_months, whole_quarters};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{ExactDecision, KeptExact, Ledger};
use crate::pipeline::exact::ExactPolicy;
use crate::publication::{self, Labels};
use crate::report::{ExactLine, FaultLine};
use crate::tables::{Table, TableName};

/// What a closed month has become of: its tables as the ledger keeps them.
struct Shown {
    decided: Decided,
    kept: KeptExact,
}

/// How many days before the end of a month the newest dossier may lie: a weekend and a holiday.
const REACH_DAYS: i64 = 7;

impl Night<'_> {
    /// Decides about what has closed, and publishes what is decided or proves that it stands as it was published.
    pub(super) async fn publish_exact(&mut self, ledger: &mut Ledger, built: &Built) -> Result<(), Fault> {
        let Some(policy) = self.checked.pipeline.exact.as_ref() else { return Ok(()) };
        let mut shown = shown(ledger)?;
        for period in self.closed(policy) {
            if open(policy, period, &shown) == 0 {
                if let Period::Month(month) = period {
                    self.tell_changed(built, month, &shown)?;
                }
                continue;
            }
            self.world.progress.step(format!("deciding about exact counts of {period}"));
            let decided = self.decide_period(ledger, built, policy, period, &shown).await?;
            if decided.is_empty() {
                continue;
            }
            record(ledger, &self.run, &decided)?;
            shown = self::shown(ledger)?;
        }
        for one in &shown {
            self.shelve(ledger, one)?;
        }
        if self.checked.pipeline.privacy.is_none() {
            // Where there are noisy figures too, the pages are written after those.
            let labels = super::shelf::labels(self.checked)?;
            publication::page(&self.world.published(), &on_the_shelf(ledger)?, &labels)
                .map_err(|error| error.fault())?;
        }
        Ok(())
    }

    /// Says which months would be decided, for a plan.
    pub(super) fn foresee_exact(&mut self, ledger: Option<&Ledger>) -> Result<(), Fault> {
        let Some(policy) = self.checked.pipeline.exact.as_ref() else { return Ok(()) };
        let shown = ledger.map_or(Ok(Vec::new()), shown)?;
        for period in self.closed(policy) {
            let tables = open(policy, period, &shown);
            if tables > 0 {
                let line =
                    ExactLine { period: period.to_string(), status: "would decide".into(), ..ExactLine::default() };
                self.report.exact.push(ExactLine { tables: tables as u64, ..line });
            }
        }
        Ok(())
    }

    /// What has closed: the months, then the quarters that are whole, in order.
    fn closed(&self, policy: &ExactPolicy) -> Vec<Period> {
        let months = closed_months(Month::of(policy.first_month), self.as_of, policy.close_after_days);
        let quarters = whole_quarters(&months).into_iter().map(Period::Quarter);
        months.iter().copied().map(Period::Month).chain(quarters).collect()
    }

    fn closing<'p>(&'p self, policy: &'p ExactPolicy) -> Closing<'p> {
        let pipeline = &self.checked.pipeline;
        let privacy = pipeline.privacy.as_ref();
        Closing { policy, privacy, unit: &pipeline.unit, groups: &pipeline.procedure_groups }
    }

    /// The tables of a period that may leave; each that may not is held, with its fault.
    async fn decide_period(
        &mut self,
        ledger: &Ledger,
        built: &Built,
        policy: &ExactPolicy,
        period: Period,
        shown: &[Shown],
    ) -> Result<Vec<Decided>, Fault> {
        let Some(counts) = built.tables.get(&counted()) else {
            // The source failed, which is a fault of its own, or a check holds it.
            if built.is_held(&counted()) {
                self.hold_exact(period, "a check holds the dossiers");
            }
            return Ok(Vec::new());
        };
        if !reaches(built, period)? {
            self.hold_exact(period, "the dossiers end before it does, as if a file were cut short");
            return Ok(Vec::new());
        }
        let before: Vec<Decided> = shown.iter().map(|one| one.decided.clone()).collect();
        let mut outcomes = Vec::new();
        let is_open = |name: &str| !before.iter().any(|known| known.is(name, period));
        if policy.tables.iter().any(|table| is_made(table, period) && is_open(&table.table)) {
            let closing = self.closing(policy);
            let frame = Closing::frame(period, &before);
            let (cube, left_out) = closing.count(frame, counts)?;
            if let Some(changed) = changed_since(frame, period, &before, &cube) {
                let what = "what was decided stays as it is, and a table beside it would show the difference";
                self.report.notes.push(format!(
                    "Exact tables of {period} are not made: dossiers of {changed} changed after its tables were decided; {what}."
                ));
                return Ok(Vec::new());
            }
            outcomes.push(closing.decide(
                period,
                &cube,
                &before,
                &self.provenance(built, &counted(), &period.months()),
            ));
            if left_out > 0 {
                let what = "with a commune or procedure outside the public lists";
                self.report.notes.push(format!("{period}: {left_out} dossiers not in exact tables: {what}"));
            }
        }
        match period {
            Period::Month(month) if policy.scores.iter().any(|sheet| is_open(&sheet.table)) => {
                outcomes.push(self.decide_scores(built, policy, month, &before).await);
            }
            _ => {}
        }
        match period {
            Period::Month(month) if policy.options.iter().any(|table| is_open(&table.table)) => {
                let pipeline = &self.checked.pipeline;
                let closing =
                    Closing { policy, privacy: None, unit: &pipeline.unit, groups: &pipeline.procedure_groups };
                outcomes.push(self.decide_watched(ledger, built, (&closing, month), &before));
            }
            _ => {}
        }
        let mut all = Vec::new();
        for Outcome { decided, held } in outcomes {
            all.extend(decided);
            for (table, fault) in held {
                let mut line = FaultLine::from(&fault);
                line.what = format!("{table} of {period} is held: {}", line.what);
                self.report.faults.push(line);
                self.report.exact.push(ExactLine {
                    period: period.to_string(),
                    status: "refused".into(),
                    tables: 1,
                    ..ExactLine::default()
                });
            }
        }
        Ok(all)
    }

    async fn decide_scores(&self, built: &Built, policy: &ExactPolicy, month: Month, before: &[Decided]) -> Outcome {
        let closing = self.closing(policy);
        let found = match self.score_sheets(built, policy, month).await {
            Ok((sheets, sums)) => closing.count_flags(month, &sheets, &sums).map(|cube| (sheets, cube)),
            Err(fault) => Err(fault),
        };
        match found {
            Ok((sheets, cube)) => closing.decide_scores(month, &cube, &sheets, before),
            Err(fault) => {
                let held = policy.scores.iter().map(|sheet| (sheet.table.clone(), fault.clone())).collect();
                Outcome { decided: Vec::new(), held }
            }
        }
    }

    /// Puts one table on the shelf, or proves that it stands there as it was published.
    fn shelve(&mut self, ledger: &mut Ledger, one: &Shown) -> Result<(), Fault> {
        let (table, period) = (one.kept.table.as_str(), one.kept.period.as_str());
        let shelf = self.world.published().join("exact").join(table);
        let is_frozen = match &one.kept.files {
            Some(files) => publication::is_frozen(&shelf, period, files).map_err(|error| error.fault())?,
            None => false,
        };
        if !is_frozen {
            self.world.progress.step(format!("publishing {table} of {period}"));
            let released = Released::exact(&one.decided).map_err(|error| error.fault())?;
            let labels = Labels::from(&self.checked.pipeline);
            let published = publication::publish(&shelf, &[&released], &labels).map_err(|error| error.fault())?;
            let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
            let files: Vec<(String, String)> = published
                .files
                .iter()
                .map(|file| (name(&file.path).unwrap_or_default(), file.sha256.clone()))
                .collect();
            match &one.kept.files {
                Some(known) if *known != files => return Err(not_as_recorded(&shelf.join(period))),
                Some(_) => {}
                None => ledger.mark_exact(&self.run, (table, period), &files).map_err(|error| error.fault())?,
            }
        }
        let status = if is_frozen { "unchanged" } else { "published" };
        let withheld = one.decided.withheld() as u64;
        let published = one.decided.cells().len() as u64 - withheld;
        let known = self.report.exact.iter_mut().find(|line| line.period == period && line.status == status);
        match known {
            Some(line) => {
                line.tables += 1;
                line.published += published;
                line.withheld += withheld;
            }
            None => self.report.exact.push(ExactLine {
                period: period.to_owned(),
                status: status.into(),
                tables: 1,
                published,
                withheld,
            }),
        }
        Ok(())
    }

    /// Says of a decided month that its records have changed since; its figures stay.
    fn tell_changed(&mut self, built: &Built, month: Month, shown: &[Shown]) -> Result<(), Fault> {
        let Some(policy) = self.checked.pipeline.exact.as_ref() else { return Ok(()) };
        let Some(counts) = built.tables.get(&counted()) else { return Ok(()) };
        let closing = self.closing(policy);
        if policy.rounding.is_some() {
            return Ok(());
        }
        let period = Period::Month(month);
        let (cube, _) = closing.count(period, counts)?;
        if shown.iter().any(|one| one.decided.period() == period && one.decided.has_changed(&cube)) {
            self.report.notes.push(format!(
                "Dossiers of {month} changed after its exact tables were decided; what was published stays as it is."
            ));
        }
        Ok(())
    }

    fn hold_exact(&mut self, period: Period, why: &str) {
        self.report.notes.push(format!("Exact tables of {period} are not decided: {why}"));
        self.report.exact.push(ExactLine { period: period.to_string(), status: "held".into(), ..ExactLine::default() });
    }
}

/// The private counts of dossiers, by month.
fn counted() -> TableName {
    TableName::new("quality", "counts")
}

/// How many tables of a period are not decided yet.
fn open(policy: &ExactPolicy, period: Period, shown: &[Shown]) -> usize {
    let tables = policy.tables.iter().filter(|table| is_made(table, period)).map(|table| &table.table);
    let sheets = policy.scores.iter().filter(|_| matches!(period, Period::Month(_))).map(|sheet| &sheet.table);
    let watched = policy.options.iter().filter(|_| matches!(period, Period::Month(_))).map(|options| &options.table);
    tables.chain(sheets).chain(watched).filter(|name| !shown.iter().any(|one| one.decided.is(name, period))).count()
}

/// The first month of a frame whose records no longer give what was decided of it; none for a month that is decided by
/// itself, of which a table that is added later is refused with its fault.
fn changed_since(frame: Period, period: Period, before: &[Decided], cube: &Cube) -> Option<Period> {
    if frame == period && matches!(period, Period::Month(_)) {
        return None;
    }
    let months: Vec<Period> = frame.months().into_iter().map(Period::Month).collect();
    let known = before.iter().filter(|known| known.period() == frame || months.contains(&known.period()));
    known.filter(|known| known.has_changed(cube)).map(Decided::period).min()
}

/// The exact tables that stand on the shelf, for the pages.
pub(super) fn on_the_shelf(ledger: &Ledger) -> Result<Vec<Released>, Fault> {
    let shown = shown(ledger)?.into_iter().filter(|one| one.kept.files.is_some());
    shown.map(|one| Released::exact(&one.decided).map_err(|error| error.fault())).collect()
}

/// Everything that was decided, as the ledger keeps it.
fn shown(ledger: &Ledger) -> Result<Vec<Shown>, Fault> {
    let kept = ledger.exact_tables().map_err(|error| error.fault())?;
    let read = |kept: KeptExact| {
        let decided = Decided::from_bytes(&kept.bytes).map_err(|error| error.fault())?;
        Ok(Shown { decided, kept })
    };
    kept.into_iter().map(read).collect()
}

/// Commits all decisions of a month, or none.
fn record(ledger: &mut Ledger, run: &str, decided: &[Decided]) -> Result<(), Fault> {
    let bytes: Vec<Vec<u8>> =
        decided.iter().map(|one| one.to_bytes().map_err(|error| error.fault())).collect::<Result<_, Fault>>()?;
    let periods: Vec<String> = decided.iter().map(|one| one.period().to_string()).collect();
    let decisions: Vec<ExactDecision<'_>> = decided
        .iter()
        .zip(&bytes)
        .zip(&periods)
        .map(|((one, bytes), period)| ExactDecision {
            table: one.table(),
            period,
            policy: &one.account().policy,
            published: one.cells().len() - one.withheld(),
            withheld: one.withheld(),
            bytes,
        })
        .collect();
    ledger.decide_exact(run, &decisions).map_err(|error| error.fault())
}

/// Whether the dossiers speak of days up to the end of the period.
fn reaches(built: &Built, period: Period) -> Result<bool, Fault> {
    use jiff::ToSpan;
    let Some(reach) = built.tables.get(&TableName::new("quality", "reach")) else { return Ok(false) };
    let until = Table::dates(reach, "dossiers_until").map_err(|error| error.fault())?;
    let Some(month) = period.months().last().copied() else { return Ok(false) };
    let enough = month.last_day().saturating_sub(REACH_DAYS.days());
    Ok(until.first().copied().flatten().is_some_and(|until| until >= enough))
}

fn not_as_recorded(folder: &std::path::Path) -> Fault {
    Fault::new(
        "publication.not-as-recorded",
        Place::file(folder),
        "the files of an exact table are not those that the ledger says were published",
        "restore them from a backup: a published table is frozen",
    )
}
