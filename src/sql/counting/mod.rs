//! Counts and sums by codes: the aggregation that figures are made of.
//!
//! Dossiers and ratings of a nation are counted by commune, procedure group and month: tens of millions of rows
//! in millions of groups, all by columns of which each has few values. DataFusion keeps the texts themselves of each
//! group, in tables of each thread, and compares them row by row. Here each value gets a small number when it is first
//! met; a group is a word or two of such numbers and is compared as one. All threads add into one table, in parts
//! by hash, and texts are put back when the groups are told.
//!
//! What has too many values for that, such as a person's number, is noticed while it runs, and those rows are counted
//! as DataFusion planned. A model is written as ever; this is a rule of the physical plan.
//!
//! This folder must not know any name of a table or a column.

mod codes;
mod exec;
mod groups;
mod hash;
mod lane;
mod packing;
mod rest;
mod shards;
mod short;
mod spec;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, InputOrderMode};

use exec::CountExec;
use spec::Spec;

/// The rule; it stands before the one that spreads rows over threads.
#[derive(Debug)]
pub struct Counting;

impl PhysicalOptimizerRule for Counting {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match counted(&plan)? {
            Some(counted) => Ok(Transformed::yes(counted)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "counting"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The step in place of this one; none where it is no aggregation in two halves, or does more than counting.
fn counted(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Ok(last) = Arc::downcast::<AggregateExec>(Arc::clone(plan) as _) else { return Ok(None) };
    let Ok(first) = Arc::downcast::<AggregateExec>(Arc::clone(last.input()) as _) else { return Ok(None) };
    let is_in_halves = *last.mode() == AggregateMode::FinalPartitioned && *first.mode() == AggregateMode::Partial;
    let is_whole = last.limit_options().is_none() && first.limit_options().is_none();
    // Of rows that come group by group, no more than one group has to be held.
    let is_unordered = *first.input_order_mode() == InputOrderMode::Linear;
    if !is_in_halves || !is_whole || !is_unordered || first.input().boundedness().is_unbounded() {
        return Ok(None);
    }
    let Some(spec) = Spec::of(&first, &first.input_schema())? else { return Ok(None) };
    Ok(Some(Arc::new(CountExec::new(Arc::new(spec), last, first))))
}
