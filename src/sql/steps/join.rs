//! Joins: what is told of both sides, and which columns chose a row of the law.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection};

use super::expr::tell;
use super::follow::{Followed, Follower, LAW, Origin, named, place};
use super::told::node;

impl Follower {
    pub(super) fn join(&mut self, node: &Join, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let (left, right) = (node.left.schema(), node.right.schema());
        let width = left.fields().len();
        let (has_left, has_right) = match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => (true, true),
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
        };
        let first_right = if has_left { width } else { 0 };
        let mut of_left: BTreeSet<usize> = wanted.iter().copied().filter(|at| has_left && *at < width).collect();
        let mut of_right: BTreeSet<usize> =
            wanted.iter().filter(|at| has_right && **at >= first_right).map(|at| at - first_right).collect();
        of_left.retain(|at| *at < left.fields().len());
        of_right.retain(|at| *at < right.fields().len());
        // What chose the row of the law is told with its number.
        let is_both = has_left && has_right;
        let chosen_right = is_both && is_law(&node.right) && !of_right.is_empty() && !is_law(&node.left);
        let chosen_left = is_both && is_law(&node.left) && !of_left.is_empty() && !is_law(&node.right);
        let choosing = conditions(node, chosen_right, chosen_left);
        if chosen_right {
            of_left.extend(named(left, &choosing));
        }
        if chosen_left {
            of_right.extend(named(right, &choosing));
        }
        let (left, right) = (self.follow(&node.left, &of_left)?, self.follow(&node.right, &of_right)?);
        let shift = if has_left { left.plan.schema().fields().len() } else { 0 };
        let plan = LogicalPlan::Join(node.clone());
        let plan = plan.with_new_exprs(plan.expressions(), vec![left.plan.clone(), right.plan.clone()])?;
        let (mut places, mut origins) = (Vec::new(), BTreeMap::new());
        if has_left {
            places.extend(left.places.iter().copied());
            origins.extend(left.origins.iter().map(|(at, origin)| (*at, origin.clone())));
        }
        if has_right {
            places.extend(right.places.iter().map(|place| place + shift));
            origins.extend(right.origins.iter().map(|(at, origin)| (at + first_right, origin.clone())));
        }
        // The mark of a semi join says whether there was a row.
        while places.len() < node.schema.fields().len() {
            let last = plan.schema().fields().len().saturating_sub(1);
            places.push(last);
        }
        for at in wanted {
            origins.entry(*at).or_insert_with(|| Origin::Stands("untold".into()));
        }
        let parts = choosing.iter().map(|expr| tell(&[&left, &right], expr)).collect::<Result<Vec<_>>>()?;
        let followed = Followed { plan, places, origins, schema: Arc::clone(&node.schema) };
        if parts.is_empty() { Ok(followed) } else { self.chosen(followed, wanted, &parts) }
    }

    /// Puts beside each number of the law what chose its row.
    fn chosen(&mut self, mut joined: Followed, wanted: &BTreeSet<usize>, by: &[Expr]) -> Result<Followed> {
        let mut exprs: Vec<Expr> = joined.plan.schema().columns().into_iter().map(Expr::Column).collect();
        for at in wanted {
            let (Some(value), Some(Origin::Told { column, is_law: true })) = (joined.old(*at), joined.origins.get(at))
            else {
                continue;
            };
            let mut parts = vec![Expr::Column(column.clone())];
            parts.extend(by.iter().cloned());
            let name = self.name();
            exprs.push(node("chosen", Expr::Column(value), parts).alias(&name));
            joined.origins.insert(*at, Origin::Told { column: Column::new_unqualified(name), is_law: false });
        }
        joined.plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(joined.plan))?);
        Ok(joined)
    }
}

/// Whether a relation holds nothing but the law.
fn is_law(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => scan.table_name.schema().is_some_and(|schema| LAW.contains(&schema)),
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().iter().all(|input| is_law(input))
        }
        _ => false,
    }
}

/// What of the other side stands in the conditions that name the law: expressions over the other side.
fn conditions(node: &Join, law_is_right: bool, law_is_left: bool) -> Vec<Expr> {
    if !law_is_right && !law_is_left {
        return Vec::new();
    }
    let (law, other) = if law_is_right { (&node.right, &node.left) } else { (&node.left, &node.right) };
    let is_of = |plan: &LogicalPlan, expr: &Expr| {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.iter().all(|column| place(plan.schema(), column).is_some())
    };
    let mut found: Vec<Expr> = Vec::new();
    let mut put = |expr: &Expr| {
        if is_of(other, expr) && !found.contains(expr) {
            found.push(expr.clone());
        }
    };
    for (left, right) in &node.on {
        put(if law_is_right { left } else { right });
    }
    for condition in node.filter.iter().flat_map(|filter| split_conjunction(filter)) {
        let names_law = condition.column_refs().iter().any(|column| place(law.schema(), column).is_some());
        match condition {
            Expr::Between(between) if names_law => put(&between.expr),
            Expr::BinaryExpr(compared) if names_law => {
                put(&compared.left);
                put(&compared.right);
            }
            _ => {}
        }
    }
    found
}
