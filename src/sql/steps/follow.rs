//! A plan with one more thing in it: how the values of some columns came about.
//!
//! Each node is rebuilt over its followed inputs. Columns keep their names and their values, and
//! rows their number; what is told of a column stands in a column of text that no select can name,
//! or is known of all its rows alike and then costs nothing until it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{first_value, min};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, Projection, SortExpr, TableScan, Union, lit};

use super::told::node;

/// The schemas of the law.
pub(super) const LAW: [&str; 2] = crate::sql::library::LAW;

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
    pub(super) places: Vec<usize>,
    /// By the place that a column had before.
    pub(super) origins: BTreeMap<usize, Origin>,
    /// The columns as they were before.
    pub(super) schema: Arc<DFSchema>,
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

    pub(super) fn old(&self, place: usize) -> Option<Column> {
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

pub(super) fn place(schema: &DFSchema, column: &Column) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

/// The places of the columns that some expressions name.
pub(super) fn named<'e>(schema: &DFSchema, exprs: impl IntoIterator<Item = &'e Expr>) -> BTreeSet<usize> {
    exprs.into_iter().flat_map(|expr| expr.column_refs()).filter_map(|column| place(schema, column)).collect()
}

/// Follows plans; the names of its columns are used once.
#[derive(Default)]
pub(super) struct Follower {
    names: usize,
}

impl Follower {
    pub(super) fn name(&mut self) -> String {
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

    /// The columns of the input, and those of the windows: a column of another row is told as that, nothing else is
    /// followed.
    fn window(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<Followed> {
        let LogicalPlan::Window(node) = plan else { return Err(lost(plan)) };
        let width = node.input.schema().fields().len();
        let function = |at: &usize| node.window_expr.get(at.checked_sub(width)?);
        let mut asked: BTreeSet<usize> = wanted.iter().copied().filter(|at| *at < width).collect();
        let taken = wanted.iter().filter_map(|at| taken_from(function(at)?));
        asked.extend(taken.filter_map(|column| place(node.input.schema(), column)));
        let input = self.follow(&node.input, &asked)?;
        let shift = input.plan.schema().fields().len();
        let mut origins: BTreeMap<usize, Origin> =
            input.origins.iter().filter(|(at, _)| wanted.contains(at)).map(|(at, of)| (*at, of.clone())).collect();
        for at in wanted.iter().filter(|at| **at >= width) {
            let of = function(at).and_then(taken_from).and_then(|column| input.origin(column));
            let stands = match of {
                Some(Origin::Stands(of)) => of.strip_prefix("column ").map(|column| format!("another {column}")),
                _ => None,
            };
            let untold = || format!("untold {}", function(at).map(window_name).unwrap_or_default());
            origins.insert(*at, Origin::Stands(stands.unwrap_or_else(untold)));
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

/// Windows that give a column as it stands in some row.
const TAKEN: [&str; 7] = ["lead", "lag", "first_value", "last_value", "nth_value", "min", "max"];

/// The column of which a window gives the value of some row; none where it gives something else.
fn taken_from(expr: &Expr) -> Option<&Column> {
    let Expr::WindowFunction(function) = bare(expr) else { return None };
    match function.params.args.first()? {
        Expr::Column(column) if TAKEN.contains(&function.fun.name()) => Some(column),
        _ => None,
    }
}

fn window_name(expr: &Expr) -> String {
    match bare(expr) {
        Expr::WindowFunction(function) => function.fun.name().to_owned(),
        _ => String::new(),
    }
}
