//! A dimension as a tree of codes: the total, the groups, the leaves.

use std::collections::HashMap;

use super::Error;

/// A dimension: a total, and codes below it, each below another. The leaves are what records carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    name: String,
    nodes: Vec<Node>,
    places: HashMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    code: String,
    parent: Option<u32>,
    depth: u32,
    /// The places, among the leaves, of those below; a leaf's own place.
    leaves: Vec<u32>,
}

impl Tree {
    /// A dimension from the code of its total and its other codes, each with the code above it (`None`: the total).
    /// A code comes after the one above it.
    ///
    /// # Errors
    ///
    /// A code that comes twice, or before the one above it.
    pub fn new<'a>(
        name: &str,
        total: &str,
        codes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, Error> {
        let wrong = |code: &str, what: &'static str| Error::Tree { dimension: name.into(), code: code.into(), what };
        let mut nodes = vec![Node { code: total.into(), parent: None, depth: 0, leaves: Vec::new() }];
        let mut places: HashMap<String, u32> = HashMap::from([(total.to_owned(), 0)]);
        for (code, above) in codes {
            let above = above.unwrap_or(total);
            let parent = *places.get(above).ok_or_else(|| wrong(code, "comes before the code above it"))?;
            let depth = nodes.get(parent as usize).map_or(0, |node| node.depth) + 1;
            let place = u32::try_from(nodes.len()).map_err(|_| wrong(code, "is one too many"))?;
            if places.insert(code.to_owned(), place).is_some() {
                return Err(wrong(code, "comes twice"));
            }
            nodes.push(Node { code: code.into(), parent: Some(parent), depth, leaves: Vec::new() });
        }
        let mut tree = Tree { name: name.into(), nodes, places };
        tree.find_leaves();
        Ok(tree)
    }

    /// A dimension without groups: a total and its leaves.
    ///
    /// # Errors
    ///
    /// A code that comes twice.
    pub fn flat(name: &str, total: &str, codes: &[&str]) -> Result<Self, Error> {
        Tree::new(name, total, codes.iter().map(|code| (*code, None)))
    }

    /// The dimension's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The code of the total.
    pub fn total(&self) -> &str {
        self.code(0)
    }

    /// The place of a code; the total is at 0.
    pub fn node(&self, code: &str) -> Result<u32, Error> {
        let unknown = || Error::UnknownCode { dimension: self.name.clone(), code: code.into() };
        self.places.get(code).copied().ok_or_else(unknown)
    }

    /// How many codes there are, with the total.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: there is the total.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The codes that records carry, in the order of the tree.
    pub fn leaf_codes(&self) -> impl Iterator<Item = &str> {
        self.leaf_nodes().into_iter().map(|node| self.code(node))
    }

    /// The nodes that are leaves, in the order of their places among the leaves.
    pub(in super::super) fn leaf_nodes(&self) -> Vec<u32> {
        let mut has_children = vec![false; self.nodes.len()];
        for parent in self.nodes.iter().filter_map(|node| node.parent) {
            if let Some(has) = has_children.get_mut(parent as usize) {
                *has = true;
            }
        }
        has_children.iter().zip(0_u32..).filter(|(has, _)| !**has).map(|(_, node)| node).collect()
    }

    pub(super) fn code(&self, node: u32) -> &str {
        self.nodes.get(node as usize).map_or("", |node| &node.code)
    }

    pub(in super::super) fn parent(&self, node: u32) -> Option<u32> {
        self.nodes.get(node as usize)?.parent
    }

    pub(in super::super) fn depth(&self, node: u32) -> u32 {
        self.nodes.get(node as usize).map_or(0, |node| node.depth)
    }

    /// Whether one code is another or stands above it.
    pub(in super::super) fn is_over(&self, above: u32, node: u32) -> bool {
        let mut at = Some(node);
        while let Some(place) = at {
            if place == above {
                return true;
            }
            at = self.parent(place);
        }
        false
    }

    /// Codes right below one.
    pub(in super::super) fn children(&self, node: u32) -> impl Iterator<Item = u32> {
        self.nodes.iter().zip(0_u32..).filter(move |(child, _)| child.parent == Some(node)).map(|(_, place)| place)
    }

    /// The places of the leaves below a code.
    pub(in super::super) fn leaves(&self, node: u32) -> &[u32] {
        self.nodes.get(node as usize).map_or(&[], |node| &node.leaves)
    }

    /// The place of a leaf among the leaves.
    pub(super) fn leaf(&self, code: &str) -> Result<u32, Error> {
        let node = self.node(code)?;
        let what = "is no leaf, and records are counted at leaves";
        let wrong = || Error::Tree { dimension: self.name.clone(), code: code.into(), what };
        if self.children(node).next().is_some() {
            return Err(wrong());
        }
        self.leaves(node).first().copied().ok_or_else(wrong)
    }

    fn find_leaves(&mut self) {
        for (node, leaf) in self.leaf_nodes().into_iter().zip(0_u32..) {
            let mut at = Some(node);
            while let Some(node) = at.and_then(|at| self.nodes.get_mut(at as usize)) {
                node.leaves.push(leaf);
                at = node.parent;
            }
        }
    }
}

/// The places of codes, one for each dimension.
pub(super) fn place(trees: &[Tree], codes: &[String]) -> Result<Vec<u32>, Error> {
    if trees.len() != codes.len() {
        return Err(Error::Width { dimensions: trees.len(), codes: codes.len() });
    }
    trees.iter().zip(codes).map(|(tree, code)| tree.node(code)).collect()
}
