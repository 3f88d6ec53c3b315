//! Values as people read them: the one place from which pages and papers take them.
//!
//! What is kept and what a portal gets is written for programs: `female`, `2026-12-15`, `1250000`. It must not know on
//! which page or paper a value is read.

use jiff::civil::Date;

use super::Field;
use crate::language::{Language, Text, date, number};
use crate::pipeline::form::{FieldKind, Form, FormField};

/// What the name of a field ends in that holds an amount of money, in Vietnamese đồng.
const MONEY: &str = "_vnd";

/// A value of a field in both languages: what a choice is called, a date as each language writes it, numbers with their
/// separators, amounts with the sign of the currency. What is none of these stands as it is.
pub fn as_read(field: &FormField, value: &str) -> Text {
    let as_it_is = || Text::new(value, value);
    if let Some(choice) = field.rule.choices.iter().find(|choice| choice.value == value) {
        return choice.title.clone();
    }
    match field.kind {
        FieldKind::Date => value.parse::<Date>().map_or_else(|_| as_it_is(), date),
        FieldKind::Boolean if value == "true" => Text::new("Có", "Yes"),
        FieldKind::Boolean if value == "false" => Text::new("Không", "No"),
        FieldKind::Number => match value.parse::<i64>() {
            Ok(amount) if field.id.ends_with(MONEY) => {
                let text = |language| format!("{} ₫", number(amount, language));
                Text::new(text(Language::Vi), text(Language::En))
            }
            Ok(amount) => Text::new(number(amount, Language::Vi), number(amount, Language::En)),
            Err(_) => as_it_is(),
        },
        FieldKind::Text | FieldKind::Choice | FieldKind::File | FieldKind::Boolean => as_it_is(),
    }
}

/// The form by which what was confirmed is read; without it, as where a ledger was restored that does not have it any
/// more, values stand as they are kept.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'f>(pub Option<&'f Form>);

impl Reader<'_> {
    /// A confirmed value, as people read it.
    pub fn value(&self, field: &Field) -> Text {
        let value = field.value.reveal();
        self.field(&field.id).map_or_else(|| Text::new(value, value), |of| as_read(of, value))
    }

    /// What a field is called; none where that is not known.
    pub fn title(&self, id: &str) -> Option<&Text> {
        Some(&self.field(id)?.title)
    }

    fn field(&self, id: &str) -> Option<&FormField> {
        self.0?.field(id)
    }
}
