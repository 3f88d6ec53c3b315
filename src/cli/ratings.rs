//! The verb `ratings`: tokens with which people rate, and what they wrote.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Ended, one, print};
use crate::calendar::AsOf;
use crate::check;
use crate::fault::{Fault, Place};
use crate::run;
use crate::world::World;

#[derive(Debug, Subcommand)]
pub(super) enum RatingsVerb {
    /// Draw one token for each dossier that was finished in a month, and write who gets which into a file.
    ///
    /// The ledger keeps a keyed hash of each token with its cell, and no dossier. The file is the only link between a
    /// token and a dossier: only its owner may read it; hand it to whoever sends it, and remove it. A month has one
    /// batch: it is not drawn again.
    Issue {
        /// The month in which the dossiers were finished, for example: 2026-10
        #[arg(long, value_name = "MONTH")]
        month: String,
        /// The file to write; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// The night from whose tables it is drawn, for as long as they are kept; the last one if left out.
        #[arg(long, value_name = "YYYY-MM-DD")]
        as_of: Option<AsOf>,
    },
    /// Print what people wrote beside their ratings of a month, in no order: it says nothing of who or where.
    Texts {
        /// The month, for example: 2026-10
        #[arg(long, value_name = "MONTH")]
        month: String,
    },
}

pub(super) async fn ratings(
    root: PathBuf,
    agency: &str,
    state: PathBuf,
    verb: RatingsVerb,
) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    match verb {
        RatingsVerb::Issue { month, to, as_of } => {
            let mut file = new_file(&to).map_err(one)?;
            let issued = match run::issue_tokens(&world, &checked, &month, as_of).await {
                Ok(issued) => issued,
                Err(fault) => {
                    // Nothing was drawn, and the file is ours and empty.
                    drop(std::fs::remove_file(&to));
                    return Err(vec![fault]);
                }
            };
            let mut text = String::from("dossier_number,token\n");
            for one in &issued {
                text.push_str(&format!("{},{}\n", field(one.dossier.reveal()), one.token.reveal()));
            }
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(|error| vec![unwritten(&to, &error)])?;
            print(&format!("{} tokens of {month}; remove {} when they are handed out", issued.len(), to.display()))?;
        }
        RatingsVerb::Texts { month } => {
            for text in run::rating_texts(&world, &checked, &month).map_err(one)? {
                print(&format!("{}\n", text.reveal().replace(['\n', '\r'], " ")))?;
            }
        }
    }
    Ok(Ended::Done)
}

/// A file that is made here, so that no link of somebody else's is followed; only its owner reads it.
fn new_file(path: &Path) -> Result<std::fs::File, Fault> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Fault {
    let what = format!("the tokens cannot be written: {error}");
    Fault::new("ratings.file", Place::file(path), what, "name a file that is not there yet, in a folder of yours")
}

/// A field of CSV.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
