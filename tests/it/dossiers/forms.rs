use std::collections::BTreeMap;

use chudong::pipeline::form::{FieldKind, Form};
use rusqlite::Connection;

use crate::support::world::World;

use super::{Desk, NIGHT, PIPELINE, confirmed, links, opened, value, version, world};

const ITEMS: [&str; 4] = ["driving_licence", "temporary_residence", "health_insurance", "passport"];

const PASSPORTS: &str = "
create table passports (passport_number text primary key, citizen_id text, birth_date text, issued_on text);
insert into passports
select 'B' || citizen_id, citizen_id, birth_date, '2017-01-02' from citizens
where birth_date < '1990-01-01' and email is not null and deceased_on is null and not refuses_reminders
order by citizen_id limit 20;
";

const PASSPORTS_TABLE: &str = "[sources.population.tables.passports]
key = [\"passport_number\"]
columns.passport_number = { type = \"text\", class = \"personal\" }
columns.citizen_id = { type = \"text\", class = \"personal\", subject = true }
columns.birth_date = { type = \"date\", class = \"personal\" }
columns.issued_on = { type = \"date\", class = \"personal\" }

[sources.transport]
";

const PASSPORTS_STAGED: &str = "-- One row per passport.
--
-- private: passport_number, subject_id, holder_id, holder_birth_date, issued_on
select passport_number, citizen_id as subject_id, citizen_id as holder_id, birth_date as holder_birth_date, issued_on
from population.passports
";

/// Has the agency remind of passports, of which its population register has some that end soon.
pub fn with_passports(world: &World) {
    Connection::open(world.root().join("data-samples/an-binh/population.sqlite"))
        .unwrap()
        .execute_batch(PASSPORTS)
        .unwrap();
    world.edit(PIPELINE, "[sources.transport]\n", PASSPORTS_TABLE);
    world.edit(PIPELINE, "use = [\"identity_card\",", "use = [\"passport\",");
    world.put("sql/staging/an-binh/passports.sql", PASSPORTS_STAGED.as_bytes());
}

/// A sound answer to whatever a field asks.
fn answer(form: &Form, id: &str) -> String {
    let field = form.field(id).unwrap();
    match field.kind {
        FieldKind::Choice => field.rule.choices.first().unwrap().value.clone(),
        FieldKind::Boolean => "true".into(),
        FieldKind::Date => "2027-01-31".into(),
        FieldKind::Number => "1".into(),
        _ if id == "phone" => "+84912345678".into(),
        _ => "An Bình".into(),
    }
}

#[test]
fn every_form_is_prepared_shown_and_confirmed() {
    let world = world(&ITEMS);
    with_passports(&world);
    world.night(NIGHT).with(0);
    let desk = Desk::start(&world);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let checked = runtime.block_on(chudong::check::check(&world.root(), "an-binh")).unwrap();
    let mut of_item: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for link in links(&world) {
        let kept = world.ledger().dossier(&opened(&world, &link).dossier).unwrap().unwrap();
        of_item.entry(kept.item).or_default().push(link);
    }
    assert_eq!(of_item.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut items = ITEMS.to_vec();
        items.sort_unstable();
        items
    });
    for (item, links) in &of_item {
        let form = checked.pipeline.form(item).unwrap();
        let link = links.first().unwrap();
        let (status, _, page) = desk.get(&format!("{link}?lang=en"));
        assert_eq!(status, 200);
        for field in &form.fields {
            assert!(page.contains(&field.title.en) && page.contains(&format!("f-{}", field.id)), "{item} {}", field.id);
            // What a form says can be filled is filled of most people; what only the person knows is empty.
            let is_filled = links.iter().any(|link| {
                let page = desk.get(link).2;
                value(&page, &field.id).is_some_and(|value| !value.is_empty()) || page.contains(" selected")
            });
            // The sample register has no permanent residence: it is asked, and no other address stands in for it.
            let is_unknown = field.from.is_empty() || field.id == "permanent_residence";
            let is_asked = is_unknown && !matches!(field.kind, FieldKind::Choice | FieldKind::Boolean);
            assert_eq!(is_filled, !is_asked || page.contains(" selected"), "{item} {}", field.id);
        }
        let shown = version(&page);
        let mut answers: Vec<(String, String)> = [("version", shown.as_str()), ("act", "confirm"), ("sure", "yes")]
            .map(|(a, b)| (a.into(), b.into()))
            .into();
        for field in form.fields.iter().filter(|field| field.kind != FieldKind::File) {
            let id = field.id.as_str();
            if super::is_conflict(&page, id) {
                answers.push((format!("{id}.choice"), "1".into()));
            } else if field.from.is_empty() || value(&page, id).is_some_and(|value| value.is_empty()) {
                answers.push((id.into(), answer(form, id)));
            }
        }
        let (status, _, told) = desk.post(link, &super::sent(&answers), &[]);
        assert_eq!(status, 200, "{item}: {told}");
    }
    let all = confirmed(&world);
    assert_eq!(all.len(), ITEMS.len());
    for one in &all {
        let form = checked.pipeline.form(&one.item).unwrap();
        assert_eq!((&one.procedure, &one.agency), (&form.procedure, &checked.pipeline.unit.code));
        let required = form.fields.iter().filter(|field| field.is_required && field.kind != FieldKind::File);
        assert!(required.clone().all(|field| one.fields.iter().any(|known| known.id == field.id)), "{}", one.item);
    }
    world.ledger_is_sound();
}
