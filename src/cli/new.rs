//! The verb `new`: the files of a new obligation.

use std::path::Path;

use clap::{Subcommand, ValueEnum};

use super::{Ended, explained, print};
use crate::fault::Fault;
use crate::pipeline;
use crate::scaffold::{self, Wanted};

#[derive(Debug, Subcommand)]
pub(super) enum New {
    /// An obligation: its rule, select, messages and a first case. `chudong check` then says what is still missing.
    Item {
        /// Its name: lower-case letters, digits and _.
        name: String,
        /// Whose duty it is.
        #[arg(long, value_enum, default_value_t)]
        audience: Audience,
        /// The table of pipelines/standard-tables.toml that it reads; NAME_documents if left out.
        #[arg(long, value_name = "TABLE")]
        reads: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Audience {
    /// A person.
    #[default]
    Citizen,
    /// A household, by one of its persons.
    Household,
    /// A business.
    Business,
}

pub(super) fn make(root: &Path, what: New) -> Result<Ended, Vec<Fault>> {
    let New::Item { name, audience, reads } = what;
    let audience = match audience {
        Audience::Citizen => pipeline::Audience::Citizen,
        Audience::Household => pipeline::Audience::Household,
        Audience::Business => pipeline::Audience::Business,
    };
    let made = scaffold::item(root, &Wanted { name: name.clone(), audience, reads }).map_err(explained)?;
    let mut text: String = made.paths.iter().map(|path| format!("made {}\n", path.display())).collect();
    if let Some(table) = made.table {
        text.push_str(&format!(
            "\nIt reads a table that there is not yet. Describe it in pipelines/standard-tables.toml:\n\n{table}"
        ));
    }
    text.push_str(&format!("\n`chudong check` says what is still missing, `chudong test {name}` runs its cases.\n"));
    print(&text)?;
    Ok(Ended::Done)
}
