//! The verb `lineage`: which column reaches which.

use std::path::Path;

use super::{Ended, ReportFormat, json, print};
use crate::calendar;
use crate::check;
use crate::fault::{Fault, Place};
use crate::lineage::{self, Ending, Job, Told};
use crate::tables::TableName;

/// Prints the lineage of a model. What is wrong with the installation is said after it: a use that was not
/// granted is what somebody looks for here.
pub(super) async fn trace(root: &Path, agency: &str, model: &str, format: ReportFormat) -> Result<Ended, Vec<Fault>> {
    let (checked, faults) = check::read(root, agency).await;
    let Some(checked) = checked else { return Err(faults) };
    let found = checked.library.models.iter().find(|known| known.name.to_string() == model);
    let Some(name) = found.map(|found| &found.name).filter(|name| checked.graph.reach(name).is_some()) else {
        return Err(if faults.is_empty() { vec![unknown(&checked.library.models, model)] } else { faults });
    };
    match format {
        ReportFormat::Text => print(&lineage::text(&checked, name).unwrap_or_default()),
        ReportFormat::Json => {
            let told = Told { run: "", as_of: None, at: calendar::now(), ending: Ending::Design };
            print(&json(&lineage::event(&checked, Job::Reach(name), told)))
        }
    }?;
    if faults.is_empty() { Ok(Ended::Done) } else { Err(faults) }
}

fn unknown(models: &[crate::sql::Model], model: &str) -> Fault {
    let names: Vec<&TableName> = models.iter().map(|model| &model.name).collect();
    let list = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let place = Place::Thing("the table".into());
    Fault::new("lineage.no-table", place, format!("no file in sql/ makes {model}"), format!("name one of {list}"))
}
