//! A year of monthly, quarterly and yearly releases, each with all earlier ones as constraints.

use chudong::disclosure::attack::attack;
use chudong::disclosure::cells::{Cells, Cube, Earlier, Layout, Status, Tree};
use chudong::disclosure::suppress::{Rules, protect};

use super::rank;
use num_rational::Ratio;

const COMMUNES: [&str; 3] = ["c1", "c2", "c3"];
const GROUPS: [&str; 3] = ["births", "land", "trade"];

fn period() -> Tree {
    let quarters: Vec<String> = (1..=4).map(|quarter| format!("2026-Q{quarter}")).collect();
    let months: Vec<(String, String)> =
        (1..=12).map(|month| (format!("2026-{month:02}"), format!("2026-Q{}", (month - 1) / 3 + 1))).collect();
    let quarters = quarters.iter().map(|code| (code.as_str(), None));
    let months = months.iter().map(|(code, quarter)| (code.as_str(), Some(quarter.as_str())));
    Tree::new("period", "2026", quarters.chain(months)).unwrap()
}

/// The records of the first months of a year; what comes later is not there yet.
fn records(months: usize) -> Cube {
    let mut cube = Cube::new(vec![
        period(),
        Tree::flat("commune", "all", &COMMUNES).unwrap(),
        Tree::flat("group", "all", &GROUPS).unwrap(),
    ])
    .unwrap();
    let mut state = 20_260_101_u64;
    for month in 1..=months {
        for commune in COMMUNES {
            for group in GROUPS {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let most = if group == "births" { 9 } else { 30 };
                cube.add(&[&format!("2026-{month:02}"), commune, group], (state >> 33) % most).unwrap();
            }
        }
    }
    cube
}

/// The tables that are released when a month has closed.
fn due(month: usize) -> Vec<Layout> {
    let by = |code: &str| Layout::by(code, &["commune", "group"]).only("period", &[code]);
    let mut due = vec![by(&format!("2026-{month:02}"))];
    if month.is_multiple_of(3) {
        due.push(by(&format!("2026-Q{}", month / 3)));
    }
    if month == 12 {
        due.push(by("2026"));
    }
    due
}

fn year() -> (Cells, Vec<usize>) {
    let sensitive = vec![("group".to_owned(), "births".to_owned())];
    let rules = Rules { sensitive, ..Rules::default() };
    let mut earlier: Vec<Earlier> = Vec::new();
    let mut withheld = Vec::new();
    let mut last = None;
    for month in 1..=12 {
        let cells = protect(&records(month), &due(month), &earlier, &rules).unwrap();
        let report = attack(&cells, rules.interval_min);
        assert!(report.is_safe(), "after month {month}: {report}");
        // What is out stays as it was.
        let now = cells.outcomes();
        assert!(earlier.iter().all(|old| now.contains(old)));
        withheld.push(cells.suppressed());
        earlier = now;
        last = Some(cells);
    }
    (last.unwrap(), withheld)
}

#[test]
fn a_year_of_releases_tells_no_small_count() {
    let (cells, withheld) = year();
    // Twelve months, four quarters and the year, each of 4 × 4 cells.
    assert_eq!(cells.len(), 17 * 16);
    assert!(withheld.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(*withheld.last().unwrap() > 12, "{withheld:?}");
    // Most of the figures are out.
    assert!(*withheld.last().unwrap() < cells.len() / 2, "{withheld:?}");
    // A second opinion on all releases together: no small count is a combination of what is published.
    let all = cells.outcomes();
    let published: Vec<_> =
        all.iter().filter(|cell| cell.status == Status::Published).map(|cell| row(&cell.at)).collect();
    let known = rank(published.clone());
    let primary = all.iter().filter(|cell| matches!(cell.status, Status::Suppressed(why) if why.is_primary()));
    for cell in primary.step_by(5) {
        let with: Vec<_> = published.iter().cloned().chain([row(&cell.at)]).collect();
        assert!(rank(with) > known, "{:?} is derivable", cell.at);
    }
}

/// The row of a cell over 12 × 3 × 3 combinations.
fn row(at: &[String]) -> Vec<Ratio<i128>> {
    let in_period = |month: usize| {
        at[0] == "2026" || at[0] == format!("2026-{month:02}") || at[0] == format!("2026-Q{}", (month - 1) / 3 + 1)
    };
    let mut row = Vec::new();
    for month in 1..=12 {
        for commune in COMMUNES {
            for group in GROUPS {
                let is_in =
                    in_period(month) && (at[1] == "all" || at[1] == commune) && (at[2] == "all" || at[2] == group);
                row.push(Ratio::from(i128::from(is_in)));
            }
        }
    }
    row
}
