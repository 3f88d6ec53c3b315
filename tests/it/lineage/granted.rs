//! What was not granted is refused, wherever it is used; what is not used is not refused.

use std::path::Path;

use chudong::check::check;
use chudong::fault::Fault;

use crate::support::world::World;

const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";
const EMAIL: &str = "columns.email = { type = \"text\", class = \"personal\" }";

/// The sample agency, whose population database is granted for both purposes, but its addresses for reminders only.
fn world() -> World {
    let world = World::of("an-binh");
    let narrowed = EMAIL.replace(" }", ", purposes = [\"reminders\"] }");
    world.edit(PIPELINE, EMAIL, &narrowed);
    world
}

async fn faults(root: &Path) -> Vec<Fault> {
    check(root, "an-binh").await.err().unwrap_or_default()
}

fn said(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

/// The faults of one code.
fn of(code: &str, faults: Vec<Fault>) -> Vec<Fault> {
    faults.into_iter().filter(|fault| fault.code == code).collect()
}

/// Each uses an address for a figure, in another way. `private` is kept true, so that nothing else is at fault.
const USES: &[(&str, &str)] = &[
    ("directly", "select email as private_one from population.citizens"),
    ("through a view, which is another model", "select email as private_one from staging.people"),
    (
        "through a common table expression and a star",
        "with people as (select * from staging.people), all_of_it as (select * from people) select email as private_one from all_of_it",
    ),
    ("under other names", "select p.b as private_one from (select email as b from staging.people as x) as p"),
    ("in a computed value", "select upper(p.email) || '-' as private_one from staging.people as p"),
    (
        "as an argument of one of our functions",
        "select add_months(birth_date, character_length(email), 'clamp') as private_one from staging.people",
    ),
    ("only to filter", "select commune_code as private_one from staging.people where email is not null"),
    (
        "only to join",
        "select a.commune_code as private_one from staging.people as a join staging.people as b on a.email = b.email",
    ),
    ("only to group", "select count(*) as addresses from staging.people group by email"),
    ("only to sort", "select commune_code as private_one from staging.people order by email"),
    ("only to decide", "select case when email is null then 0 else 1 end as has_address from staging.people"),
    ("only as the part of a window", "select count(*) over (partition by email) as n from staging.people"),
    (
        "in a subquery that is only asked whether it has rows",
        "select month from quality.dossiers as d where exists (select 1 from staging.people as p where p.subject_id = d.subject_id and p.email <> '')",
    ),
    (
        "in a subquery that is a list",
        "select month from quality.dossiers as d where 'a@example.org' in (select email from staging.people)",
    ),
    (
        "in a subquery that is a value",
        "select month, (select max(email) from staging.people as p where p.subject_id = d.subject_id) as private_one from quality.dossiers as d",
    ),
    (
        "in the second arm of a union",
        "select commune_code as private_one from staging.people union all select email from staging.people",
    ),
    (
        "in an arm that is taken away",
        "select commune_code as private_one from staging.people except select email from staging.people",
    ),
];

/// Columns of these selects that hold personal data.
fn head(select: &str) -> String {
    let mut private = Vec::new();
    if select.contains("private_one") {
        private.push("private_one");
    }
    if select.starts_with("select month") {
        private.push("month");
    }
    format!("-- A figure.\n--\n-- private: {}\n{select}\n", private.join(", "))
}

#[tokio::test]
async fn an_address_is_refused_in_a_figure_wherever_it_is_used() {
    let world = world();
    assert_eq!(said(&faults(&world.root()).await), "", "nothing but the addresses is narrowed");
    for (at, (_, select)) in USES.iter().enumerate() {
        world.put(&probe(at), head(select).as_bytes());
    }
    let faults = faults(&world.root()).await;
    for (at, (how, _)) in USES.iter().enumerate() {
        let mine: Vec<&Fault> = faults.iter().filter(|fault| fault.place.to_string() == probe(at)).collect();
        let [fault] = mine.as_slice() else { panic!("{how}: {}", said(&faults)) };
        assert_eq!(fault.code, "sql.purpose", "{how}: {fault}");
        for word in ["population.citizens.email", "service_quality", "Circular 117/2026/TT-BCA, Art. 9"] {
            assert!(fault.what.contains(word), "{how}: {fault}");
        }
        assert_eq!(fault.what.matches("population.citizens").count(), 1, "{how}: nothing else is refused: {fault}");
    }
    assert_eq!(faults.len(), USES.len(), "{}", said(&faults));
}

fn probe(at: usize) -> String {
    format!("sql/quality/probe_{at:02}.sql")
}

#[tokio::test]
async fn what_stands_beside_an_address_is_not_refused() {
    let world = world();
    let selects = [
        "select commune_code as private_one from staging.people",
        "with people as (select * from staging.people) select commune_code as private_one from people",
        "select count(*) as people from staging.people",
        "select x.private_one from (select commune_code as private_one, email from staging.people) as x",
        "select commune_code as private_one from staging.people where exists (select email from staging.people)",
    ];
    for (at, select) in selects.iter().enumerate() {
        world.put(&probe(at), head(select).as_bytes());
    }
    assert_eq!(said(&faults(&world.root()).await), "");
}

#[tokio::test]
async fn a_use_through_two_models_is_said_where_it_begins() {
    let world = world();
    let bridge = "-- private: address\nselect email as address, commune_code from staging.people\n";
    world.put("sql/quality/bridge.sql", bridge.replace("address\n", "address, commune_code\n").as_bytes());
    world.put("sql/quality/probe.sql", b"-- private: one\nselect upper(address) as one from quality.bridge\n");
    let found = faults(&world.root()).await;
    insta::assert_snapshot!("through_two_models", said(&found));
}

/// A whole source: its columns, and where none is used, how many rows it has.
#[tokio::test]
async fn a_source_that_is_not_granted_is_refused_even_for_its_count() {
    let world = world();
    // A filter's columns are used by whoever counts its rows; here nothing but the count is.
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let (before, vehicles) = text.split_once("[sources.transport.tables.vehicles]").unwrap();
    let (head, rest) = vehicles.split_once("filter = \"\"\"").unwrap();
    let (_, rest) = rest.split_once("\"\"\"").unwrap();
    world.put(PIPELINE, format!("{before}[sources.transport.tables.vehicles]{head}{rest}").as_bytes());
    world.put("sql/quality/probe.sql", b"-- private:\nselect count(*) as vehicles from staging.vehicles\n");
    world.put(
        "sql/quality/probe_two.sql",
        b"-- private: one\nselect max(vehicle_id) as one from staging.vehicles as v where v.kind = 'passenger_car'\n",
    );
    insta::assert_snapshot!("a_source_that_is_not_granted", said(&faults(&world.root()).await));
}

#[tokio::test]
async fn a_check_needs_any_purpose_and_no_more() {
    let world = world();
    let select = "-- private: email\n-- severity: warn\nselect email from staging.people where email like '% %'\n";
    world.put("sql/checks/address_has_no_space.sql", select.as_bytes());
    assert_eq!(said(&faults(&world.root()).await), "");
    world.edit(PIPELINE, "purposes = [\"reminders\"] }", "purposes = [] }");
    let found = faults(&world.root()).await;
    assert_eq!(
        found.iter().map(|fault| fault.code).collect::<Vec<_>>(),
        ["toml.empty"],
        "granted for nothing, not read"
    );
}

/// Which rows are asked of the source is decided by the columns of its filter.
#[tokio::test]
async fn a_row_filter_uses_its_columns_for_all_who_read_the_table() {
    let world = world();
    world.put("sql/quality/probe.sql", b"-- private: one\nselect max(commune_code) as one from staging.people\n");
    assert_eq!(said(&faults(&world.root()).await), "");
    world.edit(
        PIPELINE,
        "[sources.population.tables.citizens]\n",
        "[sources.population.tables.citizens]\nfilter = \"email is not null\"\n",
    );
    let mut found = faults(&world.root()).await;
    found.retain(|fault| fault.what.starts_with("quality.probe"));
    let [fault] = found.as_slice() else { panic!("{}", said(&found)) };
    assert!(fault.what.contains("quality.probe reads population.citizens.email through staging.people"), "{fault}");
}

#[tokio::test]
async fn a_column_is_not_granted_for_more_than_its_source() {
    let world = World::of("an-binh");
    let plate = "columns.plate = { type = \"text\", class = \"personal\"";
    world.edit(PIPELINE, plate, &format!("{plate}, purposes = [\"service_quality\"]"));
    let found = faults(&world.root()).await;
    let wider = of("pipeline.wider-purpose", found.clone());
    let [fault] = wider.as_slice() else { panic!("{}", said(&found)) };
    assert!(fault.what.contains("vehicles.plate names the purpose service_quality"), "{fault}");
}

/// The version of the rule goes into the ledger as it is: nothing of a person may stand in it.
#[tokio::test]
async fn what_goes_into_the_ledger_in_clear_holds_nothing_of_a_person() {
    let path = "sql/obligations/temporary_residence.sql";
    let rule = "        extension.rule_version,\n";
    for (version, is_refused) in [
        ("residences.subject_id || '@' || extension.rule_version", true),
        ("(select max(x.subject_id) from staging.temporary_residences as x)", true),
        // Which version it is may depend on the person; what it is, not.
        ("case when residences.expires_on > $as_of then extension.rule_version else '' end", false),
        ("upper(extension.rule_version)", false),
    ] {
        let world = World::of("an-binh");
        world.edit(path, rule, &format!("        {version} as rule_version,\n"));
        let found = faults(&world.root()).await;
        assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), vec!["sql.exit"; usize::from(is_refused)]);
        for fault in found {
            assert_eq!(fault.place.to_string(), path);
            assert!(fault.what.contains("population.temporary_residences.citizen_id"), "{fault}");
        }
    }
}

/// The head follows the values, under whatever name.
#[tokio::test]
async fn a_head_names_every_column_into_which_a_person_arrives() {
    let world = World::of("an-binh");
    let select = "select d.dossier_id as number, upper(d.subject_id) as who, d.channel from staging.dossiers as d\n";
    let heads = [
        ("", Some("leaves out number, who")),
        ("number", Some("leaves out who")),
        ("number, who", None),
        // A row about one person is private as a whole.
        ("number, who, channel", None),
        ("number, who, nobody", Some("names what the select does not give: nobody")),
    ];
    for (at, (private, _)) in heads.iter().enumerate() {
        world.put(&probe(at), format!("-- private: {private}\n{select}").as_bytes());
    }
    let faults = faults(&world.root()).await;
    for (at, (private, says)) in heads.into_iter().enumerate() {
        let mine = faults.iter().find(|fault| fault.place.to_string() == probe(at));
        assert_eq!(mine.is_some(), says.is_some(), "{private}: {}", said(&faults));
        assert!(mine.is_none_or(|fault| fault.code == "sql.private" && fault.what.ends_with(says.unwrap_or_default())));
    }
    assert_eq!(faults.len(), 3, "{}", said(&faults));
}

/// More uses of an address, in the less travelled parts of the language.
const FAR_USES: &[&str] = &[
    "select 1 as n from staging.people as a natural join staging.people as b",
    "select 1 as n from staging.people as a join staging.people as b using (email)",
    "select a.commune_code as private_one from staging.people as a, lateral (select b.commune_code from staging.people as b where b.email = a.email) as l",
    "select l.x as private_one from staging.people as a, lateral (select upper(a.email) as x) as l",
    "select 1 as n from staging.people as p where exists (select 1 from law.driving_licence_term as l where l.key = p.email)",
    "select (select max(l.key) from law.driving_licence_term as l where l.key = p.email) as private_one from staging.people as p",
    "with recursive walk(x, n) as (select email, 1 from staging.people union all select x, n + 1 from walk where n < 3) select n from walk where x <> ''",
    "with recursive walk(x, n) as (select email, 1 from staging.people union all select x, n + 1 from walk where n < 3) select x as private_one from walk",
    "select unnest(string_to_array(email, '@')) as private_one from staging.people",
    "select named_struct('a', email)['a'] as private_one from staging.people",
    "select (array_agg(email))[1] as private_one from staging.people",
    "select array_agg(commune_code order by email)[1] as private_one from staging.people",
    "select count(*) filter (where email <> '') as n from staging.people",
    "select commune_code as private_one from staging.people group by commune_code having max(email) > 'a'",
    "select commune_code as private_one from staging.people qualify row_number() over (order by email) = 1",
    "select distinct on (email) commune_code as private_one from staging.people",
    "select distinct commune_code as private_one, email as private_two from staging.people",
    "select count(*) as n from staging.people group by grouping sets ((commune_code), (email))",
    "select count(*) as n from staging.people group by rollup (commune_code, email)",
    "select grouping(email) as n from staging.people group by cube (email)",
    "select column1 as private_one from (values ((select max(email) from staging.people))) as v",
    "select 1 as n where 'a' = any (select email from staging.people)",
    "select 1 as n from staging.people where (email, commune_code) = ('a', 'b')",
    "select lag(email) over (order by birth_date) as private_one from staging.people",
    "select count(distinct email) as n from staging.people",
    "select row_number() over w as n from staging.people window w as (order by email)",
    "select commune_code as private_one from staging.people order by (select max(email) from staging.people)",
    "select commune_code as private_one from staging.people limit (select count(email) from staging.people)",
    "select * exclude (email) from (select email, email as private_one from staging.people)",
    "select * replace (upper(email) as commune_code) from (select email, commune_code from staging.people)",
    "select private_one from (select \"email\" as private_one from \"staging\".\"people\")",
    "select EMAIL as private_one from STAGING.PEOPLE",
    "select x as private_one from unnest((select array_agg(email) from staging.people)) as t(x)",
    "select commune_code as private_one from staging.people intersect select email from staging.people",
    "select array_any_match([1], x -> x = length(email)) as b from staging.people",
    "select array_filter([email], x -> x <> '') as private_one from staging.people",
    "select coalesce(null, email) as private_one from staging.people",
    "select first_value(commune_code order by email) as private_one from staging.people",
    "select people.email as private_one from staging.people",
    "select p as private_one from staging.people as p",
    "select string_agg(email, ',') as private_one from staging.people",
    "select commune_code as private_one from staging.people where email in ('a', 'b')",
    "select commune_code as private_one from (select * from staging.people order by email limit 3)",
    "select n from (select commune_code, rank() over (order by email) as n from staging.people)",
    "select value as n from generate_series(1, 3) where value in (select length(email) from staging.people)",
    "table staging.people",
    "from staging.people",
    "select sum(case when email is null then 1 else 0 end) as n from staging.people",
    "select 1 as n from staging.people as a left anti join staging.people as b on a.email = b.email",
    "select 1 as n from staging.people as a full join staging.people as b on a.commune_code = b.commune_code and a.email > b.email",
];

#[tokio::test]
async fn an_address_is_refused_in_the_less_travelled_parts_of_the_language() {
    let world = world();
    for (at, select) in FAR_USES.iter().enumerate() {
        world.put(&probe(at), head(select).as_bytes());
    }
    let faults = faults(&world.root()).await;
    for (at, select) in FAR_USES.iter().enumerate() {
        let mine = || faults.iter().filter(|fault| fault.place.to_string().starts_with(&probe(at)));
        let is_named = mine().any(|f| f.code == "sql.purpose" && f.what.contains("population.citizens.email"));
        // What the engine cannot do is refused as a whole.
        let cannot = ["sql.model", "sql.not-a-select", "sql.unknown-table"];
        assert!(is_named || mine().any(|fault| cannot.contains(&fault.code)), "{select}: {}", said(&faults));
    }
    let named = faults.iter().filter(|fault| fault.code == "sql.purpose").count();
    assert!(named >= 39, "{named}: most of them are understood");
}
