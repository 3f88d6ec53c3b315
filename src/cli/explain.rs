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
    #[arg(required_unless_present = "message")]
    key: Option<String>,
    /// Open what was stored with a message, in the language of its person: its key, or the beginning.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["key", "as_of", "language", "format"])]
    message: Option<String>,
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
    if let Some(message) = asked.message {
        let stored = run::stored(&World::new(root, state), &message).map_err(one)?;
        print(stored.reveal())?;
        return Ok(Ended::Done);
    }
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let key = asked.key.unwrap_or_default();
    let explanation = run::explain(&world, &checked, &key, asked.as_of).await.map_err(one)?;
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
