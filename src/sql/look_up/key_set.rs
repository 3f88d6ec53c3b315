//! Which keys are asked for: a set of hashes, made while the rows that ask go by.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use futures::StreamExt;
use tokio::sync::watch;

/// The same on both sides of the join.
const HASHED_BY: RandomState = RandomState::with_seed(0x6368_7564_6f6e_6700);

/// The hash of each value; equal values have equal ones. Of a null it may be any.
pub(super) fn hash(keys: &ArrayRef, hashes: &mut Vec<u64>) -> Result<()> {
    hashes.resize(keys.len(), 0);
    create_hashes([keys], &HASHED_BY, hashes)?;
    Ok(())
}

/// A set of hashes. Most of those that are not in it are told by one bit of a few hundred kilobytes, which stay near
/// the processor; the others are looked up.
#[derive(Debug)]
pub(super) struct KeySet {
    bits: Vec<u64>,
    bits_shift: u32,
    /// Hashes at the place that their lowest bits say, or at the next free one; none is nought. A power of two, at
    /// least half of it free.
    slots: Vec<u64>,
    _held: Option<MemoryReservation>,
}

/// So many bits for each key: about one stranger in eight is looked up in vain.
const BITS_PER_KEY: usize = 8;

impl KeySet {
    fn new(hashes: &[u64], held: Option<MemoryReservation>) -> Self {
        let bits = (hashes.len().max(8) * BITS_PER_KEY).next_power_of_two();
        let slots = (hashes.len().max(8) * 2).next_power_of_two();
        let (bits_shift, words) = (u64::BITS - bits.trailing_zeros(), bits / 64 + 1);
        let mut set = KeySet { bits: vec![0; words], bits_shift, slots: vec![0; slots], _held: held };
        hashes.iter().for_each(|hash| set.insert((*hash).max(1)));
        set
    }

    /// The memory of a set of so many keys.
    fn bytes(keys: usize) -> usize {
        (keys.max(8) * 2).next_power_of_two() * 8 + (keys.max(8) * BITS_PER_KEY).next_power_of_two() / 8
    }

    fn insert(&mut self, hash: u64) {
        let bit = hash.wrapping_shr(self.bits_shift);
        if let Some(word) = self.bits.get_mut((bit / 64) as usize) {
            *word |= 1 << (bit % 64);
        }
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(place) {
            if *slot == 0 || *slot == hash {
                *slot = hash;
                return;
            }
            place = (place + 1) & mask;
        }
    }

    /// The places of the hashes whose keys are asked for, rising.
    pub(super) fn places(&self, hashes: &[u64], found: &mut Vec<usize>) {
        found.clear();
        for (place, hash) in hashes.iter().enumerate() {
            let bit = hash.wrapping_shr(self.bits_shift);
            if self.bits.get((bit / 64) as usize).is_some_and(|word| word.wrapping_shr(bit as u32) & 1 == 1) {
                found.push(place);
            }
        }
        found.retain(|place| hashes.get(*place).is_some_and(|hash| self.is_listed((*hash).max(1))));
    }

    fn is_listed(&self, hash: u64) -> bool {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        while let Some(slot) = self.slots.get(place) {
            if *slot == hash {
                return true;
            }
            if *slot == 0 {
                return false;
            }
            place = (place + 1) & mask;
        }
        false
    }
}

/// What is asked for, once it is known.
#[derive(Debug)]
pub(super) struct Asked(watch::Sender<Option<Answer>>);

/// The keys; none where there was no memory for them, and every row may be asked for.
pub(super) type Answer = Option<Arc<KeySet>>;

impl Default for Asked {
    fn default() -> Self {
        Asked(watch::Sender::new(None))
    }
}

impl Asked {
    /// Waits until all keys have gone by.
    pub(super) async fn known(&self) -> Result<Answer> {
        let mut heard = self.0.subscribe();
        let known = heard.wait_for(Option::is_some).await;
        let known = known.map_err(|_| exec_datafusion_err!("the side of a look-up that asks has ended early"))?;
        Ok(known.clone().flatten())
    }
}

/// Passes rows on, and lists their keys.
#[derive(Debug)]
pub(super) struct ListKeys {
    input: Arc<dyn ExecutionPlan>,
    key: usize,
    asked: Arc<Asked>,
    properties: Arc<PlanProperties>,
}

impl ListKeys {
    /// Lists the keys of this column.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, key: usize, asked: Arc<Asked>) -> Self {
        let properties = super::properties(input.schema(), 1);
        ListKeys { input, key, asked, properties }
    }
}

impl DisplayAs for ListKeys {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListKeys: column={}", self.key)
    }
}

impl ExecutionPlan for ListKeys {
    fn name(&self) -> &str {
        "ListKeys"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = inputs.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(ListKeys::new(input, self.key, Arc::clone(&self.asked))))
    }

    fn execute(&self, part: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = MemoryConsumer::new("keys of a look-up").register(context.memory_pool());
        let input = self.input.execute(part, context)?;
        let (key, asked) = (self.key, Arc::clone(&self.asked));
        let listed =
            futures::stream::unfold((input, Vec::new(), Some(held)), move |(mut input, mut listed, mut held)| {
                let asked = Arc::clone(&asked);
                async move {
                    let Some(batch) = input.next().await else {
                        let has_room =
                            held.as_mut().is_some_and(|held| held.try_grow(KeySet::bytes(listed.len())).is_ok());
                        let keys = has_room.then(|| Arc::new(KeySet::new(&listed, held.take())));
                        asked.0.send_replace(Some(keys));
                        return None;
                    };
                    let batch = batch.and_then(|batch| {
                        let mut hashes = Vec::new();
                        hash(batch.column(key), &mut hashes)?;
                        listed.append(&mut hashes);
                        Ok(batch)
                    });
                    Some((batch, (input, listed, held)))
                }
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), listed)))
    }
}
