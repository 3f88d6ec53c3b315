//! Where the figures of a night come from: the queries on the way, and the generations that they read.

use super::Night;
use super::build::Built;
use crate::disclosure::{Hashed, Month, Provenance};
use crate::personal::{hex, sha256};
use crate::satisfaction::standard_table;
use crate::tables::TableName;

/// The version of what the figures mean: it changes with what a bin counts, or who is counted.
const DEFINITION_VERSION: &str = "2026-1";

impl Night<'_> {
    /// Where the records of a table come from tonight: every query on the way, and every generation that they read. Ratings
    /// are taken in month by month; named are those of `months`, of which the figures are.
    pub(super) fn provenance(&self, built: &Built, table: &TableName, months: &[Month]) -> Provenance {
        let mut names = vec![table.clone()];
        let mut queries = Vec::new();
        // The list grows while it is walked; a table is on it once.
        let mut place = 0;
        while let Some(model) = names.get(place).map(|name| self.checked.library.model(name)) {
            place += 1;
            let Some(model) = model else { continue };
            let sha256 = sha256(model.query.to_string().as_bytes());
            queries.push(Hashed { name: model.name.to_string(), sha256 });
            for read in &model.reads {
                if !names.contains(read) {
                    names.push(read.clone());
                }
            }
        }
        let read = built.generations().filter(|(name, _)| names.contains(name));
        let hashed = |(name, digest): (&TableName, &[u8])| {
            let keyed = self.key.digest("provenance", &[name.to_string().as_bytes(), digest]);
            Hashed { name: name.to_string(), sha256: hex(&keyed) }
        };
        let mut inputs: Vec<Hashed> = read.map(hashed).collect();
        if names.contains(&standard_table()) {
            let months: Vec<String> = months.iter().map(Month::to_string).collect();
            let is_meant =
                |part: &str| months.iter().any(|month| part.split([' ', '/', '.']).any(|word| word == month));
            inputs.extend(built.rated.iter().filter(|(part, _)| is_meant(part)).map(|(part, digest)| {
                let keyed = self.key.digest("provenance", &[part.as_bytes(), digest.as_bytes()]);
                Hashed { name: format!("{} {part}", standard_table()), sha256: hex(&keyed) }
            }));
        }
        inputs.sort();
        queries.sort();
        Provenance { definition: format!("chudong.{table}"), inputs, queries, version: DEFINITION_VERSION.into() }
    }
}
