//! What is printed, and what each run writes down.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::world::World;

#[test]
fn a_table_is_told_down_to_its_sources_and_rules() {
    let world = World::of("an-binh");
    for model in ["obligations.driving_licence", "satisfaction.ratings", "checks.dossier_number_is_unique"] {
        let ended = world.chudong(&["lineage", model]).with(0);
        insta::assert_snapshot!(format!("text_{}", model.replace('.', "_")), ended.out);
        assert_eq!(ended.said(), "");
    }
    let ended = world.chudong(&["lineage", "staging.nobody"]).with(1);
    assert!(ended.err.starts_with("error[lineage.no-table]: no file in sql/ makes staging.nobody\n"), "{}", ended.err);
}

/// Whoever is refused wants to see the way.
#[test]
fn a_use_that_was_not_granted_is_shown_and_then_refused() {
    let world = World::of("an-binh");
    world
        .put("sql/quality/probe.sql", b"-- private:\nselect count(*) as n from staging.vehicles where is_commercial\n");
    let ended = world.chudong(&["lineage", "quality.probe"]).with(1);
    assert!(ended.out.contains("transport.vehicles.is_commercial"), "{}", ended.out);
    assert!(ended.err.starts_with("error[sql.purpose]: quality.probe reads transport.vehicles.is_commercial"));
}

#[test]
fn as_json_it_is_one_event_of_openlineage() {
    let world = World::of("an-binh");
    let ended = world.chudong(&["lineage", "quality.dossiers", "--format", "json"]).with(0);
    let event: Value = serde_json::from_str(&ended.out).unwrap();
    is_run_event(&event);
    let columns = &event["outputs"][0]["facets"]["columnLineage"];
    let month = &columns["fields"]["month"]["inputFields"];
    assert_eq!(month.as_array().unwrap().len(), 1);
    assert_eq!(month[0]["name"], "one_stop.dossiers");
    assert_eq!(month[0]["field"], "due_on");
    assert_eq!(month[0]["transformations"][0]["subtype"], "TRANSFORMATION");
    let deciding: BTreeSet<&str> =
        columns["dataset"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect();
    assert!(deciding.contains("status"), "{deciding:?}");
    // Without the moment, the same is told every time.
    let again: Value =
        serde_json::from_str(&world.chudong(&["lineage", "quality.dossiers", "--format", "json"]).out).unwrap();
    assert_eq!(without_time(&event), without_time(&again));
}

#[test]
fn each_run_writes_its_events_and_no_person() {
    let mut world = World::small(200);
    world.leaves_in_flight();
    let folder = world.state().join("lineage");
    let names = || {
        let listing = std::fs::read_dir(&folder).unwrap();
        let mut names: Vec<String> = listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    world.night("2026-11-21").with(0);
    // Nights of a day that is later, and files that are older: what was written first goes first.
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    for number in 0..410_u64 {
        let file = std::fs::File::create(folder.join(format!("2027-01-01.{number}.json"))).unwrap();
        file.set_modified(long_ago + std::time::Duration::from_secs(number)).unwrap();
    }
    world.night("2026-11-21").with(0);
    let kept = names();
    assert_eq!(kept.len(), 400);
    assert!(!kept.contains(&"2027-01-01.11.json".into()) && kept.contains(&"2027-01-01.12.json".into()));
    let names: Vec<String> = kept.into_iter().filter(|name| name.starts_with("2026")).collect();
    assert_eq!(names, ["2026-11-21.1.json", "2026-11-21.2.json"]);
    let text = std::fs::read_to_string(folder.join(&names[0])).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut jobs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in &events {
        is_run_event(event);
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        jobs.entry(word(&event["job"]["name"])).or_default().push(word(&event["eventType"]));
        let is_night = event["job"]["name"] == "night";
        let parent = &event["run"]["facets"]["parent"]["run"]["runId"];
        assert!(is_night || *parent == events[0]["run"]["runId"], "the night is the parent of all");
    }
    assert!(jobs.values().all(|types| types == &["START", "COMPLETE"]), "{jobs:?}");
    let models = world.chudong(&["check"]).out;
    let models: usize = models.split(" models").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    // What score sheets count is made when somebody asks for one, and not by the night.
    let of_sheets = std::fs::read_dir(world.root().join("sql/quality/indices")).unwrap().count();
    // Options are compared where somebody is written to about their item.
    let is_of_options = |name: &&String| name.contains("options.");
    let of_options = jobs.keys().filter(is_of_options).count();
    assert!((1..=3).contains(&of_options), "{jobs:?}");
    assert_eq!(jobs.len() - of_options, models - of_sheets - 3 + 1);
    no_person(&world, &text);
}

/// No name, number or address of the register stands in a text.
fn no_person(world: &World, text: &str) {
    let messages = world.messages();
    assert!(!messages.is_empty());
    for bytes in messages.values().flatten() {
        let letter = String::from_utf8_lossy(bytes).into_owned();
        let to = letter.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
        let address = to.rsplit(['<', ' ']).next().unwrap().trim_end_matches('>');
        assert!(address.contains('@') && !text.contains(address));
    }
    for file in ["one-stop/dossiers.csv", "insurance/household_cards.csv"] {
        let drop = std::fs::read_to_string(world.root().join("data-samples/an-binh").join(file)).unwrap();
        let values = drop.lines().skip(1).flat_map(|line| line.split(',')).filter(|value| value.len() > 8);
        for value in values.filter(|value| !value.contains('/')) {
            assert!(!text.contains(value), "a value of {file} is in the lineage");
        }
    }
}

#[test]
fn a_model_that_fails_is_told_and_those_that_wait_for_it() {
    let mut world = World::small(200);
    world.leaves_in_flight();
    std::fs::remove_file(world.root().join("data-samples/an-binh/transport.sqlite")).unwrap();
    world.night("2026-11-21").with(1);
    let text = std::fs::read_to_string(world.state().join("lineage/2026-11-21.1.json")).unwrap();
    let ended = |job: &str| {
        let mut events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let last = events.rfind(|event| event["job"]["name"] == job).unwrap();
        last["eventType"].as_str().unwrap().to_owned()
    };
    assert_eq!(ended("staging.vehicles"), "ABORT");
    assert_eq!(ended("obligations.vehicle_inspection"), "ABORT");
    assert_eq!(ended("obligations.identity_card"), "COMPLETE");
}

fn without_time(event: &Value) -> Value {
    let mut event = event.clone();
    event.as_object_mut().unwrap().remove("eventTime");
    event
}

// ---- the shape of an event -----------------------------------------------------
//
// The project has no JSON Schema validator. These are the requirements of the schema
// RunEvent 2-0-2 and of the facets that are used, written as code: what is required is
// there, what has a format has it, what is a list of words holds no other word.

fn is_run_event(event: &Value) {
    only(event, &["eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"]);
    let types = ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"];
    assert!(types.contains(&text(event, "eventType")));
    text(event, "eventTime").parse::<jiff::Timestamp>().unwrap();
    is_uri(text(event, "producer"));
    assert_eq!(text(event, "schemaURL"), "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent");
    only(&event["run"], &["runId", "facets"]);
    is_uuid(text(&event["run"], "runId"));
    facets(&event["run"]["facets"], |name, facet| match name {
        "nominalTime" => {
            text(facet, "nominalStartTime").parse::<jiff::Timestamp>().unwrap();
        }
        "parent" => {
            is_uuid(text(&facet["run"], "runId"));
            text(&facet["job"], "namespace");
            text(&facet["job"], "name");
        }
        other => panic!("{other} is no run facet that is known here"),
    });
    only(&event["job"], &["namespace", "name", "facets"]);
    text(&event["job"], "namespace");
    text(&event["job"], "name");
    facets(&event["job"]["facets"], |name, facet| match name {
        "jobType" => {
            text(facet, "processingType");
            text(facet, "integration");
        }
        "documentation" => {
            text(facet, "description");
        }
        other => panic!("{other} is no job facet that is known here"),
    });
    let inputs: BTreeSet<(String, String)> = list(event, "inputs").iter().map(is_dataset).collect();
    for output in list(event, "outputs") {
        is_dataset(output);
        for (namespace, name) in named_inputs(&output["facets"]["columnLineage"]) {
            assert!(inputs.contains(&(namespace, name.clone())), "{name} is no input");
        }
    }
}

fn is_dataset(dataset: &Value) -> (String, String) {
    only(dataset, &["namespace", "name", "facets"]);
    facets(&dataset["facets"], |name, facet| match name {
        "schema" => {
            let names: Vec<&str> = list(facet, "fields").iter().map(|field| text(field, "name")).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        }
        "ownership" => assert!(list(facet, "owners").iter().all(|owner| !text(owner, "name").is_empty())),
        "tags" => list(facet, "tags").iter().for_each(|tag| {
            only(tag, &["key", "value", "field"]);
            assert!(!text(tag, "key").is_empty() && !text(tag, "value").is_empty());
        }),
        "documentation" => assert!(!text(facet, "description").is_empty()),
        "columnLineage" => is_column_lineage(facet),
        other => panic!("{other} is no dataset facet that is known here"),
    });
    (text(dataset, "namespace").to_owned(), text(dataset, "name").to_owned())
}

fn is_column_lineage(facet: &Value) {
    let fields = facet["fields"].as_object().unwrap();
    fields.values().for_each(|field| only(field, &["inputFields"]));
    let inputs = fields.values().flat_map(|field| list(field, "inputFields"));
    for input in inputs.chain(list(facet, "dataset")) {
        only(input, &["namespace", "name", "field", "transformations"]);
        for key in ["namespace", "name", "field"] {
            text(input, key);
        }
        for step in list(input, "transformations") {
            only(step, &["type", "subtype", "masking"]);
            let subtypes: &[&str] = match text(step, "type") {
                "DIRECT" => &["IDENTITY", "TRANSFORMATION", "AGGREGATION"],
                "INDIRECT" => &["JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL"],
                other => panic!("{other} is no type of transformation"),
            };
            assert!(subtypes.contains(&text(step, "subtype")));
            assert!(step["masking"].is_boolean());
        }
    }
    // What decides the rows is no value.
    let of_rows = list(facet, "dataset").iter().flat_map(|input| list(input, "transformations"));
    of_rows.for_each(|step| assert_eq!(text(step, "type"), "INDIRECT"));
}

fn named_inputs(facet: &Value) -> Vec<(String, String)> {
    let fields = facet["fields"].as_object().unwrap().values().flat_map(|field| list(field, "inputFields"));
    let all = fields.chain(list(facet, "dataset"));
    all.map(|input| (text(input, "namespace").to_owned(), text(input, "name").to_owned())).collect()
}

fn facets(facets: &Value, mut check: impl FnMut(&str, &Value)) {
    for (name, facet) in facets.as_object().unwrap() {
        is_uri(text(facet, "_producer"));
        let url = text(facet, "_schemaURL");
        assert!(url.starts_with("https://openlineage.io/spec/facets/") && url.contains(".json#/$defs/"), "{url}");
        check(name, facet);
    }
}

fn only(value: &Value, keys: &[&str]) {
    let other = value.as_object().unwrap().keys().find(|key| !keys.contains(&key.as_str()));
    assert_eq!(other, None);
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {value}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {value}"))
}

fn is_uri(text: &str) {
    let (scheme, rest) = text.split_once(':').unwrap();
    assert!(!rest.is_empty() && scheme.chars().all(|c| c.is_ascii_lowercase()), "{text}");
    assert!(!text.contains(' '));
}

/// RFC 9562: five groups of hexadecimal digits, the version and the variant in their places.
fn is_uuid(text: &str) {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert!(text.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
    assert_eq!(text.as_bytes()[14], b'8');
    assert!(b"89ab".contains(&text.as_bytes()[19]));
}
