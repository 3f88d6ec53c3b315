//! Functions that the law needs and SQL lacks.

mod add_months;

use datafusion::logical_expr::ScalarUDF;

/// All of them, for registration.
pub fn all() -> Vec<ScalarUDF> {
    vec![add_months::function()]
}
