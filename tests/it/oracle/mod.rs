//! What falls due, computed a second time: row by row, in plain Rust, from the law.
//!
//! For each item a function says which obligations follow from the records of one subject. It is written
//! from the articles and from what the standard tables mean, not from the select of the item: the numbers
//! of the law stand here once more, months and working days are counted here by other code
//! ([`law`]), and nothing is taken from the rule files but the lead of the letters. Random subjects, whose
//! dates gather where it hurts ([`random`]), are put before both, and both must say the same obligations,
//! due and fulfilled on the same days, under the same version of the rule.
//!
//! `cargo test --test it oracle` takes some thousand subjects of every item and night. With
//! `CHUDONG_TEST_SUBJECTS=1000000` it takes a million of every item, and says so on standard error; with `--ignored`
//! it also changes every number of the law by one, and asks that somebody notices.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex};

use chudong::calendar::{AsOf, Day};
use chudong::obligations::contract;
use chudong::pipeline::Pipeline;
use chudong::pipeline::reader::Faults;
use chudong::sql::cases::mutants;
use chudong::sql::engine::{Bound, given_tables};
use chudong::sql::{Engine, Library};
use chudong::tables::{Table, TableName};
use jiff::civil::Date;

/// What an enterprise registers.
mod enterprises;
/// Births, deaths, children, first military registration.
mod family;
/// What is settled once a year.
mod finalisations;
/// The rows of the standard tables.
mod given;
/// Household businesses and their returns.
mod households;
/// The monthly notice of job search.
mod job_search;
/// Versions of rules, months, ages and working days, counted here and nowhere else.
mod law;
/// Taxes on land and on single events, and the report on the use of labour.
mod levies;
/// Papers that end.
mod papers;
/// Periods of a tax and the days on which their returns are due.
mod periods;
/// Certificates and permits that end.
mod permits;
/// Random numbers and days.
mod random;
/// Returns by the month, the quarter and the year.
mod returns;
/// Taxpayers that keep accounts.
mod taxpayers;
/// Vehicles and who drives them.
mod vehicles;
/// Work and old age.
mod work;

pub use given::Given;
pub use random::Random;

/// What an item asks of whom, computed from the records of one subject.
pub trait Oracle {
    /// What the registers hold of one subject, and of whoever shares an object with it.
    type Records: fmt::Debug;

    /// The nights: the day, and the day whose knowledge of the law counts.
    const NIGHTS: &'static [(Date, Date)];

    /// Facts that are compared beside the columns of every obligation, in the order of [`Obligation::facts`].
    const FACTS: &'static [&'static str] = &[];

    /// Records of the subject of this number; its identifiers begin with [`Id`].
    fn random(random: &mut Random, id: Id, night: &Night) -> Self::Records;

    /// Puts the records into the standard tables.
    fn put(records: &Self::Records, given: &mut Given);

    /// The obligations that follow from them, from the law.
    fn obligations(records: &Self::Records, night: &Night) -> Vec<Obligation>;
}

/// A night that looks at the registers.
#[derive(Debug, Clone, Copy)]
pub struct Night {
    /// The day.
    pub as_of: Date,
    /// What was decided later is not known.
    pub known_on: Date,
    /// The first due day that is looked at.
    pub since: Date,
    /// The last one.
    pub until: Date,
}

impl Night {
    /// Whether an obligation that is due on this day is looked at.
    pub fn sees(&self, due_on: Date) -> bool {
        self.since <= due_on && due_on <= self.until
    }
}

/// The number of a generated subject, with which all identifiers of its records begin: so a row that differs leads
/// back to the records that it came from.
#[derive(Debug, Clone, Copy)]
pub struct Id(u64);

impl Id {
    /// An identifier of a person or a thing of these records: `000000042-card1`.
    pub fn of(self, thing: impl fmt::Display) -> String {
        format!("{:09}-{thing}", self.0)
    }
}

/// An obligation as both sides say it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obligation {
    pub subject_id: String,
    pub object_id: Option<String>,
    pub period: String,
    pub due_on: Date,
    pub fulfilled_on: Option<Date>,
    pub rule_version: String,
    /// The facts named by [`Oracle::FACTS`], as text; none where empty.
    pub facts: Vec<Option<String>>,
}

/// Makes one test of every oracle, named like its item.
macro_rules! oracles {
    ($($item:ident: $oracle:ty,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $item() {
                equal::<$oracle>(stringify!($item)).await;
            }
        )*

        /// The items that have an oracle.
        const ITEMS: &[&str] = &[$(stringify!($item)),*];

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "takes a minute in a release build: every number of the law against every night"]
        async fn every_number_of_the_law_is_noticed() {
            let mut unnoticed = Vec::new();
            $(unnoticed.extend(changes_unnoticed::<$oracle>(stringify!($item)).await);)*
            assert!(unnoticed.is_empty(), "no oracle notices these changes of the law:\n{}", unnoticed.join("\n"));
        }
    };
}

// One line per item.
oracles! {
    identity_card: papers::IdentityCard,
    driving_licence: papers::DrivingLicence,
    passport: papers::Passport,
    temporary_residence: papers::TemporaryResidence,
    health_insurance: papers::HealthInsurance,
    vehicle_inspection: vehicles::VehicleInspection,
    van_inspection: vehicles::VanInspection,
    motor_insurance: vehicles::MotorInsurance,
    licence_points: vehicles::LicencePoints,
    birth_registration: family::BirthRegistration,
    death_registration: family::DeathRegistration,
    military_registration: family::MilitaryRegistration,
    vaccination: family::Vaccination,
    unemployment_benefit: work::UnemploymentBenefit,
    retirement: work::Retirement,
    social_pension: work::SocialPension,
    agricultural_land_tax: levies::AgriculturalLandTax,
    annual_accounts: finalisations::AnnualAccounts,
    annual_finalisation: finalisations::AnnualFinalisation,
    business_resumption: enterprises::BusinessResumption,
    business_suspension: enterprises::BusinessSuspension,
    charter_capital: enterprises::CharterCapital,
    cit_advance: returns::CitAdvance,
    construction_permit: permits::ConstructionPermit,
    enterprise_changes: enterprises::EnterpriseChanges,
    food_safety_certificate: permits::FoodSafetyCertificate,
    gmp_certificate: permits::GmpCertificate,
    household_business_tax: households::HouseholdBusinessTax,
    investment_certificate: enterprises::InvestmentCertificate,
    job_search_notice: job_search::JobSearchNotice,
    labour_use_report: levies::LabourUseReport,
    monthly_tax_return: returns::MonthlyTaxReturn,
    non_agricultural_land_tax: levies::NonAgriculturalLandTax,
    per_occurrence_tax: levies::PerOccurrenceTax,
    pit_self_finalisation: finalisations::PitSelfFinalisation,
    quarterly_tax_return: returns::QuarterlyTaxReturn,
    work_permit: permits::WorkPermit,
    yearly_tax_return: returns::YearlyTaxReturn,
}

/// Items whose oracle is not written yet.
const WITHOUT: &[&str] = &[];

#[test]
fn every_item_has_its_oracle() {
    let items: BTreeSet<&str> = CATALOGUE.0.items.iter().map(|item| item.id.as_str()).collect();
    let with: BTreeSet<&str> = ITEMS.iter().chain(WITHOUT).copied().collect();
    assert_eq!(items, with);
    assert_eq!(with.len(), ITEMS.len() + WITHOUT.len(), "an item is listed twice");
}

/// Every item, and its select.
static CATALOGUE: LazyLock<(Pipeline, Library)> = LazyLock::new(|| {
    let faults = Faults::default();
    let pipeline = chudong::pipeline::catalogue(crate::root(), &faults);
    let library = Library::of_catalogue(crate::root(), &pipeline, &faults);
    let faults: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    (pipeline, library)
});

/// Subjects of each night in the suite.
const USUALLY: u64 = 3_000;

/// Subjects that are in memory at once.
const AT_ONCE: u64 = 50_000;

/// What was found equal so far: subjects and obligations by item.
static EQUAL: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::new(BTreeMap::new());

/// Puts random subjects before the select of an item and before its oracle.
async fn equal<O: Oracle>(item: &str) {
    let asked = std::env::var("CHUDONG_TEST_SUBJECTS").ok().and_then(|subjects| subjects.parse::<u64>().ok());
    let nights: Vec<Night> = O::NIGHTS.iter().map(|(as_of, known_on)| night(item, *as_of, *known_on)).collect();
    let subjects = asked.unwrap_or(USUALLY * nights.len() as u64);
    // Every night has its turn, however few subjects are asked for.
    let at_once = subjects.div_ceil(nights.len() as u64).clamp(1, AT_ONCE);
    let mut seen = Seen::default();
    for (first, night) in (0..subjects).step_by(at_once as usize).zip(nights.iter().cycle()) {
        let numbers = first..subjects.min(first + at_once);
        let records: Vec<O::Records> = numbers.map(|number| records_of::<O>(item, number, night)).collect();
        let mut expected: Vec<Obligation> = records.iter().flat_map(|records| O::obligations(records, night)).collect();
        expected.sort();
        let tables = tables_of::<O>(item, &records);
        let came = selected::<O>(item, &CATALOGUE.0, &tables, night).await;
        let came = came.unwrap_or_else(|error| panic!("{item}, {night:?}: {error:?}"));
        if expected != came {
            panic!("{}", differences(item, night, &expected, &came, |number| records.get((number - first) as usize)));
        }
        seen.add(night, &expected);
    }
    seen.assert_is_enough(item, subjects);
    let mut equal = EQUAL.lock().unwrap();
    equal.insert(item.to_owned(), (subjects, seen.obligations));
    if asked.is_some() {
        let (all, obligations) = equal.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        // Not `eprintln!`, which a passing test keeps for itself.
        let _ = writeln!(
            std::io::stderr(),
            "{item}: {subjects} subjects on {} nights, {} obligations equal ({} fulfilled; on the first day, the night \
             and the last day of a window {:?}); so far {} items, {all} subjects, {obligations} obligations",
            nights.len(),
            seen.obligations,
            seen.fulfilled,
            seen.edges,
            equal.len(),
        );
    }
}

fn night(item: &str, as_of: Date, known_on: Date) -> Night {
    let (since, until) = CATALOGUE.0.item(item).expect("an item of the catalogue").window(AsOf::new(as_of));
    Night { as_of, known_on, since, until }
}

fn records_of<O: Oracle>(item: &str, number: u64, night: &Night) -> O::Records {
    O::random(&mut Random::new(item, number), Id(number), night)
}

/// The standard tables of these subjects.
fn tables_of<O: Oracle>(item: &str, records: &[O::Records]) -> Vec<(String, Table)> {
    let mut given = Given::new(&CATALOGUE.0.standard_tables);
    records.iter().for_each(|records| O::put(records, &mut given));
    given.tables(&mut Random::new(item, records.len() as u64))
}

/// What the select of the item says, in order.
async fn selected<O: Oracle>(
    item: &str,
    pipeline: &Pipeline,
    tables: &[(String, Table)],
    night: &Night,
) -> Result<Vec<Obligation>, chudong::sql::Error> {
    let engine = Engine::with_calendar(pipeline.calendar.known_on(night.known_on))?;
    for (name, table) in given_tables(pipeline, Day::known(night.as_of, night.known_on)) {
        engine.register(&name, &table)?;
    }
    for (name, table) in tables {
        engine.register(&TableName::new("staging", name), table)?;
    }
    let model = CATALOGUE.1.model(&TableName::new("obligations", item)).expect("a select of the item");
    let bound = Bound::from([("$as_of", night.as_of), ("$until", night.until), ("$since", night.since)]);
    let mut came = read(&engine.build(model, &bound, Some(&contract())).await?, O::FACTS);
    came.sort();
    Ok(came)
}

/// The changes of a rule of the item, by one number or without a version, after which its select still says what the
/// oracle says.
async fn changes_unnoticed<O: Oracle>(item: &str) -> Vec<String> {
    let pipeline = &CATALOGUE.0;
    let mut all = Vec::new();
    for (as_of, known_on) in O::NIGHTS {
        let night = night(item, *as_of, *known_on);
        let records: Vec<O::Records> = (0..USUALLY).map(|number| records_of::<O>(item, number, &night)).collect();
        let mut expected: Vec<Obligation> =
            records.iter().flat_map(|records| O::obligations(records, &night)).collect();
        expected.sort();
        all.push((night, tables_of::<O>(item, &records), expected));
    }
    let mut unnoticed = Vec::new();
    let rules = &pipeline.item(item).expect("an item of the catalogue").rules;
    for mutant in mutants(&pipeline.law, rules) {
        let changed = Pipeline { law: mutant.law, ..pipeline.clone() };
        let mut is_noticed = false;
        for (night, tables, expected) in &all {
            let came = selected::<O>(item, &changed, tables, night).await;
            if came.ok().as_ref() != Some(expected) {
                is_noticed = true;
                break;
            }
        }
        if !is_noticed {
            unnoticed.push(format!("{item}: {}", mutant.what));
        }
    }
    unnoticed
}

fn read(table: &Table, facts: &[&str]) -> Vec<Obligation> {
    let texts = |column: &str| table.texts(column).unwrap();
    let dates = |column: &str| table.dates(column).unwrap();
    let facts: Vec<Vec<Option<String>>> = facts.iter().map(|fact| texts(fact)).collect();
    let ids = texts("subject_id").into_iter().zip(texts("object_id")).zip(texts("period"));
    let days = dates("due_on").into_iter().zip(dates("fulfilled_on")).zip(texts("rule_version"));
    ids.zip(days)
        .enumerate()
        .map(|(row, (((subject_id, object_id), period), ((due_on, fulfilled_on), rule_version)))| Obligation {
            subject_id: subject_id.unwrap(),
            object_id,
            period: period.unwrap(),
            due_on: due_on.unwrap(),
            fulfilled_on,
            rule_version: rule_version.unwrap(),
            facts: facts.iter().map(|column| column[row].clone()).collect(),
        })
        .collect()
}

/// The first few subjects of whom both sides say something else, with their records.
fn differences<'r, R: fmt::Debug + 'r>(
    item: &str,
    night: &Night,
    expected: &[Obligation],
    came: &[Obligation],
    records: impl Fn(u64) -> Option<&'r R>,
) -> String {
    let number = |one: &Obligation| one.subject_id.split('-').next().unwrap().parse::<u64>().unwrap();
    let by_number = |all: &[Obligation]| {
        let mut found: BTreeMap<u64, Vec<Obligation>> = BTreeMap::new();
        all.iter().for_each(|one| found.entry(number(one)).or_default().push(one.clone()));
        found
    };
    let (expected, came) = (by_number(expected), by_number(came));
    let numbers: BTreeSet<u64> = expected.keys().chain(came.keys()).copied().collect();
    let differ: Vec<u64> = numbers.into_iter().filter(|number| expected.get(number) != came.get(number)).collect();
    let mut text = format!("{item}, {night:?}: {} subjects differ", differ.len());
    for number in differ.iter().take(4) {
        let say = |all: &BTreeMap<u64, Vec<Obligation>>| {
            let rows = all.get(number).into_iter().flatten();
            rows.fold(String::new(), |said, one| said + &format!("\n    {one:?}"))
        };
        write!(text, "\n{:#?}\n  by the law:{}\n  by the select:{}", records(*number), say(&expected), say(&came))
            .unwrap();
    }
    text
}

/// What the subjects of a run have shown: two sides that say nothing are equal too.
#[derive(Default)]
struct Seen {
    obligations: u64,
    fulfilled: u64,
    /// Which edges of the window an obligation was due on: first day, the night, last day.
    edges: [u64; 3],
}

impl Seen {
    fn add(&mut self, night: &Night, obligations: &[Obligation]) {
        self.obligations += obligations.len() as u64;
        for one in obligations {
            self.fulfilled += u64::from(one.fulfilled_on.is_some());
            for (count, edge) in self.edges.iter_mut().zip([night.since, night.as_of, night.until]) {
                *count += u64::from(one.due_on == edge);
            }
        }
    }

    fn assert_is_enough(&self, item: &str, subjects: u64) {
        let Seen { obligations, fulfilled, .. } = self;
        assert!(obligations * 20 > subjects, "{item}: {obligations} obligations of {subjects} subjects prove little");
        assert!(fulfilled * 100 > subjects && *fulfilled < *obligations, "{item}: {fulfilled} are fulfilled");
    }
}
