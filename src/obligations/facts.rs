//! The facts of an obligation, held small: a night has a million of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Fact;

/// Facts by name. Names are those of columns, so obligations of a table share their texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts(Box<[(Arc<str>, Fact)]>);

impl Facts {
    /// The fact of this name.
    pub fn get(&self, name: &str) -> Option<&Fact> {
        self.0.iter().find(|(known, _)| known.as_ref() == name).map(|(_, fact)| fact)
    }

    /// Facts by name, in order, for a letter.
    pub fn by_name(&self) -> BTreeMap<String, Fact> {
        self.0.iter().map(|(name, fact)| (name.as_ref().to_owned(), fact.clone())).collect()
    }
}

impl FromIterator<(Arc<str>, Fact)> for Facts {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Fact)>>(facts: I) -> Self {
        Facts(facts.into_iter().collect())
    }
}
