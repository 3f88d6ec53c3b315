//! Look-ups: few rows of large tables, found by a key.
//!
//! Who is written to is found by joining those who have something due with a register of everybody: half a million
//! keys, twenty million rows. A join alone unpacks every column of every row and throws nearly all of it away. Here
//! the rows of the few are read first, as in any hash join; from their keys a [`set`](key_set::KeySet) is made, and
//! the [scan](scan::KeyedScan) of the large table reads of each row group the key column, and of the others only the
//! rows whose key may be in the set. The join above stays as it was and has the last word: the set may let a stranger
//! through, and never leaves out a row that is asked for.
//!
//! It is a rule over physical plans, for the sessions that look up; it must not know any name of a table.

mod key_set;
mod scan;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};

use key_set::{Asked, ListKeys};
use scan::KeyedScan;

/// A plan, or none where it stays as it is.
type Plan = Arc<dyn ExecutionPlan>;

/// DataFusion's rules over physical plans, and ours: after the one that says which side of a join is held, and before
/// those that see to it that each step gets its rows in the order and in the parts that it needs.
pub(super) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let place = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |place| place + 1);
    rules.insert(place, Arc::new(LookUp));
    rules
}

#[derive(Debug)]
struct LookUp;

impl PhysicalOptimizerRule for LookUp {
    fn name(&self) -> &str {
        "look_up"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let threads = config.execution.target_partitions;
        let changed = plan.transform_up(|plan| {
            let keyed = plan.downcast_ref::<HashJoinExec>().map(|join| keyed(join, threads)).transpose()?.flatten();
            Ok(keyed.map_or_else(|| Transformed::no(plan), Transformed::yes))
        });
        Ok(changed?.data)
    }
}

/// The join whose large side reads by the keys of the held one; none where it is not of that kind.
fn keyed(join: &HashJoinExec, threads: usize) -> Result<Option<Plan>> {
    let [(held, read)] = join.on() else { return Ok(None) };
    let (Some(held), Some(read)) = (held.downcast_ref::<Column>(), read.downcast_ref::<Column>()) else {
        return Ok(None);
    };
    let is_look_up = *join.join_type() == JoinType::Inner
        && *join.partition_mode() == PartitionMode::CollectLeft
        && join.null_equality() == NullEquality::NullEqualsNothing;
    let (left, right) = (join.left(), join.right());
    // Equal values of two kinds are not equal bytes.
    let are_alike = held.data_type(&left.schema())? == read.data_type(&right.schema())?;
    if !is_look_up || !are_alike {
        return Ok(None);
    }
    let asked = Arc::new(Asked::default());
    let Some(right) = by_key(right, read.index(), &asked, threads)? else { return Ok(None) };
    let left: Plan = Arc::new(ListKeys::new(Arc::clone(left), held.index(), asked));
    join.builder().with_new_children(vec![left, right])?.build_exec().map(Some)
}

/// The plan whose scans read by the key that stands in this column of it; none where none of them could.
fn by_key(plan: &Plan, key: usize, asked: &Arc<Asked>, threads: usize) -> Result<Option<Plan>> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return Ok(KeyedScan::of(scan, key, asked, threads)?.map(|scan| Arc::new(scan) as Plan));
    }
    let input_key = if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        projection.expr().get(key).and_then(|column| column.expr.downcast_ref::<Column>()).map(Column::index)
    } else if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        filter.projection().as_ref().map_or(Some(key), |columns| columns.get(key).copied())
    } else {
        // In a union each part has the column at the same place; what a table's changes leave of its rows has the
        // columns of the rows.
        (plan.is::<UnionExec>() || keeps_the_right(plan)).then_some(key)
    };
    let Some(input_key) = input_key else { return Ok(None) };
    let mut children: Vec<Plan> = plan.children().into_iter().cloned().collect();
    let mut is_changed = false;
    let first = if keeps_the_right(plan) { 1 } else { 0 };
    for child in children.iter_mut().skip(first) {
        if let Some(changed) = by_key(child, input_key, asked, threads)? {
            *child = changed;
            is_changed = true;
        }
    }
    if !is_changed {
        return Ok(None);
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(children, options).map(Some)
}

/// Whether these are rows of the right side, some left out, with all their columns.
fn keeps_the_right(plan: &Plan) -> bool {
    plan.downcast_ref::<HashJoinExec>().is_some_and(|join| {
        matches!(join.join_type(), JoinType::RightAnti | JoinType::RightSemi) && !join.contains_projection()
    })
}

/// So many parts, with the rows in no order that anybody may rely on.
fn properties(schema: SchemaRef, parts: usize) -> Arc<PlanProperties> {
    let parts = Partitioning::UnknownPartitioning(parts);
    let columns = EquivalenceProperties::new(schema);
    Arc::new(PlanProperties::new(columns, parts, EmissionType::Incremental, Boundedness::Bounded))
}
