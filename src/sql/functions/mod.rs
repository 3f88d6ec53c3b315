//! Functions that the law needs and SQL lacks.
//!
//! A null argument gives null. Errors begin with the name of the function and quote no
//! argument, save for a year without a calendar, which is no secret.

mod add_months;
mod args;
mod counts;
mod days;
mod lunar;
mod preimage;
mod unpack;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::calendar::WorkingDays;

pub(super) use unpack::unpacked;

/// All of them, for registration, with the working days as they are known.
pub fn all(calendar: &Arc<WorkingDays>) -> Vec<ScalarUDF> {
    let mut all = vec![add_months::function()];
    all.extend(days::functions(calendar));
    all.extend(counts::functions(calendar));
    all.extend(lunar::functions());
    all
}

/// Whether an error is one of our own functions': it begins with its name, and quotes no argument.
pub(super) fn speaks(error: &str) -> bool {
    let calendar = Arc::new(WorkingDays::default());
    all(&calendar).iter().any(|function| error.strip_prefix(function.name()).is_some_and(|rest| rest.starts_with(':')))
}
