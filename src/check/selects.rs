//! What the select of an obligation must say beside its columns: the dates between which it is asked, and its grain.
//!
//! It must not know what an obligation is about.

use std::collections::BTreeSet;

use crate::fault::{Fault, Place};
use crate::pipeline::reader::Faults;
use crate::sql::{Library, Model};

/// The words between which a select is asked for what is due.
const WINDOW: [&str; 2] = ["$since", "$until"];

/// Says which selects of obligations do not ask between the dates of the night.
pub(super) fn check(library: &Library, faults: &Faults) {
    for model in library.folder("obligations") {
        // The parsed select: what stands in a comment does not count.
        let text = model.query.to_string();
        let lacks: Vec<&str> = WINDOW.into_iter().filter(|word| !text.contains(word)).collect();
        if lacks.is_empty() {
            continue;
        }
        let what = format!("the select does not use {}, and so gives what is due on any day", lacks.join(" and "));
        let next = "end it with where due_on between $since and $until";
        faults.push(Fault::new("sql.no-window", Place::file(&model.path), what, next));
    }
}

/// Says which words of a model's grain are no columns of it.
pub(super) fn grain(model: &Model, columns: &BTreeSet<String>, faults: &Faults) {
    for word in model.head.words("grain") {
        if !columns.contains(word) {
            let what = format!("the grain names {word}, which is no column of the select");
            let next = "name in the head the columns that tell one row from another";
            faults.push(Fault::new("sql.grain", Place::file(&model.path), what, next));
        }
    }
}
