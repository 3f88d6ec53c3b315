//! When an obligation was done, and by which fields that is known, in words.

use jiff::civil::Date;

use super::words::day_and_weekday;
use super::{Field, Step};

/// When an obligation was done, and by what that is known. It holds personal dates, so `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Fulfilled {
    /// The day.
    pub on: Date,
    /// The fields that say so.
    pub fields: Vec<Field>,
    /// How the day follows from them; none where it stands in one of them.
    pub steps: Vec<Step>,
}

impl std::fmt::Debug for Fulfilled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fulfilled")
    }
}

impl Fulfilled {
    pub(super) fn tell(&self, due_on: Date, put: &mut dyn FnMut(String, String)) {
        let on = day_and_weekday(self.on);
        let (vi, en) = if self.on > due_on { ("sau hạn", "after it was due") } else { ("trong hạn", "in time") };
        put(
            format!("\nĐã thực hiện: {}, {vi}. Theo dữ liệu:", on.vi),
            format!("\nDone: {}, {en}. It is known from:", on.en),
        );
        for field in &self.fields {
            field.tell(put);
        }
        if self.fields.is_empty() {
            put("- (không theo trường nào)".into(), "- (no field)".into());
        }
        for step in &self.steps {
            put(format!("  {}", step.words.vi), format!("  {}", step.words.en));
        }
    }
}
