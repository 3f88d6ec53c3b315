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
    let most: u64 = counts.iter().flatten().sum::<u64>() + 4;
    let mut found: Vec<Option<(u64, u64)>> = vec![None; all.len()];
    // Published single counts are not tried otherwise.
    let fixed: Vec<Option<u64>> = (0..6).map(|place| single(&all, &members, place)).collect();
    let mut table = [0_u64; 6];
    try_all(&mut table, 0, most, &fixed, &mut |table| {
        let sums: Vec<u64> = members.iter().map(|members| members.iter().map(|place| table[*place]).sum()).collect();
        if all.iter().zip(&sums).all(|(cell, sum)| cell.status != Status::Published || cell.count == Some(*sum)) {
            for (bounds, sum) in found.iter_mut().zip(sums) {
                let (least, greatest) = bounds.unwrap_or((sum, sum));
                *bounds = Some((least.min(sum), greatest.max(sum)));
            }
        }
    });
    all.into_iter().zip(found).map(|(cell, bounds)| (cell, bounds.unwrap())).collect()
}

fn single(all: &[Earlier], members: &[Vec<usize>], place: usize) -> Option<u64> {
    all.iter().zip(members).find(|(_, members)| **members == [place]).and_then(|(cell, _)| cell.count)
}

fn try_all(table: &mut [u64; 6], place: usize, left: u64, fixed: &[Option<u64>], each: &mut impl FnMut(&[u64; 6])) {
    if place == table.len() {
        return each(table);
    }
    let (least, most) = fixed[place].map_or((0, left), |fixed| (fixed, fixed));
    for count in least..=most.min(left) {
        table[place] = count;
        try_all(table, place + 1, left - count, fixed, each);
    }
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
