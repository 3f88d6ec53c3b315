//! Faults in what an agency writes about options, each by its file and line, and what `check` says of a sound one.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use chudong::fault::{Fault, Place};

use crate::support::world::World;

const OUTCOME: &str = "pipelines/options/temporary_residence.toml";
const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";
const SELECT: &str = "sql/options/temporary_residence.sql";

fn faults(world: &World) -> Vec<Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(chudong::check::check(&world.root(), "an-binh")).err().unwrap_or_default()
}

/// The one fault with this code, and the text of the line that it names.
#[track_caller]
fn at(world: &World, code: &str) -> (String, String) {
    let faults = faults(world);
    let found: Vec<&Fault> = faults.iter().filter(|fault| fault.code == code).collect();
    let [fault] = found.as_slice() else { panic_with(code, &faults) };
    let Place::File { path, line } = &fault.place else { panic_with(code, &faults) };
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    let line = line.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default().to_owned();
    (path.display().to_string(), line)
}

#[track_caller]
fn panic_with(code: &str, faults: &[Fault]) -> ! {
    let all: Vec<String> =
        faults.iter().map(|fault| format!("{} {}: {}", fault.code, fault.place, fault.what)).collect();
    #[expect(clippy::panic, reason = "a test may stop at the first surprise")]
    {
        panic!("not one {code} at a line, but:\n{}", all.join("\n"))
    }
}

/// What is wrong, by the place of the fault, after one edit each.
#[test]
fn each_fault_names_its_line() {
    let edits: [(&str, &str, &str, &str, &str); 16] = [
        (OUTCOME, "by_due_day = \"filed\"", "by_due_day = \"someday\"", "toml.unknown-word", "by_due_day"),
        (OUTCOME, "ordinary_status = \"standard\"", "ordinary_status = \"rich\"", "options.unknown-status", "ordinary"),
        (
            OUTCOME,
            "status = \"standard\"\nvnd = 7000",
            "status = \"rich\"\nvnd = 7000",
            "options.unknown-status",
            "rich",
        ),
        (OUTCOME, "vnd = 15000", "vnd = -1", "pipeline.out-of-range", "vnd = -1"),
        (OUTCOME, "id = \"counter\"", "id = \"online\"", "pipeline.twice", "id = \"online\""),
        (OUTCOME, "citizen\"\nunknown = {", "citizen\"\nvnd = 5\nunknown = {", "options.amount", "unknown = {"),
        (OUTCOME, "visits = 2", "months = 6\nvisits = 2", "options.no-contribution", "months = 6"),
        (PIPELINE, "[options]\n", "[options]\nreading_days = 90\n", "pipeline.out-of-range", "reading_days = 90"),
        (OUTCOME, "visits = 2", "visits = 200", "pipeline.out-of-range", "visits = 200"),
        (OUTCOME, "to = 2027-02-28\nreference", "to = 2025-02-28\nreference", "pipeline.term", "to = 2025-02-28"),
        (OUTCOME, "via = \"counter\"", "via = \"balloon\"", "toml.unknown-word", "balloon"),
        (OUTCOME, "working_days = 3\nvisits = 2", "working_day = 3\nvisits = 2", "toml.unknown-key", "working_day = 3"),
        (
            OUTCOME,
            "vnd = 15000\nfrom = 2023-02-05\nreference",
            "vnd = 15000\nfrom = 2023-02-05\nsource = \"x\"\nreference",
            "toml.syntax",
            "",
        ),
        (
            PIPELINE,
            "\"time\", \"documents\", \"duties\"]",
            "\"time\", \"time\", \"duties\"]",
            "options.policy",
            "policy",
        ),
        (
            PIPELINE,
            "\"temporary_residence\", \"health_insurance\"]\n# What",
            "\"temporary_residence\", \"passprot\"]\n# What",
            "options.unknown-outcome",
            "use = ",
        ),
        (SELECT, "codes.options", "codes.optoins", "sql.unknown-table", ""),
    ];
    let world = World::of("an-binh");
    for (path, from, to, code, line) in edits {
        let text = std::fs::read_to_string(world.root().join(path)).unwrap();
        assert!(text.contains(from), "{path} does not hold {from}");
        world.put(path, text.replacen(from, to, 1).as_bytes());
        if line.is_empty() {
            assert!(faults(&world).iter().any(|fault| fault.place.to_string().contains(path)), "{code} {path}");
        } else {
            let (file, found) = at(&world, code);
            assert_eq!(file, path, "{code}");
            assert!(found.contains(line), "{code} names the line {found}");
        }
        world.put(path, text.as_bytes());
    }
    assert!(faults(&world).is_empty());
}

#[test]
fn two_fees_of_one_status_do_not_hold_on_one_day() {
    let world = World::of("an-binh");
    let second = "[[option.fee]]\nstatus = \"standard\"\nvnd = 9000\nfrom = 2026-01-01\n\
                  reference = { vi = \"x\", en = \"x\" }\nconfidence = \"unsourced\"\n\n[[option.fee]]\nstatus = \"digital_citizen\"";
    let text = std::fs::read_to_string(world.root().join(OUTCOME)).unwrap();
    world.put(OUTCOME, text.replacen("[[option.fee]]\nstatus = \"digital_citizen\"", second, 1).as_bytes());
    let (file, line) = at(&world, "options.fee-overlap");
    assert_eq!((file.as_str(), line.as_str()), (OUTCOME, "from = 2026-01-01"));
}

#[test]
fn data_that_was_not_granted_for_recommendations_is_not_compared() {
    let world = World::of("an-binh");
    // The population database, which tells whose residence ends.
    world.edit(PIPELINE, "\"service_quality\", \"recommendations\"]", "\"service_quality\"]");
    let faults = faults(&world);
    let refused: Vec<&Fault> = faults.iter().filter(|fault| fault.code == "sql.purpose").collect();
    assert!(!refused.is_empty() && refused.len() == faults.len(), "{faults:?}");
    assert!(refused.iter().all(|fault| fault.place.to_string().starts_with("sql/options/")), "{faults:?}");
    assert!(
        refused
            .iter()
            .any(|fault| fault.what.contains("temporary_residence")
                && fault.what.contains("the purpose recommendations"))
    );
}

/// Every word that a select gives or asks for is one that its outcome declares: known before the night, by file and line.
#[test]
fn each_word_of_a_select_that_no_outcome_declares_is_named_by_its_line() {
    let edits = [
        ("then 'no_level_2'", "then 'no_level_3'", "gives the reason 'no_level_3'"),
        ("ways.option_id = 'vneid' and known", "ways.option_id = 'vnied' and known", "asks for the option_id 'vnied'"),
        ("ways.via = 'online' and known.level", "ways.via = 'on-line' and known.level", "asks for the via 'on-line'"),
        (
            "then 'digital_citizen' else 'standard' end",
            "then 'digital_citizen' else 'ordinary' end",
            "gives the fee_status 'ordinary'",
        ),
        (
            "where outcome = 'temporary_residence'",
            "where outcome = 'temporary_residences'",
            "asks for the outcome 'temporary_residences'",
        ),
        ("    cast(null as varchar) as loses", "    coalesce(null, 'a_right') as loses", "gives the loses 'a_right'"),
        (
            "    option_id,\n    reason is null",
            "    cast('counted' as varchar) as option_id,\n    reason is null",
            "gives the option_id 'counted'",
        ),
    ];
    let world = World::of("an-binh");
    let text = std::fs::read_to_string(world.root().join(SELECT)).unwrap();
    for (from, to, what) in edits {
        assert!(text.contains(from), "the select does not hold {from}");
        world.put(SELECT, text.replacen(from, to, 1).as_bytes());
        let (file, line) = at(&world, "options.unknown-word");
        assert!(file == SELECT && to.contains(line.trim()) || line.contains(to.trim()), "{file}: {line}");
        let said = faults(&world).into_iter().find(|fault| fault.code == "options.unknown-word").unwrap();
        assert!(said.what.contains(what) && !said.next.is_empty(), "{}", said.what);
    }
    // A reason that the outcome no longer declares is found in the select that gives it.
    world.put(SELECT, text.as_bytes());
    let outcome = std::fs::read_to_string(world.root().join(OUTCOME)).unwrap();
    let lacks: String =
        outcome.lines().filter(|line| !line.starts_with("not_integrated")).map(|line| format!("{line}\n")).collect();
    world.put(OUTCOME, lacks.as_bytes());
    assert!(at(&world, "options.unknown-word").1.contains("then 'not_integrated'"));
}

/// Ways that share a procedure and a channel cannot be told apart by dossiers, unless these bear a mark.
#[test]
fn ways_that_no_dossier_tells_apart_are_said() {
    let world = World::of("an-binh");
    let watched = "\n[[exact.options]]\ntable = \"options_taken\"\ntitle = { vi = \"x\", en = \"x\" }\n";
    let pipeline = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let exact = if pipeline.contains("[exact]") {
        watched.to_owned()
    } else {
        format!("\n[exact]\npolicy = \"an-binh-exact-1\"\nfirst_month = 2026-10-01\n{watched}")
    };
    let said = "temporary_residence.toml: no dossier shows whether online or vneid was taken";
    let says = |world: &World| world.chudong(&["check"]).out.contains(said);
    assert!(!says(&world), "nothing is watched");
    world.put(PIPELINE, format!("{pipeline}{exact}").as_bytes());
    assert!(says(&world));
    world.edit(OUTCOME, "id = \"vneid\"\n", "id = \"vneid\"\nmark = \"vneid\"\n");
    assert!(says(&world), "dossiers bear no mark yet");
    let choices = "sql/quality/choices.sql";
    world.edit(
        choices,
        "        filed.channel\n    from filed",
        "        filed.channel,\n        case when filed.dossier_id like '%7' then 'vneid' end as mark\n    from filed",
    );
    assert!(!says(&world));
}

#[test]
fn an_outcome_without_a_select_is_a_fault() {
    let world = World::of("an-binh");
    std::fs::remove_file(world.root().join(SELECT)).unwrap();
    let faults = faults(&world);
    assert!(
        matches!(faults.as_slice(), [one] if one.code == "sql.no-options" && one.place == Place::file(SELECT)),
        "{faults:?}"
    );
}

#[test]
fn every_outcome_of_the_repository_is_sound_and_says_where_its_fees_were_read() {
    let faults = chudong::pipeline::reader::Faults::default();
    let catalogue = chudong::pipeline::catalogue(crate::root(), &faults);
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    let names: Vec<&str> = catalogue.options.outcomes.iter().map(|outcome| outcome.id.as_str()).collect();
    assert_eq!(names, ["driving_licence", "health_insurance", "passport", "temporary_residence"]);
    for outcome in &catalogue.options.outcomes {
        assert!(crate::root().join(format!("sql/options/{}.sql", outcome.id)).is_file());
        for fee in outcome.ways.iter().flat_map(|way| &way.fees) {
            let is_sourced = fee.source.is_some();
            let says_so = fee.confidence == chudong::pipeline::options::Confidence::Unsourced;
            assert!(is_sourced != says_so, "{}: {:?} VND", outcome.id, fee.vnd);
            assert!(
                fee.vnd != Some(0) || fee.status == "standard",
                "{}: a waiver of an unknown amount is no 0",
                outcome.id
            );
        }
    }
}
