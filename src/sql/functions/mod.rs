//! Functions that the law needs and SQL lacks.

mod add_months;
mod unpack;

use datafusion::logical_expr::ScalarUDF;

pub(super) use unpack::unpacked;

/// All of them, for registration.
pub fn all() -> Vec<ScalarUDF> {
    vec![add_months::function()]
}

/// Whether an error is one of our own functions': it begins with its name, and quotes no argument.
pub(super) fn speaks(error: &str) -> bool {
    all().iter().any(|function| error.strip_prefix(function.name()).is_some_and(|rest| rest.starts_with(':')))
}
