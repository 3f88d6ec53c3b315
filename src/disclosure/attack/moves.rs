//! Witnesses found by moving along one direction after the other.

use std::collections::BTreeMap;

use super::super::cells::unseen::Vector;
use super::space::Space;

/// Rounds over the directions of a cell; what they do not reach is left to the simplex.
const ROUNDS_MAX: usize = 4;

/// Other counts under which a cell is greater (`sign` 1) or less (−1), found by going along its directions as far as
/// counts stay whole and not negative, until it changes by `enough`.
pub(super) fn walk(space: &Space, effect: &[(u32, i64)], sign: i64, enough: i64) -> Vector {
    let mut moved: BTreeMap<u32, i64> = BTreeMap::new();
    let mut gained = 0_i64;
    for _ in 0..ROUNDS_MAX {
        let before = gained;
        for (vector, by) in effect {
            let direction = space.direction(*vector);
            let sense = sign * by.signum();
            let steps = steps(space, direction, sense, &moved, enough);
            let gain = steps.saturating_mul(by.saturating_abs());
            if gain <= 0 {
                continue;
            }
            for (atom, entry) in direction {
                let count = moved.entry(*atom).or_insert_with(|| space.count(*atom));
                *count = count.saturating_add(steps.saturating_mul(sense).saturating_mul(*entry));
            }
            gained = gained.saturating_add(gain);
            if gained >= enough {
                return differences(space, &moved);
            }
        }
        if gained == before {
            break;
        }
    }
    differences(space, &moved)
}

fn differences(space: &Space, moved: &BTreeMap<u32, i64>) -> Vector {
    let by = |(atom, count): (&u32, &i64)| (*atom, count.saturating_sub(space.count(*atom)));
    moved.iter().map(by).filter(|(_, by)| *by != 0).collect()
}

/// How many whole steps along a direction keep every count from becoming negative.
fn steps(space: &Space, direction: &[(u32, i64)], sense: i64, moved: &BTreeMap<u32, i64>, most: i64) -> i64 {
    direction.iter().fold(most.min(STEPS_MAX), |steps, (atom, entry)| {
        let down = sense.saturating_mul(*entry).saturating_neg();
        let count = moved.get(atom).copied().unwrap_or_else(|| space.count(*atom));
        // Entries so large that a step could overflow are not walked along.
        if entry.unsigned_abs() > ENTRY_MAX {
            0
        } else if down > 0 {
            steps.min(count / down)
        } else {
            steps
        }
    })
}

const STEPS_MAX: i64 = 1 << 20;
const ENTRY_MAX: u64 = 1 << 20;
