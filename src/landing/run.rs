//! Runs: rows in order, in blocks that are kept in memory or spilled. This module
//! must not know how they were sorted.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::Error;
use super::spill::{Place, Spill};

/// Some hundred rows of a run, in order.
pub(super) struct Block {
    /// The first row's place in the order, as bytes.
    pub(super) first: Box<[u8]>,
    pub(super) rows: usize,
    pub(super) kept: Kept,
}

/// Where rows are.
pub(super) enum Kept {
    Memory(RecordBatch),
    Spilled(Place),
}

/// Rows in order.
pub(super) type Run = Vec<Block>;

/// The blocks of a run, read back. What stands one behind the other in the spill is read at once.
pub(super) fn read(blocks: &[Block], schema: &SchemaRef, spill: &Spill) -> Result<Vec<RecordBatch>, Error> {
    let mut batches = Vec::with_capacity(blocks.len());
    let follows = |a: &Block, b: &Block| match (&a.kept, &b.kept) {
        (Kept::Spilled(a), Kept::Spilled(b)) => a.is_before(b),
        _ => false,
    };
    for stretch in blocks.chunk_by(follows) {
        let mut places = Vec::with_capacity(stretch.len());
        for block in stretch {
            match &block.kept {
                Kept::Memory(rows) => batches.push(rows.clone()),
                Kept::Spilled(place) => places.push(*place),
            }
        }
        batches.extend(spill.read_batches(&places, schema)?);
    }
    Ok(batches)
}
