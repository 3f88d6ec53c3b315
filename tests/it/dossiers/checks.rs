use super::{PIPELINE, world};
use crate::support::world::World;

const SELECT: &str = "sql/dossiers/driving_licence.sql";
const FORM: &str = "pipelines/items/driving_licence/form.toml";

/// What `check` says of the agency.
fn said(world: &World) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(chudong::check::check(&world.root(), "an-binh"));
    found.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// A file, what stands in it, what takes its place, and what `check` must say.
type Mistake<'m> = (&'m str, &'m str, &'m str, &'m [&'m str]);

#[test]
fn what_a_form_does_not_need_is_refused_before_anything_is_read() {
    let world = world(&["driving_licence"]);
    assert_eq!(said(&world), "");
    let mistakes: [Mistake<'_>; 12] = [
        (
            SELECT,
            "    residents.sex,\n",
            "    residents.sex,\n    people.email,\n",
            &["form.unneeded", "the select gives email"],
        ),
        (
            SELECT,
            "from due\n",
            "from due\njoin staging.people as speakers on speakers.subject_id = due.subject_id and speakers.language = 'vi'\n",
            &["form.unneeded", "the select reads staging.people.language, which no field"],
        ),
        (
            SELECT,
            "people.full_name as full_name__population",
            "coalesce(people.full_name, holders.full_name) as full_name__population",
            &["form.settled-silently", "full_name__population is made of several columns"],
        ),
        (
            SELECT,
            "people.full_name as full_name__population",
            "residents.sex as full_name__population",
            &["form.not-declared", "full_name__population is filled from staging.residents.sex"],
        ),
        (
            SELECT,
            "people.full_name as full_name__population",
            "'Ba' as full_name__population",
            &["form.not-declared", "full_name__population is filled from no column"],
        ),
        (SELECT, "    residents.sex,\n", "", &["form.not-filled", "no column of the select fills the field sex"]),
        (
            SELECT,
            "    residents.sex,\n",
            "    residents.sex,\n    residents.sex as phone,\n",
            &["form.unneeded", "the field phone is for the person to answer"],
        ),
        (
            PIPELINE,
            "purposes = [\"reminders\", \"dossiers\", \"service_quality\", \"recommendations\"]",
            "purposes = [\"reminders\", \"service_quality\", \"recommendations\"]",
            &["sql.purpose", "does not grant that for the purpose dossiers", SELECT],
        ),
        (
            PIPELINE,
            "columns.sex = { type = \"text\", class = \"personal\", purposes = [\"dossiers\"] }",
            "columns.sex = { type = \"text\", class = \"personal\", purposes = [\"reminders\"] }",
            &["sql.purpose", "population.citizens.sex"],
        ),
        (FORM, "identity = \"identity_number\"", "identity = \"number\"", &["form.unknown-field", "form.toml:8"]),
        (FORM, "from = [\"staging.residents.sex\"]", "from = [\"staging.residents.gender\"]", &["form.unknown-column"]),
        (
            FORM,
            "type = \"choice\"",
            "type = \"list\"",
            &["toml.unknown-word", "fields[3].type = \"list\" is not known"],
        ),
    ];
    for (path, from, to, says) in mistakes {
        let before = std::fs::read(world.root().join(path)).unwrap();
        world.edit(path, from, to);
        let text = said(&world);
        for words in says {
            assert!(text.contains(words), "{words}:\n{text}");
        }
        world.put(path, &before);
    }
    std::fs::rename(world.root().join(SELECT), world.root().join("aside")).unwrap();
    let text = said(&world);
    assert!(text.contains("form.no-select"), "{text}");
    std::fs::rename(world.root().join("aside"), world.root().join(SELECT)).unwrap();
    world.edit(PIPELINE, "serve = {", "# serve = {");
    assert!(said(&world).contains("pipeline.dossiers-without-page"));
    world.edit(PIPELINE, "# serve = {", "serve = {");
    let procedures = ", procedures = { driving_licence = \"1.002809\" } }";
    world.edit(PIPELINE, &format!(", paper = true{procedures}"), " }");
    assert!(said(&world).contains("pipeline.dossiers-without-way"));
    // A code that nobody found a source for goes to no portal.
    world.edit(FORM, "confidence = \"B\"", "confidence = \"unsourced\"");
    let submission = "submission = { url = \"https://dvc.example\", token_url = \"https://dvc.example/t\", client_id = \"a\", client_secret = { env = \"A\" }, department = \"H97\" }\ndossiers = {";
    world.edit(PIPELINE, "dossiers = {", submission);
    let text = said(&world);
    assert!(text.contains("pipeline.procedure-unsourced") && text.contains("3.000347 of driving_licence"), "{text}");
    world.edit(PIPELINE, "[\"driving_licence\"] }", &format!("[\"driving_licence\"]{procedures}"));
    assert!(!said(&world).contains("unsourced"));
    world.edit(FORM, "confidence = \"unsourced\"", "confidence = \"B\"");
    world.edit(PIPELINE, submission, "dossiers = {");
    world.edit(PIPELINE, procedures, " }");
    world.edit(PIPELINE, "dossiers = { items = [\"driving_licence\"] }", "dossiers = { items = [\"passport\"] }");
    assert!(said(&world).contains("\"passport\" is not an item that is switched on"));
}

#[test]
fn a_form_is_proved_before_any_agency_uses_it() {
    let world = World::of("binh-minh");
    let proved = |world: &World| -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (catalogue, faults) = runtime.block_on(chudong::check::catalogue::catalogue(&world.root()));
        assert!(catalogue.pipeline.dossiers.len() >= 3);
        faults.iter().map(ToString::to_string).collect()
    };
    assert_eq!(proved(&world), "");
    world.edit("sql/dossiers/passport.sql", "    people.birth_date,\n", "    people.birth_date,\n    people.email,\n");
    world.edit("pipelines/items/health_insurance/form.toml", "type = \"boolean\"", "type = \"yes\"");
    let said = proved(&world);
    assert!(said.contains("form.unneeded") && said.contains("the select gives email"), "{said}");
    assert!(said.contains("fields[9].type = \"yes\" is not known"), "{said}");
}
