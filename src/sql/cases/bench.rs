//! Runs cases one after the other: tables are registered once, plans are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::logical_expr::LogicalPlan;
use jiff::ToSpan;
use jiff::civil::Date;

use super::slots::{Slot, of_engine};
use super::{Case, Difference, Missing, Row, difference, given};
use crate::calendar::{AsOf, Day, WorkingDays};
use crate::pipeline::Pipeline;
use crate::sql::engine::{Bound, given_tables};
use crate::sql::{Engine, Error, Library, Model};
use crate::tables::{Table, TableName};

/// The day on which an obligation was done: always compared.
const FULFILLED: &str = "fulfilled_on";

/// The column of which a case is told how it came about.
const DUE: &str = "due_on";

/// How much further a case looks, forward and back, when it is asked why a row did not come. The
/// second is for a year without holiday data: nearer days may have them.
const WIDER_YEARS: [i16; 2] = [40, 1];

/// What cases are run on: the models, and the tables that they read.
#[derive(Debug)]
pub struct Bench<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) library: &'a Library,
    pub(super) empty: BTreeMap<TableName, Table>,
    stands: Mutex<Vec<Arc<Stand>>>,
}

/// What is asked of a model: its rows, or with them how a column of theirs came about.
type Asked = Option<&'static str>;

/// An engine with the working days that are known on a day: those are part of its functions, and so of its plans.
#[derive(Debug)]
pub(super) struct Stand {
    calendar: WorkingDays,
    pub(super) engine: Engine,
    pub(super) slots: BTreeMap<TableName, Arc<Slot>>,
    /// The tables that models give to other models.
    pub(super) made: Mutex<BTreeMap<TableName, Arc<Slot>>>,
    plans: Mutex<HashMap<(TableName, Bound, Asked), Arc<LogicalPlan>>>,
    /// Its tables hold the rows of one case at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl<'a> Bench<'a> {
    /// A bench for the models of an agency, or of the catalogue.
    pub fn new(pipeline: &'a Pipeline, library: &'a Library) -> Self {
        let standard = pipeline.standard_tables.iter();
        let empty = standard.map(|table| (TableName::new("staging", &table.name), given::table(table, &[]))).collect();
        Bench { pipeline, library, empty, stands: Mutex::default() }
    }

    /// Runs a case; none when the rows are those expected.
    pub async fn judge(&self, case: &Case) -> Result<Option<Difference>, Error> {
        let came = self.rows(case).await?;
        let mut difference = difference::compare(&case.expected, &came, &compared(case));
        if difference.is_none() {
            return Ok(None);
        }
        for missing in difference.iter_mut().flat_map(|difference| &mut difference.missing) {
            missing.why = self.why(case, missing).await;
        }
        Ok(difference)
    }

    /// Whether a case gives what it expects under this law; a select that fails does not.
    pub async fn holds(&self, case: &Case, law: &Pipeline) -> bool {
        match self.rows_under(case, law, &bound(case)).await {
            Ok(came) => difference::compare(&case.expected, &came, &compared(case)).is_none(),
            Err(_) => false,
        }
    }

    /// All rows that come, in all columns; one that is empty is left out.
    pub(super) async fn rows(&self, case: &Case) -> Result<Vec<Row>, Error> {
        self.rows_under(case, self.pipeline, &bound(case)).await
    }

    async fn rows_under(&self, case: &Case, law: &Pipeline, bound: &Bound) -> Result<Vec<Row>, Error> {
        let Some(model) = self.library.model(&case.model) else {
            return Err(Error::NotASelect(format!("there is no model {}", case.model)));
        };
        let table = self.table_under(case, law, bound, (model, None)).await?;
        let mut rows = vec![Row::new(); table.rows()];
        for field in table.schema.fields() {
            let values = table.texts(field.name()).map_err(|error| Error::Contract {
                model: model.name.clone(),
                path: model.path.clone(),
                what: error.to_string(),
            })?;
            for (row, value) in rows.iter_mut().zip(values) {
                if let Some(value) = value {
                    row.insert(field.name().clone(), value);
                }
            }
        }
        Ok(rows)
    }

    /// All rows that come, with how the due date of each came about: the column [`TOLD`](crate::sql::steps::TOLD).
    pub async fn told(&self, case: &Case) -> Result<Table, Error> {
        let Some(model) = self.library.model(&case.model) else {
            return Err(Error::NotASelect(format!("there is no model {}", case.model)));
        };
        self.table_under(case, self.pipeline, &bound(case), (model, Some(DUE))).await
    }

    async fn table_under(
        &self,
        case: &Case,
        law: &Pipeline,
        bound: &Bound,
        (model, asked): (&Model, Asked),
    ) -> Result<Table, Error> {
        let stand = self.stand(self.pipeline.calendar.known_on(case.known_on))?;
        let _turn = stand.turn.lock().await;
        // The options of an outcome are those of its obligations: these are computed of the rows that the case gives.
        for due in model.reads.iter().filter(|name| model.name.schema == "options" && name.schema == "obligations") {
            let Some(due) = self.library.model(due) else { continue };
            self.fill(&stand, case, law, due);
            let failed = |error| Error::model(due, &error);
            let plan = stand.plan(due, bound, None).await.map_err(failed)?;
            let table = stand.engine.run_prepared(&plan).await.map_err(failed)?;
            stand.put(&due.name, &table)?;
        }
        self.fill(&stand, case, law, model);
        let failed = |error| Error::model(model, &error);
        let plan = stand.plan(model, bound, asked).await.map_err(failed)?;
        stand.engine.run_prepared(&plan).await.map_err(failed)
    }

    /// The engine with these working days; most cases share one of a few.
    pub(super) fn stand(&self, calendar: WorkingDays) -> Result<Arc<Stand>, Error> {
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stand) = stands.iter().find(|stand| stand.calendar == calendar) {
            return Ok(Arc::clone(stand));
        }
        let engine = Engine::of_one_core(calendar.clone())?;
        let mut slots = BTreeMap::new();
        // Any day will do: only the columns matter.
        let given = given_tables(self.pipeline, AsOf::new(jiff::civil::date(2026, 7, 1)));
        for (name, table) in given.iter().map(|(name, table)| (name, table)).chain(&self.empty) {
            slots.insert(name.clone(), engine.slot(name, &table.schema).map_err(of_engine)?);
        }
        let stand = Arc::new(Stand {
            calendar,
            engine,
            slots,
            made: Mutex::default(),
            plans: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        });
        stands.push(Arc::clone(&stand));
        Ok(stand)
    }

    /// Puts the law of its day, and the rows of a case, into the tables that its model reads.
    fn fill(&self, stand: &Stand, case: &Case, law: &Pipeline, model: &Model) {
        for (name, table) in given_tables(law, day(case)) {
            if let Some(slot) = stand.slots.get(&name).filter(|_| model.reads.contains(&name)) {
                slot.fill(&table);
            }
        }
        // These come last: a standard table that may be left out is given, and empty.
        for name in &model.reads {
            if let Some((slot, table)) = stand.slots.get(name).zip(case.given.get(name).or(self.empty.get(name))) {
                slot.fill(table);
            }
        }
    }

    /// Why an expected row did not come, where that is certain.
    async fn why(&self, case: &Case, missing: &Missing) -> Option<String> {
        if let Some(subject) = missing.row.get("subject_id")
            && !case.given.values().any(|table| has_subject(table, subject))
        {
            return Some(format!("no given row is of subject_id {subject}"));
        }
        let model = self.library.model(&case.model)?;
        for (name, table) in given_tables(self.pipeline, day(case)) {
            if name.schema == "law" && model.reads.contains(&name) && table.rows() == 0 {
                return Some(format!("the rule {} is not in force on {}", name.table, case.as_of));
            }
        }
        self.outside(case, missing).await
    }

    /// Whether the row comes as soon as the window is wider; then its due date says why it does not.
    async fn outside(&self, case: &Case, missing: &Missing) -> Option<String> {
        let narrow = bound(case);
        let (first, last) = (*narrow.values().min()?, *narrow.values().max()?);
        for years in WIDER_YEARS {
            let mut wide = narrow.clone();
            for (word, day) in &mut wide {
                match *word {
                    "$until" => *day = day.checked_add(years.years()).ok()?,
                    "$since" => *day = day.checked_sub(years.years()).ok()?,
                    _ => {}
                }
            }
            let Ok(came) = self.rows_under(case, self.pipeline, &wide).await else { continue };
            let same: Vec<&Row> = came.iter().filter(|row| difference::is_same_one(&missing.row, row)).collect();
            // Where several rows are meant, nobody can say which.
            let [row] = same.as_slice() else { return None };
            let due_on: Date = row.get("due_on")?.parse().ok()?;
            let shown = super::shown;
            return match due_on {
                day if day > last => Some(format!(
                    "it falls due on {}, after the window, which ends on {}",
                    shown("due_on", &day.to_string()),
                    shown("due_on", &last.to_string())
                )),
                day if day < first => Some(format!(
                    "it fell due on {}, before the window, which begins on {}",
                    shown("due_on", &day.to_string()),
                    shown("due_on", &first.to_string())
                )),
                _ => None,
            };
        }
        None
    }
}

impl Stand {
    pub(super) async fn plan(
        &self,
        model: &Model,
        bound: &Bound,
        asked: Asked,
    ) -> datafusion::error::Result<Arc<LogicalPlan>> {
        let key = (model.name.clone(), bound.clone(), asked);
        if let Some(plan) = self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(self.engine.prepare(model, bound, asked).await?);
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&plan));
        Ok(plan)
    }
}

/// The columns in which the rows of a case are compared.
fn compared(case: &Case) -> BTreeSet<&str> {
    let mut columns: BTreeSet<&str> = case.expected.iter().flat_map(Row::keys).map(String::as_str).collect();
    // An expected row that does not say when it was done is one that is not done.
    if case.model.schema == "obligations" && !columns.is_empty() {
        columns.insert(FULFILLED);
    }
    columns
}

/// The dates that a select may name, of a case.
pub(super) fn bound(case: &Case) -> Bound {
    [("$as_of", case.as_of.date()), ("$until", case.until), ("$since", case.since)].into()
}

/// The day of a case, with what is known of the law.
fn day(case: &Case) -> Day {
    Day::known(case.as_of.date(), case.known_on)
}

fn has_subject(table: &Table, subject: &str) -> bool {
    let subjects = table.texts("subject_id").unwrap_or_default();
    subjects.iter().flatten().any(|known| known == subject)
}
