//! Which of several a select took, on what condition and by which values, in words.

use super::account::{Arm, Node, Of};
use super::arithmetic::{Step, step};
use super::words::{join, same, value};
use crate::language::Text;

/// A condition without another arm: where it does not hold there is no row.
pub(super) const CONDITION: &str = "condition";

/// Whether a step says which of several was taken, and computes nothing.
pub(super) fn is_of_a_choice(step: &Step) -> bool {
    ["choice", "branch", CONDITION].contains(&step.function.as_str())
}

/// Which of several was taken on the way to what chose a number.
pub(super) fn choices(node: &Node, steps: &mut Vec<Step>) {
    for part in node.found() {
        choices(part, steps);
    }
    let step = match node.kind() {
        Of::Choice(arm) => choice(arm, node),
        Of::Branch(arm) => branch(arm, node),
        _ => return,
    };
    if !steps.contains(&step) {
        steps.push(step);
    }
}

/// The words that were chosen, and why.
pub(super) fn choice(arm: Arm<'_>, node: &Node) -> Step {
    step("choice", node, taken(arm, node, node.found(), true))
}

/// The arm that was taken, and why.
pub(super) fn branch(arm: Arm<'_>, node: &Node) -> Step {
    let function = if arm.place == "1/1" { CONDITION } else { "branch" };
    step(function, node, taken(arm, node, node.found().skip(1), false))
}

/// Which of several was taken, why, and, of words, which one it is.
fn taken<'n>(arm: Arm<'_>, node: &Node, by: impl Iterator<Item = &'n Node>, is_word: bool) -> Text {
    let by: Vec<Text> = by
        .map(|part| {
            let Of::Named(name) = part.kind() else { return value(part.value.as_deref()) };
            let value = value(part.value.as_deref());
            Text::new(format!("{name} = {}", value.vi), format!("{name} = {}", value.en))
        })
        .collect();
    let by = if by.is_empty() { same("") } else { join(&by, "; ") };
    let (at, count) = arm.place.split_once('/').unwrap_or((arm.place, "?"));
    let given = if by.vi.is_empty() { same("") } else { Text::new(format!(" ({})", by.vi), format!(" ({})", by.en)) };
    let word = if is_word { value(node.value.as_deref()) } else { same("") };
    let word = if word.vi.is_empty() { word } else { Text::new(format!(": {}", word.vi), format!(": {}", word.en)) };
    match arm.condition {
        Some(condition) if arm.place == "1/1" => {
            Text::new(format!("Vì {condition}{}.", given.vi), format!("Because {condition}{}.", given.en))
        }
        Some(condition) => Text::new(
            format!("Trường hợp {at} trong {count}, vì {condition}{}{}.", given.vi, word.vi),
            format!("Case {at} of {count}, because {condition}{}{}.", given.en, word.en),
        ),
        None => Text::new(
            format!("Trường hợp {at} trong {count}, vì không điều kiện nào ở trên đúng{}{}.", given.vi, word.vi),
            format!("Case {at} of {count}, because none of the conditions before it holds{}{}.", given.en, word.en),
        ),
    }
}
