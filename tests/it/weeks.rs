//! Weekly increments: drawn once, accounted in their month, replayed, told of late records, refused on change.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;

use chudong::calendar::AsOf;
use chudong::disclosure::{Month, Period, Week, closed_weeks};
use jiff::civil::date;

use crate::support::world::{Tree, World};

const DOSSIERS: &str = "data-samples/an-binh/one-stop/dossiers.csv";
const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";
const TABLE: &str = "weekly_service_quality_by_commune";

/// An agency that publishes October 2026, and its weeks.
fn with_weeks() -> World {
    let world = World::small(400);
    world.edit(PIPELINE, "first_month = 2026-07-01", "first_month = 2026-10-01");
    let weekly = "[privacy.weekly]\nafter_days = 3\n\n[[privacy.weekly.measures]]\n\
        table = \"weekly_service_quality_by_commune\"\nof = \"dossiers\"\nby = [\"commune\"]\n\
        bins = \"timeliness_and_channel\"\nsigma = 16\nmin_count = 5\n\n[[privacy.measures]]\ntable = \"satisfaction_by_commune\"\n";
    world.edit(PIPELINE, "[[privacy.measures]]\ntable = \"satisfaction_by_commune\"\n", weekly);
    world
}

/// The weeks that stand on the shelf.
fn weeks(world: &World) -> BTreeSet<String> {
    let folders = world.published().into_keys().filter_map(|path| path.iter().next()?.to_str().map(str::to_owned));
    folders.filter(|folder| folder.contains("-w")).collect()
}

fn of(tree: &Tree, folder: &str) -> Tree {
    tree.iter()
        .filter(|(path, _)| path.starts_with(folder))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect()
}

fn spent(world: &World) -> Vec<String> {
    world.ledger().spent().unwrap().into_iter().map(|(month, rho)| format!("{month} {rho}")).collect()
}

#[test]
fn each_week_is_drawn_once_from_the_budget_of_its_month() {
    let world = with_weeks();
    let plan = world.chudong(&["plan", "--as-of", "2026-10-12"]).with(0);
    assert!(plan.out.contains("2026-10-w1") && !plan.out.contains("2026-10-w2"), "{}", plan.out);
    world.night("2026-10-11").with(0);
    assert_eq!(weeks(&world), ["2026-10-w1".to_owned()].into());
    // 2 dossiers of a person, sigma 16: 4 / 512.
    assert_eq!(spent(&world), ["2026-10 1/128"]);
    let first = of(&world.published(), "2026-10-w1");
    let csv = first.iter().find(|(path, _)| path.ends_with(format!("{TABLE}.csv"))).unwrap().1.clone().unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert_eq!(csv.lines().count(), 9, "{csv}");
    assert!(csv.lines().skip(1).all(|line| line.starts_with("2026-10-w1,9700")), "{csv}");

    // The same night again, and a later one: the first week stays, byte by byte, and costs nothing more.
    let again = world.night("2026-10-11").with(0);
    assert!(again.out.contains("2026-10-w1  unchanged"), "{}", again.out);
    world.night("2026-10-18").with(0);
    assert_eq!(weeks(&world), ["2026-10-w1", "2026-10-w2"].map(str::to_owned).into());
    assert_eq!((of(&world.published(), "2026-10-w1"), spent(&world)), (first.clone(), vec!["2026-10 1/64".to_owned()]));

    // A record that comes late is told, and changes nothing.
    let text = std::fs::read_to_string(world.root().join(DOSSIERS)).unwrap();
    let line = text.lines().find(|line| line.contains(",05/10/2026,") && line.contains(",10,")).unwrap();
    let (number, rest) = line.split_once(',').unwrap();
    world.put(DOSSIERS, format!("{}\n{number}-late,{rest}\n", text.trim_end()).as_bytes());
    let late = world.night("2026-10-18").with(0);
    assert!(late.out.contains("after their week was published (2026-10-w"), "{}", late.out);
    assert_eq!(of(&world.published(), "2026-10-w1"), first);

    // The month beside its weeks: 3/16 and four times 1/128.
    world.night("2026-11-21").with(0);
    assert_eq!(weeks(&world).into_iter().filter(|week| week.starts_with("2026-10")).count(), 4);
    assert!(world.published().keys().any(|path| path.starts_with("2026-10")));
    assert!(spent(&world).contains(&"2026-10 7/32".to_owned()), "{:?}", spent(&world));
    let budget = world.chudong(&["budget"]).with(0).out;
    assert!(budget.contains("week4") && budget.contains("7/32"), "{budget}");
    let asked = format!("select count(distinct period) as weeks from published.{TABLE}");
    assert!(world.chudong(&["query", "--format", "csv", &asked]).with(0).out.trim().ends_with('4'));

    // What is gone comes back from what was drawn; the ledger proves it.
    std::fs::remove_dir_all(world.state().join("published/2026-10-w1")).unwrap();
    world.night("2026-11-21").with(0);
    assert_eq!(of(&world.published(), "2026-10-w1"), first);
    world.ledger_is_sound();

    // Another noise under the same name is refused, and draws nothing.
    world.edit(PIPELINE, "sigma = 16", "sigma = 32");
    let before = (world.published(), spent(&world));
    let refused = world.night("2026-12-20").with(1);
    assert!(refused.out.contains("disclosure.policy-changed"), "{}", refused.out);
    assert!(!weeks(&world).contains("2026-11-w4"));
    assert_eq!(of(&before.0, "2026-10-w1"), of(&world.published(), "2026-10-w1"));
}

#[test]
fn a_week_ends_within_its_month_and_is_named_after_it() {
    let october = Month::of(date(2026, 10, 1));
    let closed =
        |day| -> Vec<String> { closed_weeks(october, AsOf::new(day), 3).iter().map(ToString::to_string).collect() };
    assert!(closed(date(2026, 10, 10)).is_empty());
    assert_eq!(closed(date(2026, 10, 11)), ["2026-10-w1"]);
    assert_eq!(closed(date(2026, 11, 4)).len(), 4);
    assert_eq!(closed(date(2026, 11, 3)).len(), 3);
    for text in ["2026-10-w1", "2026-02-w4"] {
        let period: Period = text.parse().unwrap();
        assert_eq!(period.to_string(), text);
    }
    for text in ["2026-10-w0", "2026-10-w5", "2026-10-w12", "2026-13-w1", "2026-10-w", "2026-Q3-w1"] {
        assert!(text.parse::<Period>().is_err(), "{text}");
    }
    let days: Vec<i8> = Week::PLACES.map(|place| Week::new(october, place).unwrap().last_day().day()).into();
    assert_eq!(days, [7, 14, 21, 31]);
}

#[test]
fn what_is_wrong_with_a_weekly_policy_is_said() {
    let world = with_weeks();
    world.edit(PIPELINE, "sigma = 16", "sigma = 2");
    let said = world.chudong(&["check"]).with(1).said();
    assert!(said.contains("pipeline.rho-cap"), "{said}");
    world.edit(
        PIPELINE,
        "of = \"dossiers\"\nby = [\"commune\"]\nbins = \"timeliness_and_channel\"\nsigma = 2",
        "of = \"ratings\"\nby = [\"commune\"]\nbins = \"level\"\nsigma = 16",
    );
    let said = world.chudong(&["check"]).with(1).said();
    assert!(said.contains("pipeline.weekly-ratings"), "{said}");
}
