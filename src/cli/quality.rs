//! The verb `quality`: the score sheet of a unit, for the agency itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::book::account;
use super::{Ended, ReportFormat, json, one, print};
use crate::calendar::{AsOf, Span};
use crate::check;
use crate::fault::Fault;
use crate::language::Language;
use crate::run;
use crate::world::World;

/// Whose sheet is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The unit: the agency's own (also if left out), a commune, or a department.
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// The month (2026-10), quarter (2026-Q4) or year (2026).
    #[arg(long, value_name = "PERIOD")]
    period: Span,
    /// The decision: a file of pipelines/indices/, or a part of its name.
    #[arg(long, default_value = "766", value_name = "NAME")]
    decision: String,
    /// Of one procedure alone.
    #[arg(long, value_name = "CODE")]
    procedure: Option<String>,
    /// The night from whose tables it is counted, for as long as they are kept; the last one if left out.
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<AsOf>,
    /// In which language.
    #[arg(long, value_enum, default_value_t)]
    language: SheetLanguage,
    /// How to print it; json holds both languages.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SheetLanguage {
    /// Vietnamese.
    #[default]
    Vi,
    /// English.
    En,
}

pub(super) async fn quality(root: PathBuf, agency: &str, state: PathBuf, asked: Asked) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let language = match asked.language {
        SheetLanguage::Vi => Language::Vi,
        SheetLanguage::En => Language::En,
    };
    let asked_for = run::Asked {
        decision: asked.decision,
        unit: asked.unit,
        procedure: asked.procedure,
        period: asked.period,
        night: asked.as_of,
    };
    let sheet = run::quality(&world, &checked, &asked_for).await.map_err(one)?;
    // Exact figures are not shown before it is noted who sees them.
    run::note_look(&world, &checked, &sheet, &account()).map_err(one)?;
    match asked.format {
        ReportFormat::Text => print(&sheet.text(language)),
        ReportFormat::Json => print(&json(&sheet)),
    }?;
    Ok(Ended::Done)
}
