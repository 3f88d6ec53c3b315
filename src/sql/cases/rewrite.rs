//! Rewrites the expected rows of a case with what came.

use std::path::Path;

use jiff::civil::Date;

use super::{Bench, Case};
use crate::fault::{Explain, Fault, Place};

impl Case {
    /// Rewrites the expected rows of the file with what came, in the columns that were compared: `UPDATE_EXPECT=1`.
    pub async fn rewrite(&self, root: &Path, bench: &Bench<'_>) -> Result<(), Fault> {
        let mut rows = bench.rows(self).await.map_err(|error| error.fault())?;
        // A case without an expected row yet shows all there is, to choose from.
        if !self.expected.is_empty() {
            for row in &mut rows {
                row.retain(|column, _| self.expected.iter().any(|expected| expected.contains_key(column)));
            }
        }
        rows.sort();
        let path = root.join(&self.path);
        let failed = |error: std::io::Error| {
            let next = "let your account write the file";
            Fault::new("case.rewrite", Place::file(&self.path), format!("the case cannot be rewritten: {error}"), next)
        };
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let kept = text.split("[[expected]]").next().unwrap_or_default().trim_end();
        let mut new = format!("{kept}\n");
        for row in rows {
            new.push_str("\n[[expected]]\n");
            for (key, value) in row {
                // What names a row is text, also where it looks like a number or a date.
                let is_bare = !["subject_id", "object_id", "period"].contains(&key.as_str())
                    && (value.parse::<i64>().is_ok_and(|number| number.to_string() == value)
                        || value.parse::<Date>().is_ok());
                let value = if is_bare { value } else { format!("{value:?}") };
                new.push_str(&format!("{key} = {value}\n"));
            }
        }
        crate::files::replace_with_mode(&path, new.as_bytes(), 0o644).map_err(failed)
    }
}
