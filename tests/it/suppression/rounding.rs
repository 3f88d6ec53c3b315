//! Small counts become 0 or the base, and everything adds up.

use std::collections::BTreeMap;

use chudong::disclosure::cells::Layout;
use chudong::disclosure::suppress::rounding::{Rounded, round};
use chudong::fault::Explain;
use proptest::prelude::*;

use super::communes_by_groups;

fn tables() -> [Layout; 2] {
    [Layout::by("both", &["commune", "group"]), Layout::by("communes", &["commune"])]
}

fn values(rounded: &Rounded, table: &str) -> BTreeMap<Vec<String>, u64> {
    rounded.tables[table].iter().cloned().collect()
}

#[test]
fn large_counts_stay_and_small_ones_move() {
    let cube = communes_by_groups([[1, 40, 50], [2, 30, 60], [2, 80, 90], [15, 25, 35]]);
    let rounded = round(&cube, &tables(), 5).unwrap();
    let both = values(&rounded, "both");
    let of = |commune: &str, group: &str| both[&vec![commune.to_owned(), group.to_owned()]];
    assert_eq!(of("n1", "land"), 40);
    assert_eq!(["n1", "n2", "s1"].map(|commune| of(commune, "births")).iter().sum::<u64>(), 5);
    assert_eq!(of("all", "all"), 430);
    assert!(rounded.difference_max <= 3);
}

#[test]
fn a_base_that_rounds_nothing_is_refused() {
    let cube = communes_by_groups([[1; 3]; 4]);
    for base in [0, 2, 101, u64::MAX] {
        assert_eq!(round(&cube, &tables(), base).unwrap_err().code(), "disclosure.base");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_small_count_is_left_and_all_adds_up(
        counts in prop::array::uniform4(prop::array::uniform3(0_u64..12)),
        base in prop::sample::select(vec![3_u64, 5]),
    ) {
        let cube = communes_by_groups(counts);
        let rounded = round(&cube, &tables(), base).unwrap();
        prop_assert_eq!(&rounded, &round(&cube, &tables(), base).unwrap());
        let both = values(&rounded, "both");
        let of = |commune: &str, group: &str| both[&vec![commune.to_owned(), group.to_owned()]];
        for count in both.values() {
            prop_assert!(*count == 0 || *count >= base);
        }
        for group in ["all", "births", "land", "marriage"] {
            prop_assert_eq!(of("north", group), of("n1", group) + of("n2", group));
            prop_assert_eq!(of("all", group), of("north", group) + of("south", group));
        }
        for commune in ["all", "north", "n1", "s2"] {
            let groups = ["births", "land", "marriage"].map(|group| of(commune, group));
            prop_assert_eq!(of(commune, "all"), groups.iter().sum::<u64>());
            let alone = vec![commune.to_owned(), "all".to_owned()];
            prop_assert_eq!(values(&rounded, "communes")[&alone], of(commune, "all"));
        }
        for (row, commune) in counts.iter().zip(["n1", "n2", "s1", "s2"]) {
            for (count, group) in row.iter().zip(["births", "land", "marriage"]) {
                prop_assert!(count.abs_diff(of(commune, group)) < base);
            }
        }
    }
}
