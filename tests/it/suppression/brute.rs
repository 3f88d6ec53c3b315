//! Every table of a few small counts, tried.

use chudong::disclosure::cells::{Cells, Cube, Earlier, Layout, Status, Tree};
use num_rational::Ratio;

/// Two rows by three columns.
pub fn cube(counts: [[u64; 3]; 2]) -> Cube {
    let trees = vec![
        Tree::flat("row", "all", &["r0", "r1"]).unwrap(),
        Tree::flat("column", "all", &["c0", "c1", "c2"]).unwrap(),
    ];
    let mut cube = Cube::new(trees).unwrap();
    for (row, counts) in counts.iter().enumerate() {
        for (column, count) in counts.iter().enumerate() {
            cube.add(&[&format!("r{row}"), &format!("c{column}")], *count).unwrap();
        }
    }
    cube
}

pub fn layout() -> Layout {
    Layout::by("table", &["row", "column"])
}

/// All cells with the least and the greatest value over every table that gives the same published cells. A table that
/// nothing bounds is tried up to some records more than there are.
pub fn intervals(cells: &Cells, counts: [[u64; 3]; 2]) -> Vec<(Earlier, (u64, u64))> {
    let all = cells.outcomes();
    let members: Vec<Vec<usize>> = all.iter().map(|cell| members(&cell.at)).collect();
    let bounds = bounds(&all, &members, 6, counts.iter().flatten().sum::<u64>() + 4);
    all.into_iter().zip(bounds).collect()
}

/// The least and the greatest value of each cell, over all tables of `size` counts of at most so many records.
pub fn bounds(all: &[Earlier], members: &[Vec<usize>], size: usize, most: u64) -> Vec<(u64, u64)> {
    let known: Vec<(&[usize], u64)> =
        all.iter().zip(members).filter_map(|(cell, members)| Some((members.as_slice(), cell.count?))).collect();
    let mut found = vec![(u64::MAX, 0); all.len()];
    let mut each = |table: &[u64]| {
        for (bounds, members) in found.iter_mut().zip(members) {
            let sum = members.iter().map(|place| table[*place]).sum::<u64>();
            *bounds = (bounds.0.min(sum), bounds.1.max(sum));
        }
    };
    try_all(&mut vec![0; size], 0, most, &known, &mut each);
    assert!(all.iter().all(|cell| cell.status == Status::Published || cell.count.is_none()));
    found
}

fn try_all(table: &mut [u64], place: usize, left: u64, known: &[(&[usize], u64)], each: &mut impl FnMut(&[u64])) {
    if place == table.len() {
        return each(table);
    }
    for count in 0..=left {
        table[place] = count;
        // What is published is kept as soon as it is settled, and never exceeded.
        let sum = |members: &[usize]| members.iter().filter(|at| **at <= place).map(|at| table[*at]).sum::<u64>();
        let mut concerned = known.iter().filter(|(members, _)| members.contains(&place));
        if concerned.clone().any(|(members, published)| sum(members) > *published) {
            break;
        }
        let is_settled = |members: &[usize]| members.iter().all(|at| *at <= place);
        if concerned.all(|(members, published)| !is_settled(members) || sum(members) == *published) {
            try_all(table, place + 1, left - count, known, each);
        }
    }
    table[place] = 0;
}

fn members(at: &[String]) -> Vec<usize> {
    let holds = |code: &str, prefix: &str, place: usize| code == "all" || code == format!("{prefix}{place}");
    (0..6).filter(|place| holds(&at[0], "r", place / 3) && holds(&at[1], "c", place % 3)).collect()
}

/// The row of a cell of communes by groups, over its twelve combinations.
pub fn row(at: &[String]) -> Vec<Ratio<i128>> {
    let communes = ["n1", "n2", "s1", "s2"];
    let groups = ["births", "land", "marriage"];
    let is_of = |commune: &str| match at[0].as_str() {
        "all" => true,
        "north" => commune.starts_with('n'),
        "south" => commune.starts_with('s'),
        code => code == commune,
    };
    communes
        .iter()
        .flat_map(|commune| groups.iter().map(move |group| (commune, group)))
        .map(|(commune, group)| Ratio::from(i128::from(is_of(commune) && (at[1] == "all" || at[1] == *group))))
        .collect()
}
