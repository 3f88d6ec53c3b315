//! The attacker against brute force.

use chudong::disclosure::attack::{Bounds, attack, bounds};
use chudong::disclosure::cells::{Cells, Cube, Layout, Status, Tree};
use proptest::prelude::*;

use super::brute;

/// Coordinates of the table of brute force, by number.
fn coordinates(number: usize) -> [&'static str; 2] {
    [["all", "r0", "r1"][number / 4], ["all", "c0", "c1", "c2"][number % 4]]
}

fn withheld(counts: [[u64; 3]; 2], numbers: &[usize]) -> Cells {
    let mut cells = Cells::new(&brute::cube(counts), &[brute::layout()], &[]).unwrap();
    for number in numbers {
        cells.withhold(&coordinates(*number)).unwrap();
    }
    cells
}

fn found(cells: &Cells, at: &[String]) -> Bounds {
    bounds(cells, &at.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In tables of two dimensions the vertices are whole, and the linear programme is as strong as brute force.
    #[test]
    fn bounds_are_those_of_brute_force(
        counts in prop::array::uniform2(prop::array::uniform3(0_u64..4)),
        numbers in prop::collection::vec(1_usize..12, 0..9),
        interval_min in 1_u64..5,
    ) {
        let cells = withheld(counts, &numbers);
        let report = attack(&cells, interval_min);
        for (cell, (least, greatest)) in brute::intervals(&cells, counts) {
            let found = found(&cells, &cell.at);
            prop_assert_eq!(found, Bounds { min: least, max: Some(greatest) });
            // By hand a cell is withheld beside others: it must not be known, which is a width of 1.
            let is_narrow = report.narrow.contains(&cell.at);
            prop_assert_eq!(is_narrow, cell.status != Status::Published && least == greatest);
        }
    }

    /// Who sees less knows less.
    #[test]
    fn withholding_more_narrows_nothing(
        counts in prop::array::uniform2(prop::array::uniform3(0_u64..9)),
        numbers in prop::collection::vec(0_usize..12, 1..9),
        more in prop::collection::vec(0_usize..12, 1..4),
    ) {
        let before = withheld(counts, &numbers);
        let after = withheld(counts, &[numbers.as_slice(), &more].concat());
        for number in numbers {
            let at = coordinates(number);
            let (before, after) = (bounds(&before, &at).unwrap(), bounds(&after, &at).unwrap());
            prop_assert!(after.min <= before.min);
            prop_assert!(after.max.is_none_or(|after| before.max.is_some_and(|before| before <= after)));
        }
    }

    /// In three dimensions vertices need not be whole: brute force over two by two by two lies inside the bounds, and
    /// what the gate takes as wide is wide for whole counts.
    #[test]
    fn three_dimensions_are_bounded_from_both_sides(
        counts in prop::collection::vec(0_u64..3, 8),
        hidden in prop::collection::vec(0_usize..27, 1..14),
    ) {
        let cells = three_dimensions(&counts, &hidden);
        let report = attack(&cells, 1);
        for (at, status, (least, greatest)) in brute_three(&cells, &counts) {
            let found = found(&cells, &at);
            prop_assert!(found.min <= least && found.max.is_none_or(|max| max >= greatest));
            if status != Status::Published && !report.narrow.contains(&at) {
                prop_assert!(greatest > least);
            }
        }
    }
}

const CODES: [&str; 3] = ["all", "0", "1"];

fn three_dimensions(counts: &[u64], hidden: &[usize]) -> Cells {
    let trees = ["a", "b", "c"].map(|name| Tree::flat(name, "all", &["0", "1"]).unwrap()).to_vec();
    let mut cube = Cube::new(trees).unwrap();
    for (place, count) in counts.iter().enumerate() {
        cube.add(&[CODES[1 + place / 4], CODES[1 + place / 2 % 2], CODES[1 + place % 2]], *count).unwrap();
    }
    let mut cells = Cells::new(&cube, &[Layout::by("t", &["a", "b", "c"])], &[]).unwrap();
    let all: Vec<[usize; 3]> = (0..27).map(|n| [n / 9, n / 3 % 3, n % 3]).collect();
    // The total stays, so that brute force has an end.
    for number in hidden.iter().filter(|number| **number > 0) {
        cells.withhold(&all[*number].map(|code| CODES[code])).unwrap();
    }
    cells
}

type Bounded = (Vec<String>, Status, (u64, u64));

fn brute_three(cells: &Cells, counts: &[u64]) -> Vec<Bounded> {
    let members = |at: &[String]| -> Vec<usize> {
        let holds = |code: &str, bit: usize| code == "all" || code == bit.to_string();
        (0..8).filter(|p| holds(&at[0], p / 4) && holds(&at[1], p / 2 % 2) && holds(&at[2], p % 2)).collect()
    };
    let all = cells.outcomes();
    let members: Vec<Vec<usize>> = all.iter().map(|cell| members(&cell.at)).collect();
    let bounds = brute::bounds(&all, &members, 8, counts.iter().sum());
    all.into_iter().zip(bounds).map(|(cell, bounds)| (cell.at, cell.status, bounds)).collect()
}

/// Without any total, nothing bounds a count from above.
#[test]
fn what_nothing_bounds_has_no_greatest_value() {
    let all: Vec<usize> = (0..12).collect();
    let cells = withheld([[1, 2, 3], [4, 5, 6]], &all);
    assert_eq!(bounds(&cells, &["r0", "c0"]).unwrap(), Bounds { min: 0, max: None });
    assert!(attack(&cells, 1000).is_safe());
}

/// The report that is published has no count in it.
#[test]
fn the_report_tells_cells_and_no_counts() {
    let report = attack(&withheld([[77, 78, 79], [80, 81, 82]], &[5]), 3);
    assert!(!report.is_safe());
    assert_eq!(report.narrow, [["r0", "c0"]]);
    let text = format!("{report} {}", serde_json::to_string(&report).unwrap());
    assert!(!text.contains("77"), "{text}");
}
