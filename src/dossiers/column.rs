//! The names of the columns of a select that fills a form.

/// What a column gives: `full_name`, `full_name__population`, or `full_name__population__as_of`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldColumn {
    /// The field.
    pub field: String,
    /// The word that tells several sources of one field apart; empty where there is one.
    pub label: String,
    /// Whether it holds the day of which the source says that the value was right, and not the value.
    pub is_as_of: bool,
}

/// What ends the name of a column that holds a day.
const AS_OF: &str = "as_of";

impl FieldColumn {
    /// Reads a name; none where it has another form.
    pub fn read(name: &str) -> Option<Self> {
        let mut parts = name.split("__");
        let field = parts.next().filter(|field| !field.is_empty())?.to_owned();
        let label = parts.next().unwrap_or_default().to_owned();
        let last = parts.next();
        let is_known = parts.next().is_none() && last.is_none_or(|last| last == AS_OF);
        let is_labelled = !label.is_empty() || !name.contains("__");
        (is_known && is_labelled).then_some(FieldColumn { field, label, is_as_of: last.is_some() })
    }

    /// The name of the column that holds the value.
    pub fn value_name(&self) -> String {
        if self.label.is_empty() { self.field.clone() } else { format!("{}__{}", self.field, self.label) }
    }
}
