//! What takes part in the value of an expression.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{AggregateFunction, Case, WindowFunction};
use datafusion::logical_expr::{Expr, SortExpr, Subquery, WindowFunctionDefinition};

use super::plan::{Result, Scope, Tracer};
use super::{Flow, Way};

impl Tracer {
    pub(super) fn expr(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Flow> {
        match expr {
            Expr::Alias(alias) => self.expr(&alias.expr, scope),
            Expr::Column(column) => scope.column(column),
            Expr::OuterReferenceColumn(_, column) => scope.outer_column(column),
            Expr::Case(case) => self.case(case, scope),
            Expr::AggregateFunction(function) => self.aggregate_function(function, scope),
            Expr::WindowFunction(function) => self.window_function(function, scope),
            Expr::Exists(exists) => {
                // Whether there is a row depends on what decides the rows, and on no column that is listed.
                Ok(self.relation(&exists.subquery.subquery, Some(scope))?.rows)
            }
            Expr::ScalarSubquery(subquery) => self.subquery(subquery, Way::Identity, scope),
            Expr::InSubquery(found) => {
                let mut flow = self.expr(&found.expr, scope)?.then(Way::Transformation);
                flow.extend(&self.subquery(&found.subquery, Way::Transformation, scope)?);
                Ok(flow)
            }
            Expr::SetComparison(compared) => {
                let mut flow = self.expr(&compared.expr, scope)?.then(Way::Transformation);
                flow.extend(&self.subquery(&compared.subquery, Way::Transformation, scope)?);
                Ok(flow)
            }
            #[expect(deprecated, reason = "it must not pass for an expression without columns")]
            Expr::Wildcard { .. } => Err(DataFusionError::Plan("the lineage of * cannot be told here".into())),
            // What is left computes a value from its parts. A parameter of a lambda has its values from the
            // arguments of the function around it, which are parts too.
            other => {
                let mut flow = Flow::default();
                other.apply_children(|part| {
                    flow.extend(&self.expr(part, scope)?.then(Way::Transformation));
                    Ok(TreeNodeRecursion::Continue)
                })?;
                Ok(flow)
            }
        }
    }

    fn subquery(&mut self, subquery: &Subquery, way: Way, scope: &Scope<'_>) -> Result<Flow> {
        let given = self.relation(&subquery.subquery, Some(scope))?;
        let mut flow = given.rows;
        for column in &given.columns {
            flow.extend(&column.then(way));
        }
        Ok(flow)
    }

    fn case(&mut self, case: &Case, scope: &Scope<'_>) -> Result<Flow> {
        let mut flow = Flow::default();
        let whens = case.when_then_expr.iter().map(|(when, _)| when);
        for deciding in case.expr.iter().chain(whens) {
            flow.extend(&self.expr(deciding, scope)?.then(Way::Conditional));
        }
        let thens = case.when_then_expr.iter().map(|(_, then)| then);
        for given in thens.chain(&case.else_expr) {
            flow.extend(&self.expr(given, scope)?.then(Way::Transformation));
        }
        Ok(flow)
    }

    fn aggregate_function(&mut self, function: &AggregateFunction, scope: &Scope<'_>) -> Result<Flow> {
        let params = &function.params;
        let mut flow = self.each(params.args.iter(), Way::Aggregation, scope)?;
        flow.extend(&self.each(params.filter.as_deref().into_iter(), Way::Filter, scope)?);
        flow.extend(&self.each(sorted_by(&params.order_by), Way::Sort, scope)?);
        Ok(flow)
    }

    fn window_function(&mut self, function: &WindowFunction, scope: &Scope<'_>) -> Result<Flow> {
        let params = &function.params;
        let way = match function.fun {
            WindowFunctionDefinition::AggregateUDF(_) => Way::Aggregation,
            WindowFunctionDefinition::WindowUDF(_) => Way::Transformation,
        };
        let mut flow = self.each(params.args.iter(), way, scope)?;
        let window = params.partition_by.iter().chain(sorted_by(&params.order_by));
        flow.extend(&self.each(window, Way::Window, scope)?);
        flow.extend(&self.each(params.filter.as_deref().into_iter(), Way::Filter, scope)?);
        Ok(flow)
    }

    fn each<'e>(&mut self, exprs: impl Iterator<Item = &'e Expr>, way: Way, scope: &Scope<'_>) -> Result<Flow> {
        let mut flow = Flow::default();
        for expr in exprs {
            flow.extend(&self.expr(expr, scope)?.then(way));
        }
        Ok(flow)
    }
}

fn sorted_by(sort: &[SortExpr]) -> impl Iterator<Item = &Expr> {
    sort.iter().map(|sort| &sort.expr)
}
