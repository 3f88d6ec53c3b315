//! The verb `plan`: what tonight would do, or each night of a window.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;

use super::{Day, Ended, ReportFormat, json, one, print, report_ended as ended, show};
use crate::calendar::{self, AsOf};
use crate::check;
use crate::fault::{Fault, Place};
use crate::report::Report;
use crate::report::change::Changes;
use crate::run;
use crate::world::World;

/// What is planned.
#[derive(Debug, Args)]
#[group(id = "planned")]
pub(super) struct Plan {
    #[command(flatten)]
    day: Day,
    /// With the law as it was known on this date: what was enacted, suspended or repealed later does not count.
    #[arg(long, value_name = "YYYY-MM-DD")]
    known_on: Option<Date>,
    /// The first night of a window.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "to", conflicts_with = "as_of")]
    from: Option<AsOf>,
    /// Its last night; 400 nights are the most.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "from")]
    to: Option<AsOf>,
    /// Beside what it would do: what changed against the last night that ended, by item and commune.
    #[arg(long, value_enum, conflicts_with = "from")]
    diff: Option<Against>,
    /// How to print it; csv is for a window.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// The last night before it that ended.
    LastNight,
}

/// A plan and what changed, for a program.
#[derive(Serialize)]
struct Beside<'a> {
    plan: &'a Report,
    changes: &'a Changes,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
    /// Comma-separated, one line for each night and item, with a header.
    Csv,
}

pub(super) async fn plan(root: PathBuf, agency: &str, state: PathBuf, plan: Plan) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    if let (Some(from), Some(to)) = (plan.from, plan.to) {
        let window = run::window(&world, &checked, from, to, plan.known_on).await.map_err(one)?;
        match plan.format {
            Format::Text => print(&window.to_string()),
            Format::Json => print(&json(&window)),
            Format::Csv => print(&window.csv()),
        }?;
        return Ok(if window.faults.is_empty() { Ended::Done } else { Ended::Failed });
    }
    let format = match plan.format {
        Format::Text => ReportFormat::Text,
        Format::Json => ReportFormat::Json,
        Format::Csv => {
            let what = "the plan of one night is no table";
            let next = "name a window with --from and --to, or ask for --format json";
            return Err(one(Fault::new("plan.format", Place::Thing("--format csv".into()), what, next)));
        }
    };
    let as_of = plan.day.as_of.unwrap_or_else(AsOf::today);
    let day = calendar::Day { as_of, known_on: plan.known_on.unwrap_or(as_of.date()) };
    let report = run::plan(&world, &checked, day).await.map_err(one)?;
    let Some(Against::LastNight) = plan.diff else { return show(&report, format) };
    let changes = run::changes(&world, &checked, &report).map_err(one)?;
    match format {
        ReportFormat::Text => print(&format!("{report}{changes}")),
        ReportFormat::Json => print(&json(&Beside { plan: &report, changes: &changes })),
    }?;
    Ok(ended(&report))
}
