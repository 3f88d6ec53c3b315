//! A plan with one more thing in it: how the values of some columns came about.
//!
//! Each node is rebuilt over its followed inputs. Columns keep their names and their values, and
//! rows their number; what is told of a column stands in a column of text that no select can name,
//! or is known of all its rows alike and then costs nothing until it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, JoinType, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{first_value, min};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, LogicalPlan, Projection, SortExpr, TableScan, Union, lit,
};

use super::expr::tell;
use super::told::node;

/// The schemas of the law.
const LAW: [&str; 2] = crate::sql::library::LAW;

/// What is told of a column.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Its value is of this, in every row: the words of a node without parts.
    Stands(String),
    /// The node is in another column.
    Told {
        /// That column.
        column: Column,
        /// Whether it is a cell of the law as it stands there.
        is_law: bool,
    },
}

/// A relation with what is told of some of its columns.
pub(super) struct Followed {
    pub(super) plan: LogicalPlan,
    /// Where the columns that it had before are now.
    places: Vec<usize>,
    /// By the place that a column had before.
    origins: BTreeMap<usize, Origin>,
    /// The columns as they were before.
    schema: Arc<DFSchema>,
}

impl Followed {
    /// A plan as it is, without anything to tell.
    fn untouched(plan: &LogicalPlan) -> Self {
        let width = plan.schema().fields().len();
        Followed {
            plan: plan.clone(),
            places: (0..width).collect(),
            origins: BTreeMap::new(),
            schema: Arc::clone(plan.schema()),
        }
    }

    /// What is told of a column; none when it is not followed, or not of this relation.
    pub(super) fn origin(&self, column: &Column) -> Option<&Origin> {
        self.origins.get(&place(&self.schema, column)?)
    }

    fn old(&self, place: usize) -> Option<Column> {
        (place < self.schema.fields().len()).then(|| Column::from(self.schema.qualified_field(place)))
    }

    /// Refuses a plan whose columns are no longer those of the node that it stands for.
    fn sound(self, node: &LogicalPlan) -> Result<Self> {
        let (old, new) = (node.schema(), self.plan.schema());
        let is_same = self.places.len() == old.fields().len()
            && self.places.iter().enumerate().all(|(at, place)| {
                *place < new.fields().len()
                    && old.qualified_field(at).0 == new.qualified_field(*place).0
                    && old.field(at).name() == new.field(*place).name()
            });
        if is_same { Ok(self) } else { Err(lost(node)) }
    }
}

fn lost(node: &LogicalPlan) -> DataFusionError {
    let name = node.display().to_string();
    let name = name.split([' ', ':']).next().unwrap_or_default();
    DataFusionError::Plan(format!("how a value came about cannot be followed through {name}"))
}

fn place(schema: &DFSchema, column: &Column) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

/// The places of the columns that some expressions name.
fn named<'e>(schema: &DFSchema, exprs: impl IntoIterator<Item = &'e Expr>) -> BTreeSet<usize> {
    exprs.into_iter().flat_map(|expr| expr.column_refs()).filter_map(|column| place(schema, column)).collect()
}

/// Follows plans; the names of its columns are used once.
#[derive(Default)]
pub(super) struct Follower {
    names: usize,
}

impl Follower {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("__told_{}", self.names)
    }

    /// A plan with what is told of the columns at these places.
    pub(super) fn follow(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<Followed> {
        if wanted.is_empty() {
            return Ok(Followed::untouched(plan));
        }
        let followed = match plan {
            LogicalPlan::Projection(node) => self.projection(node, wanted)?,
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Repartition(_) => {
                self.through(plan, wanted)?
            }
            LogicalPlan::SubqueryAlias(_) => self.renamed(plan, wanted)?,
            LogicalPlan::Window(_) => self.window(plan, wanted)?,
            LogicalPlan::Aggregate(node) => self.aggregate(node, wanted)?,
            LogicalPlan::Join(node) => self.join(node, wanted)?,
            LogicalPlan::Union(node) => self.union(node, wanted)?,
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input, wanted)?,
            LogicalPlan::TableScan(node) => self.scan(plan, node, wanted)?,
            // Everything else is told as the value that it gives.
            other => {
                let mut untold = Followed::untouched(other);
                untold.origins = wanted.iter().map(|at| (*at, Origin::Stands("untold".into()))).collect();
                untold
            }
        };
        followed.sound(plan)
    }

    fn projection(&mut self, node: &Projection, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let asked = wanted.iter().filter_map(|at| node.expr.get(*at));
        let input = self.follow(&node.input, &named(node.input.schema(), asked))?;
        let mut exprs = node.expr.clone();
        let mut origins = BTreeMap::new();
        for at in wanted {
            let Some(expr) = node.expr.get(*at) else { continue };
            let same = match bare(expr) {
                Expr::Column(column) => input.origin(column).cloned(),
                _ => None,
            };
            let (told, is_law) = match same {
                Some(stands @ Origin::Stands(_)) => {
                    origins.insert(*at, stands);
                    continue;
                }
                Some(Origin::Told { column, is_law }) => (Expr::Column(column), is_law),
                None => (input.tell(expr)?, false),
            };
            let name = self.name();
            exprs.push(told.alias(&name));
            origins.insert(*at, Origin::Told { column: Column::new_unqualified(name), is_law });
        }
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?);
        Ok(Followed { plan, places: (0..node.expr.len()).collect(), origins, schema: Arc::clone(&node.schema) })
    }

    /// A node that gives the rows of its input, or some of them, in some order.
    fn through(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let inputs = plan.inputs();
        let input = self.follow(inputs.first().ok_or_else(|| lost(plan))?, wanted)?;
        let new = plan.with_new_exprs(plan.expressions(), vec![input.plan.clone()])?;
        Ok(Followed { plan: new, ..input })
    }

    /// The same columns under the name of another relation.
    fn renamed(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let through = self.through(plan, wanted)?;
        let LogicalPlan::SubqueryAlias(alias) = plan else { return Err(lost(plan)) };
        let renamed = |origin: Origin| match origin {
            Origin::Told { column, is_law } => {
                Origin::Told { column: Column::new(Some(alias.alias.clone()), column.name), is_law }
            }
            stands @ Origin::Stands(_) => stands,
        };
        let origins = through.origins.into_iter().map(|(at, origin)| (at, renamed(origin))).collect();
        Ok(Followed { origins, schema: Arc::clone(plan.schema()), ..through })
    }

    /// The columns of the input, and those of the windows, which are not followed.
    fn window(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let LogicalPlan::Window(node) = plan else { return Err(lost(plan)) };
        let width = node.input.schema().fields().len();
        let input = self.follow(&node.input, &wanted.iter().copied().filter(|at| *at < width).collect())?;
        let shift = input.plan.schema().fields().len();
        let mut origins = input.origins;
        for at in wanted.iter().filter(|at| **at >= width) {
            let function = node.window_expr.get(*at - width).map(window_name).unwrap_or_default();
            origins.insert(*at, Origin::Stands(format!("untold {function}")));
        }
        let places = input.places.into_iter().chain((0..node.window_expr.len()).map(|at| at + shift)).collect();
        let plan = plan.with_new_exprs(node.window_expr.clone(), vec![input.plan])?;
        Ok(Followed { plan, places, origins, schema: Arc::clone(&node.schema) })
    }

    /// A group has the value of any of its rows; the least and the greatest are those of one row.
    fn aggregate(&mut self, node: &Aggregate, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let groups = node.group_expr.len();
        let is_plain = !node.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)))
            && node.schema.fields().len() == groups + node.aggr_expr.len();
        let given = |at: usize| match at.checked_sub(groups) {
            None => node.group_expr.get(at),
            Some(at) => node.aggr_expr.get(at).and_then(|aggregate| extreme(aggregate)).map(|(_, arg)| arg),
        };
        let asked = wanted.iter().filter_map(|at| given(*at));
        let input = self.follow(&node.input, &named(node.input.schema(), asked))?;
        let mut aggregates = node.aggr_expr.clone();
        let mut origins = BTreeMap::new();
        for at in wanted {
            let told = match at.checked_sub(groups) {
                _ if !is_plain => None,
                None => node.group_expr.get(*at).map(|group| input.tell(group).map(min)).transpose()?,
                Some(index) => match node.aggr_expr.get(index).and_then(|aggregate| extreme(aggregate)) {
                    Some((word, arg)) => Some(of_extreme(&input, word, arg)?),
                    None => None,
                },
            };
            let origin = match told {
                Some(told) => {
                    let name = self.name();
                    aggregates.push(told.alias(&name));
                    Origin::Told { column: Column::new_unqualified(name), is_law: false }
                }
                None => Origin::Stands("untold aggregate".into()),
            };
            origins.insert(*at, origin);
        }
        let new = Aggregate::try_new(Arc::new(input.plan), node.group_expr.clone(), aggregates)?;
        let places = (0..node.schema.fields().len()).collect();
        Ok(Followed { plan: LogicalPlan::Aggregate(new), places, origins, schema: Arc::clone(&node.schema) })
    }

    /// Rows that are the same are one: what is told of them must not make them differ.
    fn distinct(&mut self, input: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let input = self.follow(input, wanted)?;
        let width = input.schema.fields().len();
        let columns: Vec<Expr> = (0..width).filter_map(|at| input.old(at)).map(Expr::Column).collect();
        let (mut told, mut origins) = (Vec::new(), BTreeMap::new());
        for at in wanted {
            let Some(column) = input.old(*at) else { continue };
            match input.origins.get(at) {
                Some(Origin::Told { column, is_law }) => {
                    let name = self.name();
                    told.push(min(Expr::Column(column.clone())).alias(&name));
                    origins.insert(*at, Origin::Told { column: Column::new_unqualified(name), is_law: *is_law });
                }
                Some(stands @ Origin::Stands(_)) => drop(origins.insert(*at, stands.clone())),
                None => return Err(DataFusionError::Plan(format!("the column {} is not followed", column.name))),
            }
        }
        let schema = Arc::clone(&input.schema);
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input.plan), columns, told)?);
        Ok(Followed { plan, places: (0..width).collect(), origins, schema })
    }

    /// Each input gives its own account, in the same column.
    fn union(&mut self, node: &Union, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let names: Vec<(usize, String)> = wanted.iter().map(|at| (*at, self.name())).collect();
        let width = node.schema.fields().len();
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            let followed = self.follow(input, wanted)?;
            let mut exprs: Vec<Expr> = (0..width).filter_map(|at| followed.old(at)).map(Expr::Column).collect();
            for (at, name) in &names {
                let column = followed.old(*at).ok_or_else(|| lost(input))?;
                exprs.push(followed.tell(&Expr::Column(column))?.alias(name));
            }
            inputs.push(Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(followed.plan))?)));
        }
        let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
        let column = |place: usize| -> Option<Column> {
            (place < plan.schema().fields().len()).then(|| Column::from(plan.schema().qualified_field(place)))
        };
        let told = names.iter().enumerate().filter_map(|(index, (at, _))| Some((*at, column(width + index)?)));
        let origins = told.map(|(at, column)| (at, Origin::Told { column, is_law: false })).collect();
        Ok(Followed { plan, places: (0..width).collect(), origins, schema: Arc::clone(&node.schema) })
    }

    fn scan(&mut self, plan: &LogicalPlan, scanned: &TableScan, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let mut scan = Followed::untouched(plan);
        let table = format!("{}.{}", scanned.table_name.schema().unwrap_or_default(), scanned.table_name.table());
        let column = |at: usize| (at < scan.schema.fields().len()).then(|| scan.schema.field(at).name().clone());
        let is_law = scanned.table_name.schema().is_some_and(|schema| LAW.contains(&schema));
        if !is_law {
            let stands = |at: &usize| Some((*at, Origin::Stands(format!("column {table}.{}", column(*at)?))));
            scan.origins = wanted.iter().filter_map(stands).collect();
            return Ok(scan);
        }
        // A number of the law is told with its key and its version, which a select may leave behind.
        let mut exprs: Vec<Expr> = (0..scan.places.len()).filter_map(|at| scan.old(at)).map(Expr::Column).collect();
        let cell = |name: &str| -> Expr {
            let at = scan.schema.fields().iter().position(|field| field.name() == name);
            let value = at.and_then(|at| scan.old(at)).map_or_else(|| lit(ScalarValue::Utf8(None)), Expr::Column);
            node_of(&table, name, value)
        };
        let mut origins = BTreeMap::new();
        for at in wanted {
            let (Some(old), Some(column)) = (scan.old(*at), column(*at)) else { continue };
            let name = self.name();
            let of = format!("law {table}.{column}");
            exprs.push(node(&of, Expr::Column(old), vec![cell("key"), cell("rule_version")]).alias(&name));
            origins.insert(*at, Origin::Told { column: Column::new_unqualified(name), is_law: true });
        }
        scan.plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(scan.plan))?);
        scan.origins = origins;
        Ok(scan)
    }

    fn join(&mut self, node: &Join, wanted: &BTreeSet<usize>) -> Result<Followed> {
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

fn node_of(table: &str, column: &str, value: Expr) -> Expr {
    node(&format!("column {table}.{column}"), value, vec![])
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
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

/// The argument of `min` or `max`, where all rows count.
fn extreme(expr: &Expr) -> Option<(&'static str, &Expr)> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = bare(expr) else { return None };
    let word = match func.name() {
        "max" => "latest",
        "min" => "earliest",
        _ => return None,
    };
    let [arg] = params.args.as_slice() else { return None };
    params.filter.is_none().then_some((word, arg))
}

/// What is told of the row that has the least or the greatest value; of several such rows, always the same.
fn of_extreme(input: &Followed, word: &str, arg: &Expr) -> Result<Expr> {
    let told = node(word, arg.clone(), vec![input.tell(arg)?]);
    let order = vec![SortExpr::new(arg.clone(), word == "earliest", false), SortExpr::new(told.clone(), true, false)];
    Ok(first_value(told, order))
}

fn window_name(expr: &Expr) -> String {
    match bare(expr) {
        Expr::WindowFunction(function) => function.fun.name().to_owned(),
        _ => String::new(),
    }
}
