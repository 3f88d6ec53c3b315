//! The verb `plan`: what tonight would do, or each night of a window.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Day, Ended, ReportFormat, json, one, print, show};
use crate::calendar::AsOf;
use crate::check;
use crate::fault::{Fault, Place};
use crate::run;
use crate::world::World;

/// What is planned.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    day: Day,
    /// The first night of a window.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "to", conflicts_with = "as_of")]
    from: Option<AsOf>,
    /// Its last night; 400 nights are the most.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "from")]
    to: Option<AsOf>,
    /// How to print it; csv is for a window.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
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
        let window = run::window(&world, &checked, from, to).await.map_err(one)?;
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
    let report = run::plan(&world, &checked, as_of).await.map_err(one)?;
    show(&report, format)
}
