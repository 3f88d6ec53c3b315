//! All releases of a period together: two engines over the same records, and the attacker's last word.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use chudong::disclosure::cells::{Cells, Cube, Layout, Tree};
use chudong::disclosure::gate::{Engine, Gate, Invariant, Offer, Refused};
use chudong::disclosure::suppress::{Rules, protect};
use chudong::fault::Explain;

fn trees() -> Vec<Tree> {
    let period = [("2026-Q1", None), ("2026-01", Some("2026-Q1")), ("2026-02", Some("2026-Q1"))];
    vec![
        Tree::new("period", "2026", period).unwrap(),
        Tree::flat("commune", "all", &["a", "b", "c"]).unwrap(),
        Tree::flat("group", "all", &["births", "land"]).unwrap(),
    ]
}

fn cube() -> Cube {
    let mut cube = Cube::new(trees()).unwrap();
    for (commune, births, land) in [("a", 2, 40), ("b", 20, 30), ("c", 11, 12)] {
        cube.add(&["2026-01", commune, "births"], births).unwrap();
        cube.add(&["2026-01", commune, "land"], land).unwrap();
    }
    cube
}

fn by(table: &str, dimensions: &[&str], month: &str) -> Layout {
    Layout::by(table, dimensions).only("period", &[month])
}

fn offer(engine: Engine, records: &str, layout: Layout) -> Offer {
    Offer { engine, records: records.into(), layout }
}

fn gate(invariants: Vec<Invariant>) -> Gate {
    Gate { trees: trees(), invariants, interval_min: 3 }
}

fn exact(layout: &Layout) -> Cells {
    let rules = Rules { sensitive: vec![("group".into(), "births".into())], ..Rules::default() };
    protect(&cube(), std::slice::from_ref(layout), &[], &rules).unwrap()
}

#[test]
fn two_engines_over_the_same_records_are_refused() {
    let noisy = offer(Engine::D, "ratings", by("satisfaction", &["commune", "group"], "2026-01"));
    let layout = by("totals", &["commune"], "2026-01");
    let cells = exact(&layout);
    let offers = vec![noisy.clone(), offer(Engine::E, "ratings", layout.clone())];
    let held = [("ratings".to_owned(), &cells)];
    let error = gate(vec![]).admit(offers.clone(), &[], &held).unwrap_err();
    assert_eq!(error.code(), "disclosure.two-engines");
    assert!(error.next().contains("invariant"));

    // The policy names the total that the rating system demands, and the release says so.
    let invariant = Invariant { records: "ratings".into(), by: vec!["commune".into(), "period".into()] };
    let admitted = gate(vec![invariant.clone()]).admit(offers, &[], &held).unwrap();
    assert_eq!(admitted.invariants(), std::slice::from_ref(&invariant));
    assert!(admitted.reports().iter().all(|(_, report)| report.is_safe()));

    // It names that total and no finer cells.
    let finer = by("finer", &["commune", "group"], "2026-01");
    let cells = exact(&finer);
    let offers = vec![noisy, offer(Engine::E, "ratings", finer)];
    let error = gate(vec![invariant]).admit(offers, &[], &[("ratings".into(), &cells)]).unwrap_err();
    assert!(matches!(error, Refused::TwoEngines { .. }));
}

#[test]
fn other_records_and_other_months_do_not_meet() {
    let layout = by("exact", &["commune"], "2026-01");
    let cells = exact(&layout);
    let held = [("ratings".to_owned(), &cells)];
    let with = |other: Offer| gate(vec![]).admit(vec![offer(Engine::E, "ratings", layout.clone()), other], &[], &held);
    assert!(with(offer(Engine::D, "dossiers", by("d", &["commune"], "2026-01"))).is_ok());
    assert!(with(offer(Engine::D, "ratings", by("d", &["commune"], "2026-02"))).is_ok());
    // A quarter has the records of its months, and so has a table by other codes.
    assert!(with(offer(Engine::D, "ratings", by("d", &["commune"], "2026-Q1"))).is_err());
    assert!(with(offer(Engine::D, "ratings", by("d", &["group"], "2026-01"))).is_err());
    assert!(with(offer(Engine::D, "ratings", by("d", &[], "2026-01").only("group", &["land"]))).is_err());
}

#[test]
fn what_left_before_counts_too() {
    let layout = by("exact", &["commune"], "2026-01");
    let cells = exact(&layout);
    let held = [("ratings".to_owned(), &cells)];
    let quarter = offer(Engine::D, "ratings", by("noisy", &["commune"], "2026-Q1"));
    let offers = vec![offer(Engine::E, "ratings", layout)];
    let error = gate(vec![]).admit(offers.clone(), std::slice::from_ref(&quarter), &held).unwrap_err();
    assert_eq!(error.code(), "disclosure.two-engines");
    // Two tables that have both left are past deciding.
    let other = offer(Engine::D, "ratings", by("noisy", &["commune"], "2026-02"));
    let exact_then = offer(Engine::E, "ratings", by("then", &["commune"], "2026-02"));
    assert!(gate(vec![]).admit(offers, &[other, exact_then], &held).is_ok());
}

#[test]
fn what_is_for_analysts_is_never_released() {
    let error = gate(vec![]).admit(vec![offer(Engine::K, "ratings", by("k", &["commune"], "2026-01"))], &[], &[]);
    assert_eq!(error.unwrap_err().code(), "disclosure.never-public");
}

#[test]
fn exact_tables_are_attacked_whoever_made_them() {
    let layout = by("exact", &["commune", "group"], "2026-01");
    let offers = vec![offer(Engine::E, "ratings", layout.clone())];
    let missing = gate(vec![]).admit(offers.clone(), &[], &[]).unwrap_err();
    assert_eq!(missing.code(), "disclosure.not-attacked");
    // One cell withheld in a table with all its totals: anybody can compute it.
    let mut cells = Cells::new(&cube(), std::slice::from_ref(&layout), &[]).unwrap();
    cells.withhold(&["2026-01", "a", "births"]).unwrap();
    let error = gate(vec![]).admit(offers.clone(), &[], &[("ratings".into(), &cells)]).unwrap_err();
    assert_eq!(error.code(), "disclosure.too-narrow");
    assert!(error.to_string().contains("2026-01 a births"));
    let admitted = gate(vec![]).admit(offers, &[], &[("ratings".into(), &exact(&layout))]).unwrap();
    assert_eq!(admitted.reports().len(), 1);
    assert_eq!(admitted.offers().len(), 1);
}
