//! Everything that agencies share, read without any agency: the law, the standard tables, every item.

use std::path::Path;

use super::calendar::read_calendar;
use super::form::read_form;
use super::indices::read_indices;
use super::shared::{read_law, read_procedure_groups, read_standard_tables};
use super::{folders, is_word, read_item};
use crate::fault::{Fault, Place};
use crate::language::Text;
use crate::pipeline::attention::Attention;
use crate::pipeline::reader::Faults;
use crate::pipeline::{Agency, Channel, ChannelKind, Missed, Pipeline, Schedule, Unit};

/// The items that there are, whether an agency has switched them on or not, in alphabetical order.
pub fn items(root: &Path) -> Vec<String> {
    folders(&root.join("pipelines/items"))
}

/// The catalogue: the pipeline of nobody, who has switched on every item and reads no source.
///
/// It is what cases are run on and what `check` looks at, so that an item is proved before any agency uses it.
/// It sends nothing and publishes nothing, and so its agency and its channel are empty.
pub fn catalogue(root: &Path, faults: &Faults) -> Pipeline {
    let law = read_law(root, faults);
    let mut found = Vec::new();
    for name in items(root) {
        if !is_word(&name) {
            let next = "use lower-case letters, digits and _, beginning with a letter";
            let place = Place::file(Path::new("pipelines/items").join(&name));
            faults.push(Fault::new("pipeline.bad-name", place, "this cannot be the name of an item", next));
            continue;
        }
        found.extend(read_item(root, &name, &law, None, None, faults));
    }
    let standard_tables = read_standard_tables(root, faults);
    let with_form = found.iter().filter(|item| root.join("pipelines/items").join(&item.id).join("form.toml").exists());
    let dossiers = with_form.filter_map(|item| read_form(root, &item.id, &standard_tables, faults)).collect();
    let nothing = || Text { vi: String::new(), en: String::new() };
    Pipeline {
        id: String::new(),
        path: Path::new("pipelines/items").to_path_buf(),
        agency: Agency { name: nothing(), portal: String::new(), refuse: String::new(), contact: nothing() },
        schedule: Schedule { cron: String::new(), missed: Missed::None },
        items: found,
        channels: vec![Channel {
            name: String::new(),
            from: String::new(),
            from_name: nothing(),
            kind: ChannelKind::Folder,
            recheck_minutes: 0,
            pace: Default::default(),
        }],
        mail: Default::default(),
        attention: Attention::ANY_TIME,
        serve: None,
        retention: Default::default(),
        dossiers,
        dossiers_on_paper: false,
        unit: Unit { code: String::new(), name: nothing(), communes: Vec::new() },
        procedure_groups: read_procedure_groups(root, faults),
        sources: Vec::new(),
        standard_tables,
        law,
        indices: read_indices(root, faults),
        calendar: read_calendar(root, faults),
        privacy: None,
        exact: None,
        analysts: None,
        options: super::options::catalogue(root, faults),
        publication: Default::default(),
        push: None,
        submission: None,
    }
}
