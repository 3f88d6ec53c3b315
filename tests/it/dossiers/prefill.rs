//! What is prepared is what the registers say, on random registers: nothing invented, nothing lost, nothing settled.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use chudong::check::{self, Checked, contract};
use chudong::dossiers::{
    Answers, Basis, ColumnOrigin, Meta, Origin, Prepared, Sheet, Standing, confirm, confirmed_text, discrepancies,
    read_confirmed,
};
use chudong::language::Text;
use chudong::personal::Personal;
use chudong::pipeline::form::{Form, tidy};
use chudong::sql::Engine;
use chudong::sql::engine::Bound;
use chudong::tables::{Table, TableName};
use jiff::civil::{Date, date};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::world;
use crate::support::cases;

const TODAY: Date = date(2026, 11, 21);

/// One obligation, with what each register knows about it; none where the register has no row at all.
#[derive(Debug, Clone)]
struct Truth {
    person: Option<(Option<String>, Option<i32>)>,
    resident: Option<(Option<String>, Option<String>, Option<i32>)>,
    licence: Option<(String, i32)>,
    holder: Option<(Option<String>, Option<i32>)>,
}

fn name() -> impl Strategy<Value = String> {
    // Few, so that registers often agree; some that an unclean register holds.
    prop_oneof![
        Just("Nguyễn Thị Hoa".to_owned()),
        Just("Nguyễn Thị Hoà".to_owned()),
        Just("  Nguyễn  Thị\tHoa ".to_owned()),
        Just(String::new()),
        Just("O'Brien \"<b>\" \\ {{x}}".to_owned()),
        "\\PC{0,12}",
    ]
}

fn truth() -> impl Strategy<Value = Truth> {
    let day = || 0..30_000_i32;
    (
        of((of(name()), of(day()))),
        of((of(prop_oneof![Just("male".to_owned()), Just("female".to_owned())]), of(name()), of(day()))),
        of(("[A-E][1-2]?", day())),
        of((of(name()), of(day()))),
    )
        .prop_map(|(person, resident, licence, holder)| Truth { person, resident, licence, holder })
}

/// What the registers of a truth say of each field, as `Sheet` and `Prepared` are to say it: computed here by hand.
fn expected(truth: &Truth, at: usize) -> BTreeMap<&'static str, Vec<String>> {
    let day = |days: &i32| chudong::calendar::from_days(*days).unwrap().to_string();
    let mut said: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut put = |field: &'static str, value: Option<String>| {
        let value = value.map(|value| tidy(&value)).filter(|value| !value.is_empty());
        said.entry(field).or_default().extend(value);
    };
    let person = truth.person.as_ref();
    put("identity_number", person.map(|_| subject(at)));
    put("full_name", person.and_then(|person| person.0.clone()));
    put("full_name", truth.holder.as_ref().and_then(|holder| holder.0.clone()));
    put("birth_date", person.and_then(|person| person.1.as_ref().map(day)));
    put("birth_date", truth.holder.as_ref().and_then(|holder| holder.1.as_ref().map(day)));
    put("sex", truth.resident.as_ref().and_then(|resident| resident.0.clone()));
    put("residence", truth.resident.as_ref().and_then(|resident| resident.1.clone()));
    put("licence_number", truth.licence.as_ref().map(|_| object(at)));
    put("licence_class", truth.licence.as_ref().map(|licence| licence.0.clone()));
    put("licence_issued_on", truth.licence.as_ref().map(|licence| day(&licence.1)));
    said
}

fn subject(at: usize) -> String {
    format!("0970000{at:05}")
}

fn object(at: usize) -> String {
    format!("79{at:010}")
}

type Column = (&'static str, ArrayRef);

fn table(columns: Vec<Column>) -> Table {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Table::from_batch(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap())
}

fn texts(name: &'static str, values: impl Iterator<Item = Option<String>>) -> Column {
    (name, Arc::new(values.collect::<StringArray>()))
}

fn days(name: &'static str, values: impl Iterator<Item = Option<i32>>) -> Column {
    (name, Arc::new(values.collect::<Date32Array>()))
}

/// Puts the registers into an engine and runs the select of the form.
async fn prefill(checked: &Checked, truths: &[Truth]) -> Table {
    let engine = Engine::new().unwrap();
    let all = || truths.iter().enumerate();
    let put = |schema: &str, name: &str, table: Table| engine.register(&TableName::new(schema, name), &table).unwrap();
    put(
        "obligations",
        "driving_licence",
        table(vec![
            texts("subject_id", all().map(|(at, _)| Some(subject(at)))),
            texts("object_id", all().map(|(at, _)| Some(object(at)))),
            texts("period", all().map(|_| Some("2016-12-01".to_owned()))),
        ]),
    );
    let people: Vec<_> = all().filter_map(|(at, truth)| Some((at, truth.person.clone()?))).collect();
    put(
        "staging",
        "people",
        table(vec![
            texts("subject_id", people.iter().map(|(at, _)| Some(subject(*at)))),
            texts("full_name", people.iter().map(|(_, person)| person.0.clone())),
            days("birth_date", people.iter().map(|(_, person)| person.1)),
        ]),
    );
    let residents: Vec<_> = all().filter_map(|(at, truth)| Some((at, truth.resident.clone()?))).collect();
    put(
        "staging",
        "residents",
        table(vec![
            texts("subject_id", residents.iter().map(|(at, _)| Some(subject(*at)))),
            texts("sex", residents.iter().map(|(_, resident)| resident.0.clone())),
            texts("residence", residents.iter().map(|(_, resident)| resident.1.clone())),
            days("residence_confirmed_on", residents.iter().map(|(_, resident)| resident.2)),
        ]),
    );
    let licences: Vec<_> = all().filter_map(|(at, truth)| Some((at, truth.licence.clone()?))).collect();
    put(
        "staging",
        "driving_licences",
        table(vec![
            texts("licence_number", licences.iter().map(|(at, _)| Some(object(*at)))),
            texts("licence_class", licences.iter().map(|(_, licence)| Some(licence.0.clone()))),
            days("issued_on", licences.iter().map(|(_, licence)| Some(licence.1))),
        ]),
    );
    let holders: Vec<_> = all().filter_map(|(at, truth)| Some((at, truth.holder.clone()?))).collect();
    put(
        "staging",
        "licence_holders",
        table(vec![
            texts("licence_number", holders.iter().map(|(at, _)| Some(object(*at)))),
            texts("full_name", holders.iter().map(|(_, holder)| holder.0.clone())),
            days("birth_date", holders.iter().map(|(_, holder)| holder.1)),
        ]),
    );
    let model = checked.library.model(&TableName::new("dossiers", "driving_licence")).unwrap();
    let contract = contract(&checked.pipeline, model);
    engine.build(model, &Bound::new(), contract.as_ref()).await.unwrap()
}

/// Every column of the select, each with an origin that says its name.
fn basis(form: &Form, table: &Table) -> Basis {
    let text = || Text::new("x", "x");
    let origin = |column: &str| ColumnOrigin {
        columns: vec![format!("register.{column}")],
        source: text(),
        owner: text(),
        legal_ground: text(),
        authorised_to: "2027-06-30".into(),
        pulled_on: TODAY.to_string(),
    };
    let columns = table.schema.fields().iter().map(|field| field.name());
    let origins = columns.map(|column| (column.clone(), origin(column))).collect();
    Basis { agency: "97".into(), title: text(), form: form.clone(), origins }
}

#[test]
fn prefill_is_what_the_registers_say() {
    let world = world(&["driving_licence"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let checked = runtime.block_on(check::check(&world.root(), "an-binh")).unwrap();
    let form = checked.pipeline.form("driving_licence").unwrap();
    proptest!(ProptestConfig::with_cases(cases(24)), |(truths in vec(truth(), 1..12))| {
        let made = runtime.block_on(prefill(&checked, &truths));
        prop_assert_eq!(made.schema.field_with_name("birth_date__population").unwrap().data_type(), &DataType::Date32);
        let basis = basis(form, &made);
        prop_assert_eq!(&Basis::read(&basis.text().unwrap()).unwrap(), &basis);
        let sheet = Sheet::read(form, &made).unwrap();
        prop_assert_eq!(sheet.rows(), truths.len());
        let mut seen = vec![false; truths.len()];
        for row in 0..sheet.rows() {
            let [subject_id, _, _] = sheet.key(row).unwrap();
            let at: usize = subject_id.trim_start_matches("0970000").parse().unwrap();
            prop_assert!(!std::mem::replace(&mut seen[at], true));
            let truth = &truths[at];
            let assumed_year = at.is_multiple_of(2).then_some(2027);
            let text = Personal::new(sheet.text(row, date(2026, 12, 1), assumed_year));
            prop_assert_eq!(Prepared::read(&text).unwrap().assumed_year, assumed_year);
            is_as_the_registers_say(&basis, &Prepared::read(&text).unwrap(), truth, at)?;
        }
    });
}

fn is_as_the_registers_say(basis: &Basis, prepared: &Prepared, truth: &Truth, at: usize) -> Result<(), TestCaseError> {
    let expected = expected(truth, at);
    let shown = prepared.shown(basis, TODAY);
    for shown in &shown {
        let nothing = Vec::new();
        let truth = expected.get(shown.field.id.as_str()).unwrap_or(&nothing);
        let said: Vec<&str> = shown.said.iter().map(|said| said.value.reveal().as_str()).collect();
        prop_assert_eq!(&said, truth, "{}", &shown.field.id);
        let standing = match truth.as_slice() {
            [] => Standing::Missing,
            all if all.iter().all(|one| one == &all[0]) => Standing::Agreed,
            _ => Standing::Conflict,
        };
        prop_assert_eq!(shown.standing, standing);
        for said in &shown.said {
            let of_field = said.origin.columns[0].strip_prefix("register.").unwrap();
            let labelled = format!("{}__", shown.field.id);
            let is_own = of_field == shown.field.id || of_field.starts_with(&labelled);
            prop_assert!(is_own, "{}", of_field);
        }
    }
    // A residence that was confirmed long ago is old, one that says no day is as old as the pull.
    let residence = shown.iter().find(|shown| shown.field.id == "residence").unwrap();
    if let (Some(said), Some((_, _, confirmed_on))) = (residence.said.first(), &truth.resident) {
        let as_of = confirmed_on.and_then(chudong::calendar::from_days).unwrap_or(TODAY);
        prop_assert_eq!(said.is_stale, (TODAY - as_of).get_days() > 1826);
    }
    confirmed_is_sound(basis, prepared, &expected)
}

/// Somebody chooses the last of each conflict and gives what is missing.
fn confirmed_is_sound(
    basis: &Basis,
    prepared: &Prepared,
    expected: &BTreeMap<&'static str, Vec<String>>,
) -> Result<(), TestCaseError> {
    let given = [
        ("identity_number", "097000000009"),
        ("full_name", "Trần Văn Ba"),
        ("birth_date", "1990-02-28"),
        ("sex", "male"),
        ("residence", "Số 1"),
        ("phone", "0912345678"),
        ("licence_number", "AB-1"),
        ("licence_class", "B"),
        ("licence_issued_on", "2016-12-01"),
    ];
    let mut answers = Answers::default();
    for (field, given) in given {
        let said = expected.get(field).map(Vec::as_slice).unwrap_or_default();
        let answer = said.last().map_or(given, String::as_str);
        answers.texts.insert(field.to_owned(), Personal::new(answer.to_owned()));
    }
    let at = chudong::calendar::now();
    let meta = Meta { dossier: "d".into(), version: "v".into(), at, today: TODAY };
    let decided = confirm(basis, prepared, &answers, &meta);
    prop_assert!(decided.is_ok(), "{:?}", decided.err());
    let Ok(decided) = decided else { return Ok(()) };
    let told = discrepancies(basis, prepared, &decided.confirmed);
    for field in &decided.confirmed.fields {
        let said = expected.get(field.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let others = said.iter().filter(|other| *other != field.value.reveal()).count();
        prop_assert_eq!(told.iter().filter(|one| one.field == field.id).count(), others);
        match &field.origin {
            Origin::Person => prop_assert!(said.is_empty()),
            Origin::Register { .. } => prop_assert!(!said.is_empty() && others == 0),
            Origin::Chosen { column, instead_of, .. } => {
                prop_assert!(others > 0 && others < said.len() && !instead_of.contains(column));
                prop_assert_eq!(instead_of.len(), others);
            }
            Origin::Corrected { instead_of } => {
                prop_assert_eq!((instead_of.len(), others), (others, said.len()));
            }
        }
        let is_changed = decided.changed.contains(&field.id);
        prop_assert_eq!(is_changed, said.is_empty() || others > 0);
    }
    // What is kept of it is read back as it was.
    let text = confirmed_text(&decided.confirmed).unwrap();
    prop_assert_eq!(&read_confirmed(&text, Vec::new()).unwrap(), &decided.confirmed);
    // Without any answer, what stands in conflict or is missing and required is asked for, in the order of the form.
    let asked = confirm(basis, prepared, &Answers::default(), &meta).err().unwrap_or_default();
    let asked: Vec<&str> = asked.iter().map(|fault| fault.field.as_str()).collect();
    let wanted = prepared.shown(basis, TODAY);
    let wanted: Vec<&str> = wanted
        .iter()
        .filter(|shown| shown.standing != Standing::Agreed && shown.field.is_required)
        .map(|shown| shown.field.id.as_str())
        .collect();
    prop_assert_eq!(asked, wanted);
    Ok(())
}
