//! A plan of many nights says what the nights then do.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use chudong::report::Report;
use chudong::report::window::Window;
use jiff::ToSpan;
use jiff::civil::{Date, date};

use crate::support::world::{World, differences};

fn planned(world: &World, arguments: &[&str]) -> Window {
    let arguments: Vec<&str> = ["plan", "--format", "json"].iter().chain(arguments).copied().collect();
    serde_json::from_str(&world.chudong(&arguments).with(0).out).unwrap()
}

/// Messages by night and item.
type Messages = BTreeMap<(String, String), u64>;

fn messages(window: &Window) -> Messages {
    let sent = window.lines.iter().filter(|line| line.messages > 0);
    sent.map(|line| ((line.night.clone().unwrap(), line.item.clone()), line.messages)).collect()
}

#[test]
fn the_nights_of_a_window_do_what_the_plan_said() {
    let world = World::small(1_500);
    world.without_figures();
    // At the end of a month and of a year of filters: rows come into the window, and go.
    let first = date(2026, 11, 21);
    let nights: Vec<Date> = (0..8).map(|ahead| first.checked_add(ahead.days()).unwrap()).collect();
    let (from, to) = (nights[0].to_string(), nights[7].to_string());
    let before = world.everything();
    let window = planned(&world, &["--from", &from, "--to", &to]);
    assert_eq!(differences(&before, &world.everything()), Vec::<String>::new(), "a plan writes nothing");
    assert_eq!(window.nights, 8);

    let mut sent = Messages::new();
    let mut standing = BTreeMap::new();
    for night in &nights {
        let ended = world.chudong(&["run", "--as-of", &night.to_string(), "--format", "json"]);
        let report: Report = serde_json::from_str(&ended.out).unwrap();
        for line in report.items {
            standing.insert(line.item.clone(), line.obligations);
            if line.messages > 0 {
                sent.insert((night.to_string(), line.item), line.messages);
            }
        }
    }
    assert_eq!(messages(&window), sent);
    assert!(sent.len() > 12, "{sent:?}");
    let planned_standing: BTreeMap<String, u64> =
        window.totals.iter().map(|total| (total.item.clone(), total.standing)).collect();
    assert_eq!(planned_standing, standing);
    for total in &window.totals {
        let of_item = || window.lines.iter().filter(|line| line.item == total.item);
        assert_eq!(total.messages, of_item().map(|line| line.messages).sum::<u64>());
        assert_eq!(total.arise, of_item().map(|line| line.arise).sum::<u64>());
    }

    // The same window, now past: what was sent in it is decided again, what was sent before it counts.
    assert_eq!(messages(&planned(&world, &["--from", &from, "--to", &to])), sent);
    let second = planned(&world, &["--from", &nights[5].to_string(), "--to", &to]);
    let later: Messages = sent.into_iter().filter(|((night, _), _)| *night >= nights[5].to_string()).collect();
    assert_eq!(messages(&second), later);
}

#[test]
fn a_window_can_be_read_as_text_and_as_a_table() {
    let world = World::small(300);
    let window = ["plan", "--from", "2026-11-21", "--to", "2026-11-27"];
    insta::assert_snapshot!("window", world.chudong(&window).with(0).out);
    let csv = world.chudong(&[&window[..], &["--format", "csv"]].concat()).with(0).out;
    assert!(csv.starts_with("night,item,arise,standing,messages\n2026-11-21,"), "{csv}");
    let json: Window =
        serde_json::from_str(&world.chudong(&[&window[..], &["--format", "json"]].concat()).out).unwrap();
    assert_eq!(csv.lines().count(), json.lines.len() + 1);
}

#[test]
fn a_window_that_cannot_be_is_refused() {
    let world = World::of("an-binh");
    for (from, to, what) in [
        ("2026-11-22", "2026-11-21", "the window ends on 2026-11-21, before it begins on 2026-11-22"),
        ("2026-11-21", "2028-11-21", "the window has 732 nights, and 400 are the most"),
        ("2030-01-01", "2030-01-02", "runs from 2026-07-01 to 2027-06-30, not on 2030-01-01"),
    ] {
        let ended = world.chudong(&["plan", "--from", from, "--to", to]).with(1);
        assert!(ended.err.contains(what), "{}", ended.err);
    }
    world.chudong(&["plan", "--from", "2026-11-21"]).with(2);
    world.chudong(&["plan", "--from", "2026-11-21", "--to", "2026-11-22", "--as-of", "2026-11-21"]).with(2);
    let csv = world.chudong(&["plan", "--as-of", "2026-11-21", "--format", "csv"]).with(1);
    assert!(csv.err.contains("error[plan.format]"), "{}", csv.err);
}

#[test]
fn nights_past_a_term_are_counted_and_not_run() {
    let world = World::small(300);
    let window = planned(&world, &["--from", "2027-06-28", "--to", "2027-07-03"]);
    assert_eq!((window.nights, window.refused.len()), (3, 3));
    assert!(window.lines.iter().all(|line| line.night.as_deref() <= Some("2027-06-30")));
}
