//! Two tables over the same records, of which each would tell what the other withholds.

use chudong::disclosure::attack::attack;
use chudong::disclosure::cells::{Cube, Layout, Status, Tree, Why};
use chudong::disclosure::suppress::{Rules, protect};
use proptest::prelude::*;

use super::brute;

const CODES: [&str; 2] = ["0", "1"];

fn cube(counts: &[u64]) -> Cube {
    let trees = ["a", "b", "c"].map(|name| Tree::flat(name, "all", &CODES).unwrap()).to_vec();
    let mut cube = Cube::new(trees).unwrap();
    for (place, count) in counts.iter().enumerate() {
        cube.add(&[CODES[place / 4], CODES[place / 2 % 2], CODES[place % 2]], *count).unwrap();
    }
    cube
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn linked_tables_are_protected_together(counts in prop::collection::vec(0_u64..6, 8), unanimous in any::<bool>()) {
        let layouts = [Layout::by("ab", &["a", "b"]), Layout::by("ac", &["a", "c"])];
        let rules = Rules {
            sensitive: vec![("a".into(), "all".into())],
            unanimous_by: unanimous.then(|| "c".into()),
            ..Rules::default()
        };
        let Ok(cells) = protect(&cube(&counts), &layouts, &[], &rules) else {
            prop_assert!(counts.iter().sum::<u64>() < 30);
            return Ok(());
        };
        prop_assert!(attack(&cells, rules.interval_min).is_safe());
        let members = |at: &[String]| -> Vec<usize> {
            let holds = |code: &str, bit: usize| code == "all" || code == CODES[bit];
            (0..8).filter(|p| holds(&at[0], p / 4) && holds(&at[1], p / 2 % 2) && holds(&at[2], p % 2)).collect()
        };
        let all = cells.outcomes();
        let members: Vec<Vec<usize>> = all.iter().map(|cell| members(&cell.at)).collect();
        // A total that is withheld bounds nothing; a few records more than there are show its width.
        let most = counts.iter().sum::<u64>() + 4;
        for (cell, (least, greatest)) in all.iter().zip(brute::bounds(&all, &members, 8, most)) {
            let width = greatest - least;
            match cell.status {
                Status::Published => prop_assert_eq!(width, 0),
                Status::Suppressed(Why::Small) => prop_assert!(width >= 3),
                Status::Suppressed(_) => prop_assert!(width > 0),
            }
        }
    }
}
