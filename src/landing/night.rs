//! A table as it was landed on an earlier night, for as long as that generation is kept.
//!
//! Nothing is pulled and nothing is changed. This module must not know why somebody looks back.

use std::path::Path;
use std::sync::Arc;

use super::land::schema;
use super::store::{kept, names};
use super::{Error, shown};
use crate::calendar::AsOf;
use crate::pipeline::{Source, SourceTable};
use crate::tables::{Stored, TableName};

/// The last generation of a table that was landed for a night, under `landing` (`var/landing`).
///
/// None when there is none: it was never landed, it was let go since, or the table has been declared otherwise since.
pub fn of_night(landing: &Path, source: &Source, table: &SourceTable, night: AsOf) -> Result<Option<Stored>, Error> {
    let folder = landing.join(TableName::new(&source.name, &table.name).to_string());
    let Some(name) = names(&folder)?.into_iter().rfind(|name| name.date == night.date()) else { return Ok(None) };
    let Some(kept) = kept(&folder, name).filter(|kept| kept.manifest.fits(&source.kind, table)) else {
        return Ok(None);
    };
    if let Some(why) = kept.is_spoiled(false) {
        let gone = std::io::Error::new(std::io::ErrorKind::InvalidData, why);
        return Err(Error::io(Path::new(&shown(&folder)), gone));
    }
    Ok(Some(kept.manifest.stored(&folder, Arc::clone(&schema(table, false)))))
}
