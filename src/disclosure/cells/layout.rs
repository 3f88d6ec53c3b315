//! Which cells a table shows.

use std::collections::BTreeMap;

use super::{Error, MAX_CELLS, Tree};

/// Which codes of a dimension a table shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// All of them, groups and the total with them.
    Every,
    /// These.
    Only(Vec<String>),
}

/// A table: its name, and the dimensions that it shows. The others stand at their total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The table's name.
    pub table: String,
    /// Dimensions by name.
    pub axes: BTreeMap<String, Axis>,
}

impl Layout {
    /// A table by these dimensions, with all their codes.
    pub fn by(table: &str, dimensions: &[&str]) -> Self {
        let axes = dimensions.iter().map(|name| ((*name).to_owned(), Axis::Every)).collect();
        Layout { table: table.into(), axes }
    }

    /// The same table, of these codes of one dimension only.
    #[must_use]
    pub fn only(mut self, dimension: &str, codes: &[&str]) -> Self {
        self.axes.insert(dimension.into(), Axis::Only(codes.iter().map(|code| (*code).to_owned()).collect()));
        self
    }

    /// For each dimension, the nodes that the table shows.
    pub(in super::super) fn nodes(&self, trees: &[Tree]) -> Result<Vec<Vec<u32>>, Error> {
        let known = |name: &&String| !trees.iter().any(|tree| tree.name() == name.as_str());
        if let Some(name) = self.axes.keys().find(known) {
            return Err(Error::UnknownDimension { table: self.table.clone(), dimension: name.clone() });
        }
        trees
            .iter()
            .map(|tree| match self.axes.get(tree.name()) {
                None => Ok(vec![0]),
                Some(Axis::Every) => Ok((0_u32..).take(tree.len()).collect()),
                Some(Axis::Only(codes)) => codes.iter().map(|code| tree.node(code)).collect(),
            })
            .collect()
    }

    /// The coordinates of all cells.
    pub(super) fn coordinates(&self, trees: &[Tree]) -> Result<Vec<Vec<u32>>, Error> {
        let nodes = self.nodes(trees)?;
        let size = nodes.iter().try_fold(1_usize, |size, nodes| size.checked_mul(nodes.len()));
        if size.is_none_or(|size| size > MAX_CELLS) {
            return Err(Error::TooManyCells { table: self.table.clone() });
        }
        let mut all = vec![Vec::with_capacity(trees.len())];
        for nodes in &nodes {
            let longer = |at: Vec<u32>| {
                nodes.iter().map(move |node| {
                    let mut at = at.clone();
                    at.push(*node);
                    at
                })
            };
            all = all.into_iter().flat_map(longer).collect();
        }
        Ok(all)
    }
}
