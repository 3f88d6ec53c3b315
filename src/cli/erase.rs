//! The verb `erase`: the person's number comes in by a way that nobody else sees.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::book::account;
use super::{Ended, complain, explained, one, print, read_pipeline};
use crate::fault::{Fault, Place};
use crate::personal::Personal;
use crate::pipeline::secret::SecretRef;
use crate::run;
use crate::world::World;

/// The longest number of a person, in bytes.
const BYTES_MAX: u64 = 256;

pub(super) fn erase(root: PathBuf, agency: &str, state: PathBuf, file: Option<&Path>) -> Result<Ended, Vec<Fault>> {
    let pipeline = read_pipeline(&root, agency)?;
    let subject = subject(file)?;
    let world = World::new(root, state);
    let erased = run::erase(&world, &pipeline, &subject, &account()).map_err(one)?;
    print(&said(&world, &erased))?;
    Ok(if erased.unsearched.is_empty() { Ended::Done } else { Ended::Held })
}

/// The number, from a file that only its owner may read, or from standard input.
pub(super) fn subject(file: Option<&Path>) -> Result<Personal<String>, Vec<Fault>> {
    let text = match file {
        Some(path) => {
            let secret = SecretRef::File(path.to_path_buf()).resolve().map_err(explained)?;
            Zeroizing::new(secret.reveal().to_owned())
        }
        None => {
            if std::io::stdin().is_terminal() {
                complain("The person's number, then Enter:\n");
            }
            read_line()?
        }
    };
    // As it is landed: without blanks around it, and in NFC.
    let number: String = text.trim().nfc().collect();
    if number.is_empty() || number.chars().any(char::is_control) || number.len() as u64 > BYTES_MAX {
        return Err(refused("it is empty, longer than 256 bytes, or more than one line"));
    }
    Ok(Personal::new(number))
}

fn read_line() -> Result<Zeroizing<String>, Vec<Fault>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize * 2));
    // A person at a terminal ends with Enter; a pipe ends by itself, and one byte at a time is enough for a line.
    for byte in std::io::stdin().lock().bytes().take(BYTES_MAX as usize * 2) {
        match byte {
            Ok(b'\n') => break,
            Ok(byte) => bytes.push(byte),
            Err(error) => return Err(refused(&format!("standard input cannot be read: {error}"))),
        }
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(refused("it is not text in UTF-8")),
    }
}

fn refused(is: &str) -> Vec<Fault> {
    let next = "give the number as one line on standard input, or in a file of mode 0600 with --number-from";
    vec![Fault::new("cli.number", Place::Thing("the person's number".into()), is, next)]
}

fn said(world: &World, erased: &run::Erased) -> String {
    let mut text = match erased.tables.as_slice() {
        [] => format!("The person is in none of the {} tables that were searched.\n", erased.searched),
        _ => "Erased\n".to_owned(),
    };
    for table in &erased.tables {
        text.push_str(&format!("  {}: {} rows, in {} generations\n", table.table, table.rows, table.generations.len()));
    }
    if erased.explanations > 0 {
        text.push_str(&format!("  the ledger: {} explanations stored with messages\n", erased.explanations));
    }
    if erased.addresses > 0 {
        text.push_str(&format!("  the ledger: {} sealed addresses of messages\n", erased.addresses));
    }
    if erased.dossiers > 0 {
        text.push_str(&format!("  the ledger: {} prepared or confirmed dossiers\n", erased.dossiers));
    }
    if erased.dossiers_not_left > 0 {
        let count = erased.dossiers_not_left;
        text.push_str(&format!(
            "  {count} of these were confirmed and had not left: nobody hands them in now, and the duty stays\n"
        ));
    }
    for (list, rows) in &erased.lists {
        text.push_str(&format!("  {list}: {rows} rows for the owner of a register\n"));
    }
    if erased.recommendations > 0 {
        let count = erased.recommendations;
        text.push_str(&format!("  the ledger: what was weighed for {count} recommendations\n"));
    }
    text.push_str("\nWhat stays elsewhere, and why\n");
    if !erased.unsearched.is_empty() {
        for (table, why) in &erased.unsearched {
            text.push_str(&format!("  {table} was not searched: {why}\n"));
        }
    }
    text.push_str(
        "  the sources: the next night lands the person again unless the owner of the data erases there first\n",
    );
    text.push_str(&format!(
        "  {}: proof of {} messages and of this erasure, under a pseudonym; entries are never removed\n",
        world.state.join("ledger.sqlite").display(),
        erased.messages
    ));
    let outbox = world.outbox();
    if erased.messages > 0 && outbox.is_dir() {
        text.push_str(&format!(
            "  {}: letters as they were sent, one file each; they name the person\n",
            outbox.display()
        ));
    }
    text.push_str(
        "  lists for the owners of registers that were handed over, and dossiers that left or were printed\n",
    );
    text.push_str("  published figures: counts with noise, of which no person can be taken out\n");
    text.push_str("  backups of the state folder, and what a mail server keeps: not reached from here\n");
    text
}
