//! Step five, for options: how many people took what was recommended to them, by month and group.
//!
//! What was recommended is in the ledger, under pseudonyms; which way a person filed is in the dossiers. The two are
//! joined in memory for one month, and nothing of it is kept but counts, which engine E protects.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::Night;
use super::build::Built;
use crate::disclosure::Month;
use crate::disclosure::exact::taken::Choices;
use crate::disclosure::exact::{Closing, Decided, Outcome};
use crate::fault::{Explain, Fault};
use crate::ledger::Ledger;
use crate::options::{Offer, Sheet};
use crate::personal::Personal;
use crate::pipeline::options::MARK;
use crate::tables::TableName;

/// For how long a recommendation is taken to be what a dossier answers.
const ANSWER_DAYS: i64 = 180;

/// A dossier of the month.
struct Filed {
    received_on: Date,
    commune: String,
    age_group: String,
    looks: Looks,
}

/// How a way looks in a dossier: its procedure, its channel, and its mark where dossiers bear one.
type Looks = (String, i64, Option<String>);

/// What was recommended to a person: the night, the outcome, and how its dossier would be filed.
struct Told {
    night: Date,
    /// The entry of the sheet of that night, in which all the ways are.
    sheet: i64,
    outcome: String,
    looks: Looks,
}

/// The ways of the sheets of some nights, as far as dossiers show which one was taken.
#[derive(Default)]
struct Ways {
    /// Whether dossiers bear marks.
    has_marks: bool,
    /// Each way that nothing else looks like, by its sheet and word.
    told: HashMap<(i64, String), Looks>,
    /// The procedures of each sheet.
    procedures: HashSet<(i64, String)>,
}

impl Ways {
    fn put(&mut self, entry: i64, sheet: Sheet) {
        let has_marks = self.has_marks;
        let looks = |way: &Offer| {
            let mark = way.mark.clone().filter(|_| has_marks);
            Some((way.procedure_code.clone()?, way.via.code(), mark))
        };
        let mut counts: HashMap<Looks, usize> = HashMap::new();
        sheet.ways.iter().filter_map(looks).for_each(|looks| *counts.entry(looks).or_default() += 1);
        for way in sheet.ways {
            let Some(looks) = looks(&way) else { continue };
            self.procedures.insert((entry, looks.0.clone()));
            // Of two ways that look alike nobody knows by which one a dossier was filed: neither is counted.
            if counts.get(&looks) == Some(&1) {
                self.told.insert((entry, way.id), looks);
            }
        }
    }
}

impl Night<'_> {
    /// Decides about the tables of taken options of a month.
    pub(super) fn decide_watched(
        &mut self,
        ledger: &Ledger,
        built: &Built,
        (closing, month): (&Closing<'_>, Month),
        before: &[Decided],
    ) -> Outcome {
        let found = self.choices(ledger, built, month).and_then(|choices| {
            let outcomes = &self.checked.pipeline.options.outcomes;
            let outcomes: Vec<&str> = outcomes.iter().map(|outcome| outcome.id.as_str()).collect();
            closing.count_choices(month, &outcomes, &choices)
        });
        match found {
            Ok((cube, left_out)) => {
                if left_out > 0 {
                    let what = "with a commune outside the public list";
                    self.report.notes.push(format!("{month}: {left_out} people not in tables of options: {what}"));
                }
                closing.decide_choices(month, &cube, before, &self.provenance(built, &filed_table(), &[month]))
            }
            Err(fault) => {
                let held = closing.policy.options.iter().map(|table| (table.table.clone(), fault.clone())).collect();
                Outcome { decided: Vec::new(), held }
            }
        }
    }

    /// The people of a month by group, and whether they took what was recommended to them.
    fn choices(&self, ledger: &Ledger, built: &Built, month: Month) -> Result<Vec<Choices>, Fault> {
        let filed = self.filed(built, month)?;
        let mut told: HashMap<String, Vec<Told>> = HashMap::new();
        let first = month.first_day().saturating_sub(ANSWER_DAYS.days());
        let sheets = ledger.option_sheets().map_err(|error| error.fault())?;
        let has_marks = built.tables.get(&filed_table()).is_some_and(|table| table.texts(MARK).is_ok());
        let mut ways = Ways { has_marks, ..Ways::default() };
        for (entry, outcome, sheet) in &sheets {
            let sheet = Sheet::from_json(sheet, outcome).map_err(|error| error.fault())?;
            ways.put(*entry, sheet);
        }
        let outcomes: HashMap<i64, &String> = sheets.iter().map(|(entry, outcome, _)| (*entry, outcome)).collect();
        let visit = |night: Date, subject: &str, sheet: i64, word: &str| {
            if !filed.contains_key(subject) {
                return;
            }
            let way = ways.told.get(&(sheet, word.to_owned())).cloned();
            let (Some(looks), Some(outcome)) = (way, outcomes.get(&sheet)) else { return };
            let one = Told { night, sheet, outcome: (*outcome).clone(), looks };
            told.entry(subject.to_owned()).or_default().push(one);
        };
        ledger.each_recommended(first, month.last_day(), visit).map_err(|error| error.fault())?;
        Ok(counted(&filed, &told, &ways))
    }

    /// The dossiers of a month by pseudonym, the earliest first.
    fn filed(&self, built: &Built, month: Month) -> Result<BTreeMap<String, Vec<Filed>>, Fault> {
        let mut filed: BTreeMap<String, Vec<Filed>> = BTreeMap::new();
        let Some(table) = built.tables.get(&filed_table()) else { return Ok(filed) };
        let fault = |error: crate::tables::Error| error.fault();
        let texts = |column: &str| table.texts(column).map_err(fault);
        let (months, subjects, communes) = (texts("month")?, texts("subject_id")?, texts("commune_code")?);
        let (ages, codes) = (texts("age_group")?, texts("procedure_code")?);
        let channels = table.ints("channel").map_err(fault)?;
        let received = table.dates("received_on").map_err(fault)?;
        // Where dossiers bear no marks, they look alike by their marks.
        let marks = table.texts(MARK).unwrap_or_else(|_| vec![None; months.len()]);
        let wanted = month.to_string();
        let looks = codes.into_iter().zip(channels).zip(marks);
        let rows = months.into_iter().zip(subjects).zip(communes).zip(ages).zip(looks).zip(received);
        for (((((row_month, subject), commune), age_group), ((code, channel), mark)), received_on) in rows {
            let (Some(subject), Some(procedure_code), Some(received_on)) = (subject, code, received_on) else {
                continue;
            };
            if row_month.as_deref() != Some(wanted.as_str()) {
                continue;
            }
            filed.entry(self.key.pseudonym(&Personal::new(subject))).or_default().push(Filed {
                received_on,
                commune: commune.unwrap_or_default(),
                age_group: age_group.unwrap_or_default(),
                looks: (procedure_code, channel.unwrap_or_default(), mark),
            });
        }
        for dossiers in filed.values_mut() {
            dossiers.sort_by(|a, b| (a.received_on, &a.looks).cmp(&(b.received_on, &b.looks)));
        }
        Ok(filed)
    }
}

/// Each person once for each outcome: by the first dossier that answers a recommendation, beside the newest one before it.
///
/// A dossier by any way of the outcome is an answer; whoever filed it by another procedure took another way.
fn counted(filed: &BTreeMap<String, Vec<Filed>>, told: &HashMap<String, Vec<Told>>, ways: &Ways) -> Vec<Choices> {
    let mut counts: BTreeMap<(&str, &str, &str, bool), u64> = BTreeMap::new();
    for (subject, dossiers) in filed {
        let Some(told) = told.get(subject) else { continue };
        let mut outcomes: Vec<&str> = told.iter().map(|one| one.outcome.as_str()).collect();
        outcomes.sort_unstable();
        outcomes.dedup();
        for outcome in outcomes {
            let answers = |dossier: &Filed, one: &&Told| {
                let days = (dossier.received_on - one.night).get_days();
                one.outcome == outcome
                    && ways.procedures.contains(&(one.sheet, dossier.looks.0.clone()))
                    && (0..=ANSWER_DAYS).contains(&i64::from(days))
            };
            let answer = dossiers.iter().find_map(|dossier| {
                let newest = told.iter().filter(|one| answers(dossier, one)).max_by_key(|one| one.night)?;
                Some((dossier, newest.looks == dossier.looks))
            });
            if let Some((dossier, is_taken)) = answer {
                *counts.entry((&dossier.commune, &dossier.age_group, outcome, is_taken)).or_default() += 1;
            }
        }
    }
    let choices = counts.into_iter().map(|((commune, age_group, outcome, is_taken), people)| Choices {
        commune: commune.to_owned(),
        age_group: age_group.to_owned(),
        outcome: outcome.to_owned(),
        is_taken,
        people,
    });
    choices.collect()
}

fn filed_table() -> TableName {
    TableName::new("quality", "choices")
}
