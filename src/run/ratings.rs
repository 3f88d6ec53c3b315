//! Answers about satisfaction become the sealed counts of closed months.
//!
//! A month is taken in whole, on the first night on which the policy closes it (and once more for a second part that it
//! declares): never from night to night, where the difference of two nights would be one person. Until then its answers
//! are at their source alone, and in this process while a night lasts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::ToSpan;

use super::Night;
use super::build::Built;
use crate::disclosure::{Month, Part, closed_months};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::Ledger;
use crate::ledger::answers::{Answers, sealed_answer};
use crate::ledger::tokens::{TakenMonth, sealed_counts, sealed_texts};
use crate::lineage::{Ending, Job};
use crate::pipeline::blind::{Blind, Question};
use crate::pipeline::{Pipeline, PrivacyPolicy, Source, SourceTable};
use crate::satisfaction::answer::{self, Answer};
use crate::satisfaction::counts::{self, Counts};
use crate::satisfaction::intake::{self, Form, OfMonth, Proofs, Taken};
use crate::satisfaction::tokens::TokenCell;
use crate::satisfaction::{finished, standard_table};
use crate::sql::engine::Bound;
use crate::tables::{Table, TableName};
use crate::world::World;

/// How many days before the end of a month the newest answer may lie: a weekend and a holiday.
const REACH_DAYS: i64 = 7;

/// A month, or a part of it, that was taken in tonight and is not kept yet.
pub(super) struct Fresh {
    month: String,
    part: String,
    of: OfMonth,
}

/// A part of a month as it is kept.
pub(super) struct KeptMonth {
    month: String,
    part: String,
    counts: Counts,
}

/// The blind tables of a pipeline.
pub(super) fn blind_tables(pipeline: &Pipeline) -> impl Iterator<Item = (&Source, &SourceTable)> {
    let all = pipeline.sources.iter().flat_map(|source| source.tables.iter().map(move |table| (source, table)));
    all.filter(|(_, table)| table.blind.is_some())
}

/// The counts that are kept, opened, in the order in which they were taken.
pub(super) fn kept(world: &World, ledger: &Ledger) -> Result<Vec<KeptMonth>, Fault> {
    let sealed = ledger.taken_ratings().map_err(|error| error.fault())?;
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    let key = world.opening_key().map_err(|error| error.fault())?;
    let open = |(month, part, sealed): (String, String, Vec<u8>)| {
        let counts = key.open(&sealed_counts(&part), &sealed).and_then(|text| Counts::of_text(&text));
        let counts = counts.ok_or_else(|| {
            let what = format!("the counts of ratings of {part} cannot be opened: they were sealed with another key");
            let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
            Fault::new("ratings.sealed", Place::file(ledger.path()), what, next)
        })?;
        Ok(KeptMonth { month, part, counts })
    };
    sealed.into_iter().map(open).collect()
}

/// The rows of `staging.ratings`: of each month the counts that were taken last.
pub(super) fn rows(kept: &[KeptMonth], fresh: &[Fresh]) -> Result<Table, Fault> {
    let earlier = kept.iter().map(|kept| (kept.month.as_str(), &kept.counts));
    let tonight = fresh.iter().map(|fresh| (fresh.month.as_str(), &fresh.of.counts));
    let latest: BTreeMap<&str, &Counts> = earlier.chain(tonight).collect();
    counts::table(latest).map_err(|error| {
        let next = "report this, with the lines above";
        Fault::new("ratings.rows", Place::Table(standard_table().to_string()), error.to_string(), next)
    })
}

impl Night<'_> {
    /// Takes in the months that are due, and makes the counts of all months readable. What is fresh is not kept yet.
    pub(super) async fn count_ratings(
        &mut self,
        ledger: Option<&Ledger>,
        built: &mut Built,
        answers: &[(TableName, Table)],
    ) -> Result<Vec<Fresh>, Fault> {
        let kept = ledger.map_or_else(|| Ok(Vec::new()), |ledger| kept(self.world, ledger))?;
        let fresh = match &self.checked.pipeline.privacy {
            Some(policy) => {
                let due = self.due(policy, &kept);
                self.take(ledger, built, answers, (due, kept.last())).await?
            }
            None => Vec::new(),
        };
        let table = rows(&kept, &fresh)?;
        built.engine.register(&standard_table(), &table).map_err(|error| error.fault())?;
        let digests = kept.iter().map(|kept| (&kept.part, &kept.counts));
        let digests = digests.chain(fresh.iter().map(|fresh| (&fresh.part, &fresh.of.counts)));
        built.rated = digests.map(|(part, counts)| (part.clone(), counts.digest())).collect();
        Ok(fresh)
    }

    /// Keeps what was taken in: counts and texts sealed, tokens spent, in one transaction for each part.
    pub(super) fn keep_ratings(&mut self, ledger: &mut Ledger, fresh: Vec<Fresh>) -> Result<(), Fault> {
        for Fresh { month, part, of } in fresh {
            let key = self.world.sealing_key().map_err(|error| error.fault())?;
            let sealed = |name: &str, text: &str| {
                key.seal(name, text).ok_or_else(|| {
                    let what = "the system gives no random bytes, without which nothing is sealed";
                    Fault::new("ratings.random", Place::file(ledger.path()), what, "mend the system, and run again")
                })
            };
            let counts = sealed(&sealed_counts(&part), of.counts.to_text().reveal())?;
            let texts: Vec<&str> = of.texts.iter().map(|text| text.reveal().as_str()).collect();
            let texts = match texts.is_empty() {
                true => None,
                false => Some(sealed(&sealed_texts(&part), &serde_json::json!(texts).to_string())?),
            };
            let (spent, night) = (of.spent.into_iter().collect(), self.as_of.date());
            let taken = TakenMonth { month: &month, part: &part, counts, texts, spent, night };
            ledger.take_ratings(&self.run, &taken).map_err(|error| error.fault())?;
        }
        self.forget_answers(ledger)
    }

    /// Removes the answers of the page that can speak of no open month any more: a token is of a month that had ended
    /// before it was given out, so that answers of one month are of the months before it.
    fn forget_answers(&self, ledger: &Ledger) -> Result<(), Fault> {
        let Some(policy) = &self.checked.pipeline.privacy else { return Ok(()) };
        let taken = ledger.taken_ratings().map_err(|error| error.fault())?;
        let Some(last) = Part::of(policy).last() else { return Ok(()) };
        let closed = taken.iter().filter_map(|(month, part, _)| {
            let month: Month = month.parse().ok()?;
            (*part == super::made::name_of(month, *last)).then_some(month)
        });
        let Some(open) = closed.max().and_then(|month| month.next()?.next()) else { return Ok(()) };
        Answers::of(&self.world.state).forget_before(open.first_day()).map(drop).map_err(|error| error.fault())
    }

    /// Removes what raters wrote when its term is over.
    pub(super) fn forget_rating_texts(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        // A night for a day to come removes nothing that today keeps.
        let night = self.as_of.date().min(crate::calendar::AsOf::today().date());
        let days = i64::from(self.checked.pipeline.retention.rating_texts_days);
        let gone = ledger.forget_rating_texts(night.saturating_sub(days.days())).map_err(|error| error.fault())?;
        if gone > 0 {
            self.report.notes.push(format!("Removed after their term: what raters wrote in {gone} months"));
        }
        Ok(())
    }

    /// The parts of closed months that are due and not taken in, in order.
    fn due(&self, policy: &PrivacyPolicy, kept: &[KeptMonth]) -> Vec<(Month, String)> {
        let months = closed_months(Month::of(policy.first_month), self.as_of, policy.close_after_days);
        let mut due = Vec::new();
        for month in months {
            for part in Part::of(policy).iter().filter(|part| part.is_due(policy, month, self.as_of)) {
                let name = super::made::name_of(month, *part);
                if !kept.iter().any(|kept| kept.part == name) {
                    due.push((month, name));
                }
            }
        }
        due
    }

    async fn take(
        &mut self,
        ledger: Option<&Ledger>,
        built: &mut Built,
        answers: &[(TableName, Table)],
        (due, closed): (Vec<(Month, String)>, Option<&KeptMonth>),
    ) -> Result<Vec<Fresh>, Fault> {
        let pipeline = &self.checked.pipeline;
        let page = self.page_answers()?;
        let mut forms = Vec::new();
        for (source, table) in blind_tables(pipeline) {
            let name = TableName::new(&source.name, &table.name);
            if built.is_held(&name) {
                built.hold(standard_table());
                return Ok(Vec::new());
            }
            let rows = answers.iter().find(|(known, _)| *known == name).map(|(_, rows)| rows);
            let (Some(blind), Some(rows)) = (&table.blind, rows) else {
                // Its fault is in the report: nothing may close on what is missing.
                built.block(standard_table());
                return Ok(Vec::new());
            };
            forms.push(Form { blind, rows });
        }
        let of_sources = forms.len();
        forms.extend(page.iter().map(|(blind, rows)| Form { blind, rows }));
        // The month that was taken last is looked at again: what came since then is in no figure, and somebody should know.
        let closed = closed.and_then(|kept| Some((kept.month.parse::<Month>().ok()?, kept)));
        let months = || due.iter().map(|(month, _)| *month).chain(closed.map(|(month, _)| month));
        let (Some(first), Some(last)) = (months().min(), months().max()) else { return Ok(Vec::new()) };
        let dossiers = TableName::new("staging", "dossiers");
        if forms.is_empty() || built.is_blocked(&dossiers) || built.is_held(&dossiers) {
            return Ok(Vec::new());
        }
        let Some(model) = self.checked.library.model(&finished()) else { return Ok(Vec::new()) };
        self.world.progress.step("taking in ratings");
        let bound: Bound =
            [("$as_of", self.as_of.date()), ("$since", first.first_day()), ("$until", last.last_day())].into();
        self.tell(Job::Model(&model.name), Ending::Start);
        let finished = built.engine.build(model, &bound, None).await;
        self.tell(Job::Model(&model.name), if finished.is_ok() { Ending::Complete } else { Ending::Fail });
        let finished = finished.map_err(|error| error.fault())?;
        let months: BTreeSet<String> = months().map(|month| month.to_string()).collect();
        let mut taken = self.join(ledger, &forms, &finished, &months)?;
        // The page is always open: only a source can end early, as if it were cut short.
        taken.last_day = match forms.get(..of_sources).unwrap_or_default() {
            [] => Some(self.as_of.date()),
            sources => {
                let days = sources.iter().map(intake::last_day).collect::<Result<Vec<_>, _>>();
                days.map_err(|error| error.fault())?.into_iter().flatten().max()
            }
        };
        if let Some((month, kept)) = closed.filter(|(month, _)| !due.iter().any(|(due, _)| due == month)) {
            self.tell_late(month, kept, taken.months.get(&month.to_string()));
        }
        Ok(self.reached(taken, due))
    }

    /// Says that there are more answers of a month than were taken in; how many is nobody's business but the source's.
    fn tell_late(&mut self, month: Month, kept: &KeptMonth, now: Option<&OfMonth>) {
        let overall = |counts: &Counts| counts.sum(|cell| cell.question == Question::Overall.word());
        if now.is_some_and(|now| overall(&now.counts) > overall(&kept.counts)) {
            self.report.notes.push(format!(
                "Ratings of {month} came after they were taken in: they are in no figure, and what was published stays as it is."
            ));
        }
    }

    /// What people answered on the rating page and was not taken in yet, opened; none where there is no page.
    fn page_answers(&self) -> Result<Option<(Blind, Table)>, Fault> {
        let Some(scale) = self.checked.pipeline.serve.as_ref().and_then(|serve| serve.ratings) else { return Ok(None) };
        let sealed = Answers::of(&self.world.state).all().map_err(|error| error.fault())?;
        let mut answers = Vec::with_capacity(sealed.len());
        if !sealed.is_empty() {
            let key = self.world.opening_key().map_err(|error| error.fault())?;
            for (day, sealed) in sealed {
                let answer = key.open(&sealed_answer(day), &sealed).and_then(|text| Answer::of_text(&text));
                let answer = answer.ok_or_else(|| {
                    let what =
                        "an answer of the rating page cannot be opened: it was sealed with another key, or changed";
                    let place = Place::file(self.world.state.join("answers"));
                    Fault::new("ratings.sealed", place, what, "restore keys/sealing.key from your backup")
                })?;
                answers.push((day, answer));
            }
        }
        let rows = answer::table(&answers).ok_or_else(|| {
            let place = Place::Thing("the answers of the rating page".into());
            Fault::new("ratings.rows", place, "they make no table", "report this, with the lines above")
        })?;
        Ok(Some((answer::blind(scale), rows)))
    }

    fn join(
        &self,
        ledger: Option<&Ledger>,
        forms: &[Form<'_>],
        finished: &Table,
        months: &BTreeSet<String>,
    ) -> Result<Taken, Fault> {
        let pipeline = &self.checked.pipeline;
        let mut tokens = HashMap::new();
        for month in ledger.map(|_| months).into_iter().flatten() {
            let of_month = ledger.map_or_else(|| Ok(HashMap::new()), |ledger| ledger.tokens(month));
            for (hash, token) in of_month.map_err(|error| error.fault())? {
                let crate::ledger::tokens::Token { month, commune, group, is_counting, .. } = token;
                tokens.insert(hash, TokenCell { month, commune, group, is_counting });
            }
        }
        let communes: BTreeSet<String> = pipeline.unit.communes.iter().map(|commune| commune.code.clone()).collect();
        let groups: BTreeSet<String> = pipeline.procedure_groups.iter().map(|group| group.id.clone()).collect();
        let per_person = pipeline.privacy.as_ref().map_or(1, |policy| policy.ratings_per_person);
        let codes = (&communes, &groups);
        let proofs = Proofs { finished, tokens: &tokens, months, codes, per_person, key: &self.key };
        intake::take(forms, &proofs).map_err(|error| error.fault())
    }

    /// The months up to whose end the answers speak: a file that was cut short must not close a month half told.
    fn reached(&mut self, mut taken: Taken, due: Vec<(Month, String)>) -> Vec<Fresh> {
        if taken.incomplete > 0 {
            let incomplete = taken.incomplete;
            self.report
                .notes
                .push(format!("{incomplete} answers have no day or no overall level: they are not counted"));
        }
        let last_day = taken.last_day;
        let is_reached =
            |month: Month| last_day.is_some_and(|day| day >= month.last_day().saturating_sub(REACH_DAYS.days()));
        let mut fresh: Vec<Fresh> = Vec::new();
        // Of a month whose parts are all due at once, each is taken in with the same counts.
        for (month, part) in due.into_iter().take_while(|(month, _)| is_reached(*month)) {
            let name = month.to_string();
            let of = match taken.months.remove(&name) {
                Some(of) => of,
                None => match fresh.iter().rev().find(|fresh| fresh.month == name) {
                    Some(same) => OfMonth { counts: same.of.counts.clone(), ..OfMonth::default() },
                    None => continue,
                },
            };
            fresh.push(Fresh { month: name, part, of });
        }
        fresh
    }
}
