//! Exact counts with suppression: what is withheld, what an attacker finds, and a year of releases.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod attack;
mod brute;
mod linked;
mod rounding;
mod year;

use chudong::disclosure::attack::attack;
use chudong::disclosure::cells::{Cells, Cube, Earlier, Layout, Status, Tree, Why};
use chudong::disclosure::suppress::{Rules, protect, suppress};
use chudong::fault::Explain;
use num_rational::Ratio;
use proptest::prelude::*;

/// Communes of two districts by three groups, one of them sensitive.
fn communes_by_groups(counts: [[u64; 3]; 4]) -> Cube {
    let communes = [("north", None), ("n1", Some("north")), ("n2", Some("north")), ("south", None)];
    let communes = communes.into_iter().chain([("s1", Some("south")), ("s2", Some("south"))]);
    let commune = Tree::new("commune", "all", communes).unwrap();
    let group = Tree::flat("group", "all", &["births", "land", "marriage"]).unwrap();
    let mut cube = Cube::new(vec![commune, group]).unwrap();
    for (code, row) in ["n1", "n2", "s1", "s2"].iter().zip(counts) {
        for (group, count) in ["births", "land", "marriage"].iter().zip(row) {
            cube.add(&[code, group], count).unwrap();
        }
    }
    cube
}

fn rules(sensitive: &str) -> Rules {
    Rules { sensitive: vec![("group".into(), sensitive.into())], ..Rules::default() }
}

fn both() -> [Layout; 1] {
    [Layout::by("ratings", &["commune", "group"])]
}

/// Each cell in words: what is published, `·` for what is withheld.
fn told(cells: &Cells, table: &str) -> String {
    let word = |row: &Earlier| {
        let figure = row.count.map_or("·".to_owned(), |count| count.to_string());
        format!("{}={figure}", row.at.join("/"))
    };
    cells.rows(table).iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_small_count_takes_three_others_with_it() {
    let cube = communes_by_groups([[2, 40, 50], [20, 30, 60], [70, 80, 90], [15, 25, 35]]);
    let cells = protect(&cube, &both(), &[], &rules("births")).unwrap();
    assert_eq!(
        told(&cells, "ratings"),
        "all/all=517 all/births=107 all/land=175 all/marriage=235 north/all=202 north/births=22 north/land=70 \
         north/marriage=110 n1/all=92 n1/births=· n1/land=· n1/marriage=50 n2/all=110 n2/births=· n2/land=· \
         n2/marriage=60 south/all=315 south/births=85 south/land=105 south/marriage=125 s1/all=240 s1/births=70 \
         s1/land=80 s1/marriage=90 s2/all=75 s2/births=15 s2/land=25 s2/marriage=35"
    );
    let report = attack(&cells, 3);
    assert!(report.is_safe());
    assert_eq!(report.withheld, 4);
}

#[test]
fn a_small_count_of_a_group_that_is_not_sensitive_is_published() {
    let cube = communes_by_groups([[2, 40, 50], [20, 30, 60], [70, 80, 90], [15, 25, 35]]);
    assert_eq!(suppress(&cube, &both(), &[], &rules("land")).unwrap().suppressed(), 0);
    // All of a dimension is sensitive by its total; and 5 is not small.
    assert!(suppress(&cube, &both(), &[], &rules("all")).unwrap().suppressed() >= 4);
    let five = communes_by_groups([[5, 40, 50], [20, 30, 60], [70, 80, 90], [15, 25, 0]]);
    assert_eq!(suppress(&five, &both(), &[], &rules("all")).unwrap().suppressed(), 0);
}

#[test]
fn all_categories_of_a_unanimous_group_are_withheld() {
    let answer = || Tree::flat("answer", "all", &["satisfied", "not"]).unwrap();
    let commune = Tree::flat("commune", "all", &["a", "b", "c"]).unwrap();
    let mut cube = Cube::new(vec![commune, answer()]).unwrap();
    for (code, satisfied, not) in [("a", 12, 0), ("b", 30, 7), ("c", 22, 9)] {
        cube.add(&[code, "satisfied"], satisfied).unwrap();
        cube.add(&[code, "not"], not).unwrap();
    }
    let rules = Rules { unanimous_by: Some("answer".into()), ..Rules::default() };
    let cells = protect(&cube, &[Layout::by("answers", &["commune", "answer"])], &[], &rules).unwrap();
    let status = |at: &[&str]| cells.outcomes().iter().find(|cell| cell.at == at).unwrap().status;
    assert_eq!(status(&["a", "satisfied"]), Status::Suppressed(Why::Unanimous));
    assert_eq!(status(&["a", "not"]), Status::Suppressed(Why::Unanimous));
    assert_eq!(status(&["a", "all"]), Status::Published);
    assert_eq!(cells.suppressed(), 4);
    let bounds = chudong::disclosure::attack::bounds(&cells, &["a", "not"]).unwrap();
    assert!(bounds.min == 0 && bounds.max >= Some(3));
}

#[test]
fn what_is_out_counts_against_what_comes() {
    let cube = communes_by_groups([[2, 40, 50], [20, 30, 60], [70, 80, 90], [15, 25, 35]]);
    let first = protect(&cube, &both(), &[], &rules("births")).unwrap();
    // A second table of the same records keeps what was decided, and withholds nothing that is out.
    let second = Layout::by("by_group", &["group"]);
    let again = protect(&cube, &[both()[0].clone(), second], &first.outcomes(), &rules("births")).unwrap();
    assert_eq!(again.outcomes(), first.outcomes());
    // A rule that comes later cannot take back what is out; where that reveals what it protects, nothing is released.
    let open = suppress(&cube, &[Layout::by("margins", &["commune"])], &[], &rules("land")).unwrap();
    let mut known = open.outcomes();
    for (group, count) in [("land", 40), ("marriage", 50)] {
        let at = vec!["n1".to_owned(), group.to_owned()];
        known.push(Earlier { at, status: Status::Published, count: Some(count) });
    }
    let error = suppress(&cube, &both(), &known, &rules("births")).unwrap_err();
    assert_eq!(error.code(), "disclosure.exposed");
    assert!(error.to_string().contains("n1 births"));
}

#[test]
fn a_late_record_in_a_closed_month_is_refused() {
    let counts = [[2, 40, 50], [20, 30, 60], [70, 80, 90], [15, 25, 35]];
    let first = protect(&communes_by_groups(counts), &both(), &[], &rules("births")).unwrap();
    let mut late = communes_by_groups(counts);
    late.add(&["s2", "land"], 1).unwrap();
    let error = suppress(&late, &both(), &first.outcomes(), &rules("births")).unwrap_err();
    assert_eq!(error.code(), "disclosure.changed");
}

#[test]
fn codes_and_dimensions_are_checked() {
    let cube = communes_by_groups([[1; 3]; 4]);
    let code = |layout: Layout, rules: &Rules| suppress(&cube, &[layout], &[], rules).unwrap_err().code();
    assert_eq!(code(Layout::by("t", &["province"]), &rules("land")), "disclosure.unknown-dimension");
    assert_eq!(code(Layout::by("t", &["group"]).only("group", &["taxes"]), &rules("land")), "disclosure.unknown-code");
    assert_eq!(code(Layout::by("t", &["group"]), &rules("taxes")), "disclosure.unknown-code");
    assert_eq!(Tree::new("d", "all", [("a", Some("b")), ("b", None)]).unwrap_err().code(), "disclosure.tree");
    assert_eq!(Tree::flat("d", "all", &["a", "a"]).unwrap_err().code(), "disclosure.tree");
    let error = Cube::new(vec![Tree::flat("d", "all", &["a"]).unwrap()]).unwrap().add(&["all"], 1).unwrap_err();
    assert_eq!(error.code(), "disclosure.tree");
}

/// Debug of what is private shows no count.
#[test]
fn private_counts_are_not_shown() {
    let cube = communes_by_groups([[4242; 3]; 4]);
    let cells = suppress(&cube, &both(), &[], &rules("births")).unwrap();
    assert!(!format!("{cube:?} {cells:?} {:?}", cells.outcomes()).contains("4242"));
}

/// A table of 2,000 cells with a tenth of them sensitive, in a second or two even without optimisation.
#[test]
fn a_larger_table_is_protected() {
    let mut codes: Vec<(String, Option<String>)> = Vec::new();
    for district in 0..6 {
        codes.push((format!("d{district}"), None));
        codes.extend((0..7).map(|commune| (format!("d{district}c{commune}"), Some(format!("d{district}")))));
    }
    let commune = Tree::new("commune", "all", codes.iter().map(|(code, above)| (code.as_str(), above.as_deref())));
    let groups: Vec<String> = (0..40).map(|group| format!("g{group}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut cube = Cube::new(vec![commune.unwrap(), Tree::flat("group", "all", &groups).unwrap()]).unwrap();
    let mut state = 1_u64;
    for (commune, _) in codes.iter().filter(|(code, _)| code.contains('c')) {
        for group in &groups {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            cube.add(&[commune, group], (state >> 33) % 40).unwrap();
        }
    }
    let sensitive = ["g0", "g1", "g2", "g3"].map(|code| ("group".to_owned(), code.to_owned())).to_vec();
    let rules = Rules { sensitive, ..Rules::default() };
    let cells = protect(&cube, &both(), &[], &rules).unwrap();
    let report = attack(&cells, 3);
    assert!(report.is_safe(), "{report}");
    assert!(report.withheld < cells.len() / 10, "{report}");
}

/// The rank of rows over the rationals, by elimination as it is taught.
fn rank(mut rows: Vec<Vec<Ratio<i128>>>) -> usize {
    let mut rank = 0;
    for column in 0..rows.first().map_or(0, Vec::len) {
        let Some(pivot) = (rank..rows.len()).find(|row| rows[*row][column] != Ratio::from(0)) else { continue };
        rows.swap(rank, pivot);
        for row in rank + 1..rows.len() {
            let factor = rows[row][column] / rows[rank][column];
            for place in column..rows[row].len() {
                let by = rows[rank][place] * factor;
                rows[row][place] -= by;
            }
        }
        rank += 1;
    }
    rank
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against elimination by rationals: no primary cell is a combination of published ones, and no secondary one could
    /// be published without one becoming it.
    #[test]
    fn nothing_withheld_is_derivable_and_nothing_is_withheld_in_vain(
        counts in prop::array::uniform4(prop::array::uniform3(0_u64..14))
    ) {
        let cube = communes_by_groups(counts);
        let cells = suppress(&cube, &both(), &[], &rules("all")).unwrap();
        let row = |cell: &Earlier| brute::row(&cell.at);
        let all = cells.outcomes();
        let published: Vec<_> = all.iter().filter(|cell| cell.status == Status::Published).map(row).collect();
        let is_derivable = |rows: &[Vec<Ratio<i128>>], cell: &Earlier| {
            let with: Vec<_> = rows.iter().cloned().chain([row(cell)]).collect();
            rank(with) == rank(rows.to_vec())
        };
        let of = |wanted: fn(Why) -> bool| {
            all.iter().filter(move |cell| matches!(cell.status, Status::Suppressed(why) if wanted(why))).collect::<Vec<_>>()
        };
        let (primary, secondary) = (of(Why::is_primary), of(|why| !why.is_primary()));
        for cell in &primary {
            prop_assert!(!is_derivable(&published, cell));
        }
        for cell in secondary {
            let more: Vec<_> = published.iter().cloned().chain([row(cell)]).collect();
            prop_assert!(primary.iter().any(|primary| is_derivable(&more, primary)));
        }
    }

    /// What is protected passes the attacker, and brute force over every table that agrees finds it bounded as widely.
    #[test]
    fn protection_holds_against_brute_force(
        counts in prop::array::uniform2(prop::array::uniform3(0_u64..7)),
        unanimous in any::<bool>(),
    ) {
        let cube = brute::cube(counts);
        let mut rules = Rules { sensitive: vec![("row".into(), "all".into())], ..Rules::default() };
        if unanimous {
            rules.unanimous_by = Some("column".into());
        }
        let Ok(cells) = protect(&cube, &[brute::layout()], &[], &rules) else {
            // So few records that even the total is small.
            let total: u64 = counts.iter().flatten().sum();
            prop_assert!(total < 30);
            return Ok(());
        };
        prop_assert!(attack(&cells, rules.interval_min).is_safe());
        for (cell, (least, greatest)) in brute::intervals(&cells, counts) {
            match cell.status {
                Status::Published => prop_assert_eq!(least, greatest),
                Status::Suppressed(Why::Small) => prop_assert!(greatest - least >= 3),
                Status::Suppressed(_) => prop_assert!(greatest > least),
            }
        }
    }
}

/// Rules of any size are answered, never with a panic.
#[test]
fn absurd_rules_end_in_words() {
    let cube = communes_by_groups([[2, 40, 50], [20, 30, 60], [70, 80, 90], [15, 25, 35]]);
    for (small_below, interval_min) in [(u64::MAX, u64::MAX), (u64::MAX, 0), (0, 0), (5, u64::MAX), (5, 1 << 41)] {
        let rules = Rules { small_below, interval_min, ..rules("all") };
        match protect(&cube, &both(), &[], &rules) {
            Ok(cells) => assert!(attack(&cells, interval_min).is_safe()),
            Err(error) => assert!(!error.fault().next.is_empty()),
        }
    }
    // A table without anything to withhold, and one without records.
    let empty = communes_by_groups([[0; 3]; 4]);
    assert_eq!(protect(&empty, &both(), &[], &rules("all")).unwrap().suppressed(), 0);
    assert!(protect(&cube, &[], &[], &rules("all")).unwrap().is_empty());
}
