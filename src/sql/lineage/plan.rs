//! From a logical plan: what each node gives, from the leaves up.

use std::collections::BTreeSet;

use datafusion::common::{Column, DFSchema, JoinType, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, LogicalPlan, RecursiveQuery, SortExpr, TableScan, Unnest, Values,
};

use super::{ColumnName, Flow, Lineage, Way};
use crate::tables::TableName;

pub(super) type Result<T> = std::result::Result<T, DataFusionError>;

/// The lineage of a select; the error names the part of it that is not understood.
pub(in crate::sql) fn trace(plan: &LogicalPlan) -> Result<Lineage> {
    let mut tracer = Tracer::default();
    let relation = tracer.relation(plan, None)?;
    let names = plan.schema().fields().iter().map(|field| field.name().clone());
    let columns = names.zip(relation.columns).collect();
    Ok(Lineage { columns, rows: relation.rows, tables: tracer.tables })
}

/// What a node gives: its columns by position, and what decides its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) columns: Vec<Flow>,
    pub(super) rows: Flow,
}

/// The columns that an expression may name, and those around the subquery that it stands in.
pub(super) struct Scope<'a> {
    pub(super) inputs: Vec<(&'a DFSchema, &'a [Flow])>,
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// What takes part in a column of this name.
    pub(super) fn column(&self, column: &Column) -> Result<Flow> {
        self.find(column).ok_or_else(|| unknown(column))
    }

    /// What takes part in a column of a query around this one.
    pub(super) fn outer_column(&self, column: &Column) -> Result<Flow> {
        let mut around = self.outer;
        while let Some(scope) = around {
            if let Some(flow) = scope.find(column) {
                return Ok(flow);
            }
            around = scope.outer;
        }
        Err(unknown(column))
    }

    fn find(&self, column: &Column) -> Option<Flow> {
        let exact = self.inputs.iter().find_map(|(schema, columns)| {
            let is_it = |(relation, name): (Option<&TableReference>, &str)| {
                relation == column.relation.as_ref() && name == column.name
            };
            let at = schema.iter().position(|(relation, field)| is_it((relation, field.name())))?;
            columns.get(at)
        });
        let close =
            || self.inputs.iter().find_map(|(schema, columns)| columns.get(schema.maybe_index_of_column(column)?));
        exact.or_else(close).cloned()
    }
}

fn unknown(column: &Column) -> DataFusionError {
    DataFusionError::Plan(format!("the lineage of the column {} cannot be told", column.flat_name()))
}

#[derive(Default)]
pub(super) struct Tracer {
    /// Every table that was read.
    tables: BTreeSet<TableName>,
    /// What the recursive common table expressions around gave so far.
    recursive: Vec<(String, Relation)>,
}

impl Tracer {
    pub(super) fn relation(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Relation> {
        match plan {
            LogicalPlan::Projection(node) => {
                let input = self.relation(&node.input, outer)?;
                let columns = self.all(&node.expr, &node.input, &input, outer)?;
                Ok(Relation { columns, rows: input.rows })
            }
            LogicalPlan::Filter(node) => {
                let mut input = self.relation(&node.input, outer)?;
                let decides = self.all(std::slice::from_ref(&node.predicate), &node.input, &input, outer)?;
                input.decide(&decides, Way::Filter);
                Ok(input)
            }
            LogicalPlan::Window(node) => {
                let mut input = self.relation(&node.input, outer)?;
                let windows = self.all(&node.window_expr, &node.input, &input, outer)?;
                input.columns.extend(windows);
                Ok(input)
            }
            LogicalPlan::Aggregate(node) => self.aggregate(node, outer),
            LogicalPlan::Sort(node) => {
                let mut input = self.relation(&node.input, outer)?;
                self.sort(&node.expr, &node.input, &mut input, outer)?;
                Ok(input)
            }
            LogicalPlan::Join(node) => self.join(node, outer),
            LogicalPlan::Union(node) => {
                let mut inputs = node.inputs.iter().map(|input| self.relation(input, outer));
                let first = inputs.next().transpose()?.unwrap_or_default();
                inputs.try_fold(first, |sum, input| Ok(sum.beside(&input?)))
            }
            LogicalPlan::TableScan(node) => self.scan(node),
            LogicalPlan::EmptyRelation(node) => Ok(Relation::without_source(node.schema.fields().len())),
            LogicalPlan::Values(node) => self.values(node, outer),
            LogicalPlan::Subquery(node) => self.relation(&node.subquery, outer),
            LogicalPlan::SubqueryAlias(node) => self.relation(&node.input, outer),
            LogicalPlan::Repartition(node) => self.relation(&node.input, outer),
            LogicalPlan::Limit(node) => {
                let mut input = self.relation(&node.input, outer)?;
                let counts: Vec<Expr> =
                    [&node.skip, &node.fetch].into_iter().flatten().map(|e| (**e).clone()).collect();
                let decides = self.all(&counts, &node.input, &input, outer)?;
                input.decide(&decides, Way::Filter);
                Ok(input)
            }
            LogicalPlan::Distinct(node) => self.distinct(node, outer),
            LogicalPlan::Unnest(node) => self.unnest(node, outer),
            LogicalPlan::RecursiveQuery(node) => self.recursive(node, outer),
            other => {
                let what = format!("the lineage of {} cannot be told", first_word(&other.display().to_string()));
                Err(DataFusionError::Plan(what))
            }
        }
    }

    /// What takes part in each of some expressions over one input.
    fn all(
        &mut self,
        exprs: &[Expr],
        plan: &LogicalPlan,
        input: &Relation,
        outer: Option<&Scope<'_>>,
    ) -> Result<Vec<Flow>> {
        let scope = Scope { inputs: vec![(plan.schema().as_ref(), &input.columns)], outer };
        exprs.iter().map(|expr| self.expr(expr, &scope)).collect()
    }

    fn sort(
        &mut self,
        sort: &[SortExpr],
        plan: &LogicalPlan,
        input: &mut Relation,
        outer: Option<&Scope<'_>>,
    ) -> Result<()> {
        let exprs: Vec<Expr> = sort.iter().map(|sort| sort.expr.clone()).collect();
        let decides = self.all(&exprs, plan, input, outer)?;
        input.decide(&decides, Way::Sort);
        Ok(())
    }

    /// The columns of the groups, a number that tells grouping sets apart where there are any, and the aggregates.
    fn aggregate(&mut self, node: &Aggregate, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let input = self.relation(&node.input, outer)?;
        let (groups, is_set) = match node.group_expr.as_slice() {
            [Expr::GroupingSet(sets)] => (sets.distinct_expr().into_iter().cloned().collect(), true),
            groups => (once(groups), false),
        };
        let mut columns = self.all(&groups, &node.input, &input, outer)?;
        let mut given = Relation { columns: Vec::new(), rows: input.rows.clone() };
        given.decide(&columns, Way::GroupBy);
        if is_set {
            columns.push(Flow::default());
        }
        columns.extend(self.all(&node.aggr_expr, &node.input, &input, outer)?);
        given.columns = columns;
        given.of_width(node.schema.fields().len())
    }

    fn join(&mut self, node: &Join, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let left = self.relation(&node.left, outer)?;
        let sides = Scope { inputs: vec![(node.left.schema().as_ref(), &left.columns)], outer };
        // A lateral right side sees the left one as the query around it.
        let right = self.relation(&node.right, if is_lateral(&node.right) { Some(&sides) } else { outer })?;
        let inputs = vec![
            (node.left.schema().as_ref(), left.columns.as_slice()),
            (node.right.schema().as_ref(), right.columns.as_slice()),
        ];
        let scope = Scope { inputs, outer };
        let on = node.on.iter().flat_map(|(left, right)| [left, right]).chain(&node.filter);
        let decides = on.map(|expr| self.expr(expr, &scope)).collect::<Result<Vec<_>>>()?;
        let mut given = Relation { columns: Vec::new(), rows: left.rows.clone() };
        given.rows.extend(&right.rows);
        given.decide(&decides, Way::Join);
        let mark = given.rows.clone();
        given.columns = match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                left.columns.into_iter().chain(right.columns).collect()
            }
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            JoinType::LeftMark => left.columns.into_iter().chain([mark]).collect(),
            JoinType::RightMark => right.columns.into_iter().chain([mark]).collect(),
        };
        given.of_width(node.schema.fields().len())
    }

    fn scan(&mut self, node: &TableScan) -> Result<Relation> {
        if let TableReference::Bare { table } = &node.table_name
            && let Some((_, known)) = self.recursive.iter().rev().find(|(name, _)| **name == **table)
        {
            return Ok(known.clone());
        }
        let schema = node.table_name.schema().unwrap_or_default();
        let table = TableName::new(schema, node.table_name.table());
        self.tables.insert(table.clone());
        let fields = node.projected_schema.fields().iter();
        let columns: Vec<Flow> =
            fields.map(|field| Flow::one(ColumnName::new(table.clone(), field.name()), Way::Identity)).collect();
        let mut given = Relation { columns, rows: Flow::default() };
        let scope = Scope { inputs: vec![(node.projected_schema.as_ref(), &given.columns)], outer: None };
        let decides = node.filters.iter().map(|filter| self.expr(filter, &scope)).collect::<Result<Vec<_>>>()?;
        given.decide(&decides, Way::Filter);
        Ok(given)
    }

    fn values(&mut self, node: &Values, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let scope = Scope { inputs: Vec::new(), outer };
        let mut given = Relation::without_source(node.schema.fields().len());
        for row in &node.values {
            for (column, value) in given.columns.iter_mut().zip(row) {
                column.extend(&self.expr(value, &scope)?);
            }
        }
        Ok(given)
    }

    fn distinct(&mut self, node: &Distinct, outer: Option<&Scope<'_>>) -> Result<Relation> {
        match node {
            Distinct::All(input) => {
                let mut given = self.relation(input, outer)?;
                let columns = given.columns.clone();
                given.decide(&columns, Way::GroupBy);
                Ok(given)
            }
            Distinct::On(node) => {
                let mut input = self.relation(&node.input, outer)?;
                let decides = self.all(&node.on_expr, &node.input, &input, outer)?;
                input.decide(&decides, Way::GroupBy);
                self.sort(node.sort_expr.as_deref().unwrap_or_default(), &node.input, &mut input, outer)?;
                let columns = self.all(&node.select_expr, &node.input, &input, outer)?;
                Ok(Relation { columns, rows: input.rows })
            }
        }
    }

    fn unnest(&mut self, node: &Unnest, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let input = self.relation(&node.input, outer)?;
        let mut given = Relation { columns: Vec::new(), rows: input.rows };
        let lists: BTreeSet<usize> = node.list_type_columns.iter().map(|(at, _)| *at).collect();
        // A list gives as many rows as it has elements.
        let decides: Vec<Flow> = lists.iter().filter_map(|at| input.columns.get(*at).cloned()).collect();
        given.decide(&decides, Way::Filter);
        for at in &node.dependency_indices {
            let Some(flow) = input.columns.get(*at) else { break };
            let is_opened = lists.contains(at) || node.struct_type_columns.contains(at);
            given.columns.push(if is_opened { flow.then(Way::Transformation) } else { flow.clone() });
        }
        given.of_width(node.schema.fields().len())
    }

    /// Goes round until nothing is added: the sets are finite.
    fn recursive(&mut self, node: &RecursiveQuery, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let mut sum = self.relation(&node.static_term, outer)?;
        loop {
            self.recursive.push((node.name.clone(), sum.clone()));
            let step = self.relation(&node.recursive_term, outer);
            self.recursive.pop();
            let mut next = sum.clone().beside(&step?);
            if node.is_distinct {
                let columns = next.columns.clone();
                next.decide(&columns, Way::GroupBy);
            }
            if next == sum {
                return Ok(sum);
            }
            sum = next;
        }
    }
}

impl Relation {
    fn without_source(width: usize) -> Self {
        Relation { columns: vec![Flow::default(); width], rows: Flow::default() }
    }

    /// Adds what decides the rows.
    fn decide(&mut self, by: &[Flow], way: Way) {
        for flow in by {
            self.rows.extend(&flow.then(way));
        }
    }

    /// The rows of both, column by column.
    fn beside(mut self, other: &Relation) -> Self {
        self.columns.iter_mut().zip(&other.columns).for_each(|(column, more)| column.extend(more));
        self.rows.extend(&other.rows);
        self
    }

    /// Refuses a count of columns that is not the schema's: a wrong answer would stay unseen.
    fn of_width(self, width: usize) -> Result<Self> {
        match self.columns.len() == width {
            true => Ok(self),
            false => {
                let what = format!("the lineage cannot be told: {} columns, not {width}", self.columns.len());
                Err(DataFusionError::Plan(what))
            }
        }
    }
}

fn is_lateral(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(node) => is_lateral(&node.input),
        _ => false,
    }
}

/// The same group twice is one column.
fn once(groups: &[Expr]) -> Vec<Expr> {
    let mut once: Vec<Expr> = Vec::new();
    for group in groups {
        if !once.contains(group) {
            once.push(group.clone());
        }
    }
    once
}

fn first_word(text: &str) -> &str {
    text.split([' ', ':']).next().unwrap_or_default()
}
