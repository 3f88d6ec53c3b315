//! Step two: staging, obligations, recipients and figures, in SQL.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Night;
use super::pull::Harvest;
use crate::check::{self, contract, due_name, due_table};
use crate::fault::{Explain, Fault, Place};
use crate::landing::Landed;
use crate::lineage::{Ending, Job};
use crate::obligations::filed::Filed;
use crate::obligations::{self, Obligation};
use crate::pipeline::{Item, StandardTable};
use crate::report::{CheckLine, FaultLine, HELD_BY_A_CHECK, ItemLine, TableLine};
use crate::satisfaction;
use crate::sql::ahead::{self, Ahead};
use crate::sql::engine::{Bound, given_tables};
use crate::sql::through::{Keys, Sieve};
use crate::sql::{Engine, Library, Model};
use crate::submission::{Becomes, Status};
use crate::tables::{Contract, Stored, Table, TableName, Tables};

/// The tables of the night, and an engine that can read them.
pub(super) struct Built {
    pub(super) engine: Engine,
    pub(super) tables: Tables,
    /// What landed, for as long as the engine reads it: of a plan, its files go with it.
    landed: Vec<Landed>,
    /// The key of each table that landed.
    keys: Keys,
    /// Tables too large to be kept in memory: they are read where they lie.
    large: BTreeSet<TableName>,
    blocked: BTreeSet<TableName>,
    /// Tables in which a check found something for a person, and what reads them.
    held: BTreeSet<TableName>,
    /// Items whose obligations could be computed and read tonight.
    told: BTreeSet<String>,
    /// The parts of months of which counts of ratings are readable, with their SHA-256.
    pub(super) rated: Vec<(String, String)>,
}

impl Built {
    /// Whether a check holds this table for a person.
    pub(super) fn is_held(&self, name: &TableName) -> bool {
        self.held.contains(name)
    }

    /// SHA-256 of the manifest of each table that landed and was kept.
    pub(super) fn generations(&self) -> impl Iterator<Item = (&TableName, &[u8])> {
        self.landed.iter().filter_map(|landed| Some((&landed.name, landed.generation.as_ref()?.digest.as_slice())))
    }

    /// Leaves a table, and what reads it, out tonight.
    pub(super) fn block(&mut self, name: TableName) {
        self.blocked.insert(name);
    }

    /// Holds a table for a person.
    pub(super) fn hold(&mut self, name: TableName) {
        self.held.insert(name);
    }

    /// Forgets a table that is not asked for any more tonight, unless a select of these folders may ask.
    pub(super) fn forget(&mut self, name: &TableName, library: &Library, folders: &[&str]) {
        let mut models = folders.iter().flat_map(|folder| library.folder(folder));
        if !models.any(|model| model.reads.contains(name)) {
            self.tables.remove(name);
            self.engine.forget(name);
        }
    }

    /// Whether the obligations of an item could be computed and read tonight: what is not among them is not there.
    pub(super) fn is_told(&self, item: &str) -> bool {
        self.told.contains(item)
    }

    pub(super) fn is_blocked(&self, name: &TableName) -> bool {
        self.blocked.contains(name)
    }
}

impl Night<'_> {
    /// Registers what landed and runs staging.
    pub(super) async fn build(&mut self, harvest: Harvest) -> Result<Built, Fault> {
        let stored = harvest.landed.iter().map(|landed| (&landed.name, &landed.stored));
        let mut built = self.stage(stored, (&harvest.blocked, &harvest.held), |_| true).await?;
        built.landed = harvest.landed;
        Ok(built)
    }

    /// Runs satisfaction and quality.
    pub(super) async fn tabulate(&mut self, built: &mut Built) {
        let models = self.checked.library.folder("satisfaction").chain(self.checked.library.folder("quality"));
        // Who finished which dossier is asked for where answers are taken in, and kept nowhere else.
        for model in models.filter(|model| model.name != satisfaction::finished()) {
            self.make(built, model, None, true).await;
        }
    }

    /// Registers tables, with those that are blocked and those that are held, and runs these models of staging and
    /// the checks that read no others.
    pub(super) async fn stage<'t>(
        &mut self,
        stored: impl IntoIterator<Item = (&'t TableName, &'t Stored)>,
        (blocked, held): (&[TableName], &[TableName]),
        is_meant: impl Fn(&TableName) -> bool,
    ) -> Result<Built, Fault> {
        let calendar = self.checked.pipeline.calendar.known_on(self.day().known_on);
        let mut built = Built {
            engine: Engine::with_calendar(calendar).map_err(|error| error.fault())?,
            tables: Tables::new(),
            landed: Vec::new(),
            keys: Keys::new(),
            large: BTreeSet::new(),
            blocked: blocked.iter().cloned().collect(),
            held: held.iter().cloned().collect(),
            told: BTreeSet::new(),
            rated: Vec::new(),
        };
        for (name, table) in given_tables(&self.checked.pipeline, self.day()) {
            built.engine.register(&name, &table).map_err(|error| error.fault())?;
        }
        // What is blind has no file, and no select reads it.
        for (name, stored) in stored.into_iter().filter(|(_, stored)| !stored.base.is_empty()) {
            built.engine.register_stored(name, stored).map_err(|error| error.fault())?;
            built.keys.insert(name.clone(), stored.key.clone());
            if is_large(stored) {
                built.large.insert(name.clone());
            }
        }
        for model in self.checked.library.folder("staging").filter(|model| is_meant(&model.name)) {
            self.make(&mut built, model, None, false).await;
        }
        self.checks(&mut built, is_meant).await;
        Ok(built)
    }

    /// Runs the obligations of these items, then looks up those who have something due.
    pub(super) async fn obligations(
        &mut self,
        built: &mut Built,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<Vec<Obligation>, Fault> {
        let mut all = Vec::new();
        self.leave_out_gaps(built, &is_meant);
        let mut ahead = self.ahead(built, &is_meant).map_err(|error| error.fault())?;
        for item in self.checked.pipeline.items.iter().filter(|item| is_meant(&item.id)) {
            let name = TableName::new("obligations", &item.id);
            let Some(model) = self.checked.library.model(&name) else { continue };
            // The law leaves it out: that is said already.
            if !built.is_blocked(&name) {
                self.make(built, model, ahead.remove(&name), true).await;
            }
            let mut line = ItemLine { item: item.id.clone(), ..ItemLine::default() };
            if built.is_held(&name) {
                line.held.insert(HELD_BY_A_CHECK.into(), 1);
            }
            if let Some(table) = built.tables.get(&name) {
                match obligations::read(item, &self.checked.pipeline.law, table, &self.key) {
                    Ok(mut found) => {
                        self.settle(&mut found);
                        built.told.insert(item.id.clone());
                        all.push((item, found));
                    }
                    Err(error) => self.report.faults.push(FaultLine::from(&error.fault())),
                }
            }
            self.report.items.push(line);
        }
        self.absent = self.absent(built, &all);
        let due = self.subjects_due(&all);
        built.engine.register(&due_name(), &due).map_err(|error| error.fault())?;
        for model in self.checked.library.folder("reminders") {
            self.make(built, model, None, true).await;
        }
        self.settle_filed(built, &mut all);
        for (item, found) in &all {
            if let Some(line) = self.report.items.iter_mut().find(|line| line.item == item.id) {
                line.obligations = found.iter().filter(|found| found.is_open(self.as_of)).count() as u64;
            }
        }
        // Those of the first item stay where they are: they are not there twice.
        let together = all.into_iter().map(|(_, found)| found).reduce(|mut all, found| {
            all.extend(found);
            all
        });
        Ok(together.unwrap_or_default())
    }

    /// Those who have something due, or wait to be told of it: each once.
    fn subjects_due(&self, all: &[(&Item, Vec<Obligation>)]) -> Table {
        let is_asked = |found: &&Obligation| found.is_open(self.as_of) || self.waiting.contains_key(&*found.key);
        let open = all.iter().flat_map(|(_, found)| found).filter(is_asked).chain(&self.absent);
        let mut due: Vec<&str> = open.map(|obligation| obligation.subject_id.reveal().as_str()).collect();
        let mut seen = HashSet::with_capacity(due.len());
        due.retain(|subject| seen.insert(*subject));
        due_table(&due)
    }

    /// What somebody has filed a dossier for is done, whatever a register says or does not say yet: of the dossiers that
    /// the agency may look at for reminding.
    fn settle_filed(&mut self, built: &Built, all: &mut [(&Item, Vec<Obligation>)]) {
        let Some(table) = built.tables.get(&filed_dossiers()) else { return };
        let settles = |number: i64| {
            let status = u64::try_from(number).ok().and_then(Status::from_number);
            status.is_some_and(|status| status.becomes() != Becomes::OpenAgain)
        };
        match Filed::read(table, self.as_of.date(), settles) {
            Ok(filed) => all.iter_mut().for_each(|(item, found)| filed.settle(item, found)),
            Err(error) => self.report.faults.push(FaultLine::from(&error.fault())),
        }
    }

    /// Blocks the items for which the law says nothing tonight: of an empty rule a select would make an empty table,
    /// and everybody's obligations would be withdrawn.
    fn leave_out_gaps(&mut self, built: &mut Built, is_meant: impl Fn(&str) -> bool) {
        for gap in check::gaps_on(&self.checked.pipeline, &self.checked.library, self.day()) {
            let meant: Vec<&String> = gap.items.iter().filter(|item| is_meant(item)).collect();
            if !meant.is_empty() {
                self.report.faults.push(FaultLine::from(&gap.fault));
            }
            for item in meant {
                built.block(TableName::new("obligations", item));
            }
        }
    }

    /// A dossier that was decided is done, whatever a register says or does not say yet.
    fn settle(&self, found: &mut [Obligation]) {
        if self.settled.is_empty() {
            return;
        }
        for obligation in found.iter_mut().filter(|obligation| obligation.fulfilled_on.is_none()) {
            let of = (obligation.item.to_string(), obligation.key.to_string());
            obligation.fulfilled_on = self.settled.get(&of).copied();
        }
    }

    /// Begins to make the obligations of these items, several at once: they do not read each other.
    fn ahead(
        &self,
        built: &Built,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<TableName, Ahead>, crate::sql::Error> {
        let items = self.checked.pipeline.items.iter().filter(|item| is_meant(&item.id));
        let models = items.filter_map(|item| self.checked.library.model(&TableName::new("obligations", &item.id)));
        let is_possible = |model: &&Model| {
            let waits = |table: &TableName| built.is_held(table) || built.is_blocked(table);
            !waits(&model.name) && !model.reads.iter().any(|table| waits(table) || table.schema == "obligations")
        };
        let models: Vec<&Model> = models.filter(is_possible).collect();
        let jobs = models.iter().map(|model| ahead::Job {
            model: (*model).clone(),
            bound: self.bound(model),
            contract: contract(&self.checked.pipeline, model),
        });
        let begun = built.engine.build_ahead(jobs.collect())?;
        Ok(models.iter().map(|model| model.name.clone()).zip(begun).collect())
    }

    /// Runs one model, or waits for it where that has begun, and notes what it has come to.
    async fn make(&mut self, built: &mut Built, model: &Model, begun: Option<Ahead>, keep: bool) {
        self.tell(Job::Model(&model.name), Ending::Start);
        self.make_table(built, model, begun, keep).await;
        self.tell_ending(built, model);
    }

    /// Runs one model. What it reads may be blocked, or it may fail: then it is blocked too, and the night goes on.
    async fn make_table(&mut self, built: &mut Built, model: &Model, begun: Option<Ahead>, keep: bool) {
        if model.reads.iter().any(|table| built.held.contains(table)) {
            built.held.insert(model.name.clone());
            return;
        }
        if let Some(missing) = model.reads.iter().find(|table| built.is_blocked(table)) {
            let what = format!("{} is left out tonight: it reads {missing}, which could not be had", model.name);
            let fault = Fault::new("run.blocked", Place::file(&model.path), what, "see the fault of that table");
            self.report.faults.push(FaultLine::from(&fault));
            built.blocked.insert(model.name.clone());
            return;
        }
        self.world.progress.step(format!("building {}", model.name));
        let (bound, contract) = (self.bound(model), contract(&self.checked.pipeline, model));
        if model.name.schema == "staging" && model.reads.iter().any(|table| built.large.contains(table)) {
            return self.make_through(built, model, &bound, contract.as_ref()).await;
        }
        let made = match (begun, model.name.schema.as_str()) {
            (Some(begun), _) => begun.made().await,
            // They ask the largest tables for the rows of those who have something due.
            (None, "reminders") => built.engine.look_up(model, &bound, contract.as_ref()).await,
            (None, _) => built.engine.build(model, &bound, contract.as_ref()).await,
        };
        match made {
            Ok(table) if model.name.schema == "staging" => self.sift(built, &model.name, &table),
            Ok(table) if keep => {
                built.tables.insert(model.name.clone(), table);
            }
            Ok(_) => {}
            Err(error) => {
                self.report.faults.push(FaultLine::from(&error.fault()));
                built.blocked.insert(model.name.clone());
            }
        }
    }

    /// The dates that the select of a model may name: of an item its own window, else that of all items.
    fn bound(&self, model: &Model) -> Bound {
        let pipeline = &self.checked.pipeline;
        let item = pipeline.item(&model.name.table).filter(|_| model.name.schema == "obligations");
        let everything = || (pipeline.since(self.as_of), pipeline.until(self.as_of));
        let (since, until) = item.map_or_else(everything, |item| item.window(self.as_of));
        [("$as_of", self.as_of.date()), ("$until", until), ("$since", since)].into()
    }

    /// Makes a standard table of a large one readable, without the rows that nobody may rely on.
    async fn make_through(&mut self, built: &mut Built, model: &Model, bound: &Bound, contract: Option<&Contract>) {
        let standard = self.checked.pipeline.standard_tables.iter().find(|table| table.name == model.name.table);
        let (required, grain) = standard.map(required_and_grain).unwrap_or_default();
        let sieve = Sieve { required: &required, grain, keys: &built.keys };
        match built.engine.build_through(model, bound, contract, sieve).await {
            Ok(left_out) => {
                built.large.insert(model.name.clone());
                if !left_out.reasons.is_empty() {
                    self.tell_sifted(&model.name, left_out.rows_read, left_out.rows_kept, left_out.reasons);
                }
            }
            Err(error) => {
                self.report.faults.push(FaultLine::from(&error.fault()));
                built.blocked.insert(model.name.clone());
            }
        }
    }

    fn tell_sifted(&mut self, name: &TableName, read: u64, kept: u64, findings: BTreeMap<String, u64>) {
        self.report.tables.push(TableLine {
            table: name.to_string(),
            rows_read: read,
            rows_landed: kept,
            rows_quarantined: read.saturating_sub(kept),
            findings,
            ..TableLine::default()
        });
    }

    /// Leaves out the rows of a standard table that nobody may rely on, and reports them.
    fn sift(&mut self, built: &mut Built, name: &TableName, table: &Table) {
        let pipeline = &self.checked.pipeline;
        let Some(standard) = pipeline.standard_tables.iter().find(|standard| standard.name == name.table) else {
            return;
        };
        let (required, grain) = required_and_grain(standard);
        let sifted = table.sift(&required, grain).map_err(|error| error.to_string());
        let sifted = sifted.and_then(|(kept, reasons)| {
            built.engine.register(name, &kept).map_err(|error| error.to_string())?;
            Ok((kept, reasons))
        });
        match sifted {
            Ok((_, reasons)) if reasons.is_empty() => {}
            Ok((kept, reasons)) => self.tell_sifted(name, table.rows() as u64, kept.rows() as u64, reasons),
            Err(what) => {
                let next = "report this, with the lines above";
                let fault = Fault::new("run.sift", Place::Table(name.to_string()), what, next);
                self.report.faults.push(FaultLine::from(&fault));
                built.blocked.insert(name.clone());
            }
        }
    }

    /// Runs the checks: queries that must return no rows. They run before anything
    /// is sent or published; what one of severity `hold` finds holds everything
    /// that reads the same tables.
    async fn checks(&mut self, built: &mut Built, is_meant: impl Fn(&TableName) -> bool) {
        let is_staged = |table: &TableName| table.schema != "staging" || is_meant(table);
        for model in self.checked.library.folder("checks").filter(|model| model.reads.iter().all(is_staged)) {
            if model.reads.iter().any(|table| built.is_blocked(table) || built.is_held(table)) {
                continue;
            }
            let (since, until) = (self.checked.pipeline.since(self.as_of), self.checked.pipeline.until(self.as_of));
            let bound: Bound = [("$as_of", self.as_of.date()), ("$until", until), ("$since", since)].into();
            self.tell(Job::Model(&model.name), Ending::Start);
            let made = built.engine.build(model, &bound, None).await;
            self.tell(Job::Model(&model.name), if made.is_ok() { Ending::Complete } else { Ending::Fail });
            let table = match made {
                Ok(table) => table,
                Err(error) => {
                    // A check that cannot be made has not been passed.
                    self.report.faults.push(FaultLine::from(&error.fault()));
                    built.held.extend(model.reads.iter().filter(|table| table.schema == "staging").cloned());
                    continue;
                }
            };
            if table.rows() > 0 {
                let severity = model.head.keys.get("severity").cloned().unwrap_or_else(|| "hold".into());
                if severity != "warn" {
                    built.held.extend(model.reads.iter().filter(|table| table.schema == "staging").cloned());
                }
                self.report.checks.push(CheckLine {
                    check: model.name.table.clone(),
                    severity,
                    rows: table.rows() as u64,
                    about: model.head.about.clone(),
                });
            }
        }
    }
}

/// The dossiers of those who have something due.
pub(super) fn filed_dossiers() -> TableName {
    TableName::new("reminders", "filed_dossiers")
}

/// The columns of a standard table that must not be empty, and those that identify a row.
fn required_and_grain(standard: &StandardTable) -> (Vec<&str>, &[String]) {
    let required = standard.columns.iter().filter(|column| !column.nullable);
    (required.map(|column| column.name.as_str()).collect(), &standard.grain)
}

/// Whether a table is too large to be kept in memory: about a million rows, which take some hundred megabytes there.
fn is_large(stored: &Stored) -> bool {
    const LARGE_BYTES: u64 = 8 << 20;
    let bytes = stored.base.iter().filter_map(|path| path.metadata().ok()).map(|found| found.len());
    bytes.sum::<u64>() > LARGE_BYTES
}
