//! The verb `explain`: why an obligation is due on its day.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Ended, ReportFormat, json, one, print};
use crate::calendar::AsOf;
use crate::check;
use crate::fault::Place;
use crate::language::Language;
use crate::run::{self, Regenerated};
use crate::world::World;

/// What is explained.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The key of the obligation, or as much of its beginning as no other has.
    #[arg(required_unless_present_any = ["message", "options"])]
    key: Option<String>,
    /// Open what was stored with a message, in the language of its person: its key, or the beginning.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["key", "as_of", "language", "format"])]
    message: Option<String>,
    /// What was recommended about an obligation, made again from the ledger alone: its key, or the beginning.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["key", "message", "as_of"])]
    options: Option<String>,
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
    if let Some(key) = asked.options {
        let recommended = run::recommended(&World::new(root, state), &key).map_err(one)?;
        if recommended.is_empty() {
            let what = "nothing was recommended about an obligation whose key begins so";
            let next = "look for it with `chudong ledger list --kind options.recommended`";
            return Err(one(super::Fault::new("explain.no-options", Place::Thing("the key".into()), what, next)));
        }
        match asked.format {
            ReportFormat::Json => print(&json(&recommended.iter().map(told_json).collect::<Vec<Value>>())),
            ReportFormat::Text => print(&told_text(&recommended, asked.language)),
        }?;
        return Ok(Ended::Done);
    }
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let key = asked.key.unwrap_or_default();
    let explanation = run::explain(&world, &checked, &key, asked.as_of).await.map_err(one)?;
    // Of an obligation about which nobody was written to nothing is recommended.
    let recommended = run::recommended(&world, &key).map_err(one)?;
    match asked.format {
        ReportFormat::Json => {
            let mut explanation = explanation.json();
            if let Some(all) = explanation.as_object_mut().filter(|_| !recommended.is_empty()) {
                all.insert("recommendations".into(), recommended.iter().map(told_json).collect());
            }
            print(&json(&explanation))
        }
        ReportFormat::Text => {
            let texts: Vec<String> = asked.language.all().iter().map(|language| explanation.text(*language)).collect();
            print(&texts.join("\n"))?;
            match recommended.is_empty() {
                true => Ok(()),
                false => print(&told_text(&recommended, asked.language)),
            }
        }
    }?;
    Ok(Ended::Done)
}

impl Languages {
    fn all(self) -> &'static [Language] {
        match self {
            Languages::Vi => &[Language::Vi],
            Languages::En => &[Language::En],
            Languages::Both => &Language::ALL,
        }
    }
}

/// What was recommended, as a clerk reads it: the newest first.
fn told_text(recommended: &[Regenerated], languages: Languages) -> String {
    let mut lines = Vec::new();
    for one in recommended {
        let recommended = one.kept.recommended.as_deref().unwrap_or("no option");
        lines.push(format!("\n{} {}: {recommended} recommended", one.kept.night, one.kept.outcome));
        lines.push(format!("  sheet {}", one.sheet.digest()));
        lines.push(format!("  explanation {}", one.kept.explained));
        match &one.explained {
            None => lines.push("  what was weighed is no longer kept".into()),
            Some(explained) => {
                for language in languages.all() {
                    lines.extend(explained.get(*language).text().lines().map(|line| format!("  {line}")));
                }
            }
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn told_json(one: &Regenerated) -> Value {
    let text = |language| one.explained.as_ref().map(|explained| explained.get(language).text());
    json!({
        "obligation": one.kept.obligation, "night": one.kept.night.to_string(), "outcome": one.kept.outcome,
        "recommended": one.kept.recommended, "sheet": one.sheet, "explanation": one.kept.explained,
        "vi": text(Language::Vi), "en": text(Language::En),
    })
}
