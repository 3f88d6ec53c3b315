//! The verb `explain`: why an obligation is due on its day.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Ended, ReportFormat, json, one, print};
use crate::calendar::AsOf;
use crate::check;
use crate::language::Language;
use crate::run;
use crate::world::World;

/// What is explained.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The key of the obligation, or as much of its beginning as no other has.
    key: String,
    /// The night that decided it, for as long as what it landed is kept; the last one if left out.
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<AsOf>,
    /// In which language.
    #[arg(long, value_enum, default_value_t)]
    language: Languages,
    /// How to print it; json holds both languages, and the account of the query itself.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Languages {
    /// Vietnamese.
    Vi,
    /// English.
    En,
    /// Vietnamese, then English.
    #[default]
    Both,
}

pub(super) async fn explain(
    root: PathBuf,
    agency: &str,
    state: PathBuf,
    asked: Asked,
) -> Result<Ended, Vec<super::Fault>> {
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let explanation = run::explain(&world, &checked, &asked.key, asked.as_of).await.map_err(one)?;
    match asked.format {
        ReportFormat::Json => print(&json(&explanation.json())),
        ReportFormat::Text => {
            let languages: &[Language] = match asked.language {
                Languages::Vi => &[Language::Vi],
                Languages::En => &[Language::En],
                Languages::Both => &Language::ALL,
            };
            let texts: Vec<String> = languages.iter().map(|language| explanation.text(*language)).collect();
            print(&texts.join("\n"))
        }
    }?;
    Ok(Ended::Done)
}
