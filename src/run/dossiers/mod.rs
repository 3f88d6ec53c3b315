//! Step three and a half: the dossiers of those who are written to tonight, prepared, sealed and written down.
//!
//! Before the letters: each letter of such an item holds the link to its dossier. What fails here is said, and the
//! letters leave without a link: a duty is not held back by a service.

mod after;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use jiff::civil::Date;

use super::Night;
use super::build::Built;
use crate::calendar::vietnam;
use crate::check::{contract, dossiers::KEYS};
use crate::dossiers::{Basis, ColumnOrigin, Sheet, wanted_rows};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{DossierState, Ledger, PreparedDossier, dossier_name};
use crate::obligations::{Fact, Obligation, key_of};
use crate::personal::dossier_links::{DossierLink, DossierLinks};
use crate::personal::random_numbers;
use crate::pipeline::Item;
use crate::pipeline::form::Form;
use crate::reminders::letter::DOSSIER_URL;
use crate::reminders::plan::Reminder;
use crate::report::FaultLine;
use crate::sql::Model;
use crate::sql::engine::Bound;
use crate::tables::{Table, TableName};

pub use after::confirmed_dossiers;
pub(super) use after::{LISTS, open, rows};

/// A prepared dossier of tonight: its number, and the day until which it can be decided.
pub(super) type Links = HashMap<String, (String, Date)>;

impl Night<'_> {
    /// Prepares the dossiers of these reminders, where the agency prepares any.
    pub(super) async fn prepare_dossiers(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        reminders: &VecDeque<Reminder<'_>>,
    ) {
        for form in &self.checked.pipeline.dossiers {
            let all = reminders.iter().flat_map(|reminder| std::iter::once(reminder).chain(&reminder.together));
            let is_asked = |reminder: &&Reminder<'_>| reminder.channel.carries_links() && reminder.unfiled.is_none();
            let of_item = all.filter(|reminder| reminder.item.id == form.item).filter(is_asked);
            let due: BTreeMap<&str, &Obligation> =
                of_item.map(|reminder| (reminder.obligation.key.as_str(), reminder.obligation)).collect();
            let due = self.without_closed(&form.item, due);
            if due.is_empty() {
                continue;
            }
            self.world.progress.step(format!("preparing {} dossiers of {}", due.len(), form.item));
            if let Err(fault) = self.prepare_form(ledger, built, form, due).await {
                self.report.faults.push(FaultLine::from(&fault));
            }
        }
    }

    /// Those whose dossier can leave online: a letter does not say that this way is closed and hold a link to it.
    fn without_closed<'o>(
        &mut self,
        item: &str,
        mut due: BTreeMap<&'o str, &'o Obligation>,
    ) -> BTreeMap<&'o str, &'o Obligation> {
        let all = due.len();
        if self.checked.pipeline.submission.is_some() {
            due.retain(|key, _| !self.recommended.is_online_closed(key));
        }
        let closed = all - due.len();
        if closed > 0 {
            self.report
                .notes
                .push(format!("{closed} dossiers of {item} are not prepared: no way online is open to their persons"));
        }
        due
    }

    async fn prepare_form(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        form: &Form,
        mut due: BTreeMap<&str, &Obligation>,
    ) -> Result<(), Fault> {
        let (name, of) = (TableName::new("dossiers", &form.item), TableName::new("obligations", &form.item));
        let (Some(item), Some(model)) = (self.checked.pipeline.item(&form.item), self.checked.library.model(&name))
        else {
            return Ok(());
        };
        let known = ledger.dossiers_of(due.keys().copied()).map_err(|error| error.fault())?;
        // Who has decided is not asked again.
        due.retain(|key, _| known.get(*key).is_none_or(|(_, state)| state.is_open() || state.is_over()));
        let Some(table) = built.tables.get(&of).filter(|_| !due.is_empty()) else { return Ok(()) };
        if let Some(waits) = model.reads.iter().find(|table| built.is_blocked(table) || built.is_held(table)) {
            let what = format!("no dossier of {} is prepared tonight: {waits} could not be had", form.item);
            return Err(Fault::new("dossiers.blocked", Place::file(&model.path), what, "see the fault of that table"));
        }
        let due: Vec<&Obligation> = due.into_values().collect();
        let places: HashMap<&str, usize> =
            due.iter().enumerate().map(|(at, obligation)| (&*obligation.key, at)).collect();
        let find = |of: [&str; 3]| places.get(key_of(&item.id, of, &self.key).as_str()).copied();
        let few = wanted_rows(&item.id, table, &|of| find(of).is_some()).map_err(|error| error.fault())?;
        let prepared = self.look_up(built, item, model, (&of, table), &few).await?;
        let sheet = Sheet::read(form, &prepared).map_err(|error| error.fault())?;
        let rows = sheet.single_rows(due.len(), &find);
        let found: Vec<(usize, &Obligation)> =
            due.iter().zip(rows).filter_map(|(obligation, row)| Some((row?, *obligation))).collect();
        self.tell_unprepared(&form.item, due.len().saturating_sub(found.len()));
        let key = self.accounts.key().ok_or_else(|| no_random("there is no key to seal with"))?;
        let numbered = numbered(found, &known)?;
        let basis = self.basis(ledger, form, item, &name)?.text().map_err(|error| error.fault())?;
        let is_unsealed = AtomicBool::new(false);
        let make = |(row, obligation, dossier): &(usize, &Obligation, String)| {
            let sealed =
                key.seal(&dossier_name(dossier), &sheet.text(*row, obligation.due_on, self.assumed_year(obligation)));
            is_unsealed.fetch_or(sealed.is_none(), Relaxed);
            Some(PreparedDossier {
                dossier: dossier.clone(),
                subject: self.key.subject(&obligation.subject_id).into(),
                obligation: obligation.key.into(),
                due_on: obligation.due_on,
                sealed: sealed?,
            })
        };
        let count = ledger
            .prepare_dossiers(&self.run, &form.item, (&Basis::name(&basis), &basis), &numbered, &make)
            .map_err(|error| error.fault())?;
        if is_unsealed.into_inner() {
            return Err(no_random("what was prepared could not be sealed"));
        }
        let links = numbered
            .into_iter()
            .map(|(_, obligation, dossier)| (obligation.key.to_string(), (dossier, obligation.due_on)));
        self.dossiers.extend(links);
        let (are, whose) = if count == 1 {
            ("dossier of", "is prepared for its person")
        } else {
            ("dossiers of", "are prepared for their persons")
        };
        self.report.notes.push(format!("{count} {are} {} {whose}", form.item));
        Ok(())
    }

    /// Runs the select of a form for these obligations alone.
    async fn look_up(
        &self,
        built: &Built,
        item: &Item,
        model: &Model,
        (name, whole): (&TableName, &Table),
        few: &Table,
    ) -> Result<Table, Fault> {
        built.engine.register(name, few).map_err(|error| error.fault())?;
        let (since, until) = item.window(self.as_of);
        let bound: Bound = [("$as_of", self.as_of.date()), ("$until", until), ("$since", since)].into();
        let contract = contract(&self.checked.pipeline, model);
        let made = built.engine.look_up(model, &bound, contract.as_ref()).await;
        // Whoever reads it later reads all of it.
        built.engine.register(name, whole).map_err(|error| error.fault())?;
        made.map_err(|error| error.fault())
    }

    fn tell_unprepared(&mut self, item: &str, count: usize) {
        if count > 0 {
            self.report.notes.push(format!(
                "{count} dossiers of {item} are not prepared: the select gives none, or several, for their obligations"
            ));
        }
    }

    /// The form, and where its columns come from tonight.
    fn basis(&self, ledger: &Ledger, form: &Form, item: &Item, name: &TableName) -> Result<Basis, Fault> {
        let pipeline = &self.checked.pipeline;
        let pulled = ledger.pulled_at(self.as_of).map_err(|error| error.fault())?;
        let mut origins = BTreeMap::new();
        for (column, flow) in self.checked.graph.reach(name).into_iter().flat_map(|reach| &reach.lineage.columns) {
            if KEYS.contains(&column.as_str()) {
                continue;
            }
            let landed: Vec<_> =
                flow.values().filter_map(|from| Some((from, pipeline.source(&from.table.schema)?))).collect();
            let Some((from, source)) = landed.first() else { continue };
            let pulled_on = pulled.get(&from.table.to_string());
            let pulled_on = pulled_on.map_or(self.as_of.date(), |at| at.to_zoned(vietnam()).date());
            origins.insert(
                column.clone(),
                ColumnOrigin {
                    columns: landed.iter().map(|(from, _)| from.to_string()).collect(),
                    source: source.title.clone(),
                    owner: source.authorisation.owner.clone(),
                    legal_ground: source.authorisation.legal_ground.clone(),
                    authorised_to: source.authorisation.to.to_string(),
                    pulled_on: pulled_on.to_string(),
                },
            );
        }
        Ok(Basis { agency: pipeline.unit.code.clone(), title: item.title.clone(), form: form.clone(), origins })
    }

    /// What a letter prints of the prepared dossier of its obligation: the link, and nothing that is in it.
    pub(super) fn dossier_fact(&self, reminder: &Reminder<'_>) -> Option<(String, Fact)> {
        let (dossier, due_on) = self.dossiers.get(&*reminder.obligation.key)?;
        let serve = self.checked.pipeline.serve.as_ref()?;
        let links = DossierLinks::new(&self.key, &serve.base_url);
        let url = match reminder.channel.carries_letters() {
            true => links.make(&DossierLink {
                subject: reminder.subject.into(),
                dossier: dossier.clone(),
                issued_on: self.now_as_of().date(),
                expires_on: *due_on,
            }),
            // Each part of a text message costs.
            false => links.brief(dossier),
        };
        let url = url.ok()?;
        Some((DOSSIER_URL.to_owned(), Fact::Text(url)))
    }
}

/// Each obligation with the number of its dossier: the one that it has, while that is open, or a new one. They come in
/// the order of the obligations' keys, and so do the new numbers: neither tells anything, and the ledger grows at its
/// end.
fn numbered<'o>(
    found: Vec<(usize, &'o Obligation)>,
    known: &HashMap<String, (String, DossierState)>,
) -> Result<Vec<(usize, &'o Obligation, String)>, Fault> {
    let no_number = || no_random("the system gives no random bytes for the number of a dossier");
    let mut new = random_numbers(found.len()).ok_or_else(no_number)?.into_iter();
    let number = |(row, obligation): (usize, &'o Obligation)| {
        let open = known.get(&*obligation.key).filter(|(_, state)| state.is_open());
        Some((row, obligation, open.map_or_else(|| new.next(), |(dossier, _)| Some(dossier.clone()))?))
    };
    found.into_iter().map(number).collect::<Option<_>>().ok_or_else(no_number)
}

fn no_random(what: &str) -> Fault {
    let next = "check that /dev/urandom can be read and that keys/ of the state folder can be written";
    Fault::new("dossiers.not-sealed", Place::Thing("the prepared dossiers".into()), what, next)
}
