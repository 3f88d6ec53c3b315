//! `ck_count(record_key)`: how many records there are, changed by noise that depends on exactly which they are.
//!
//! It adds up the record keys modulo 2³² beside counting, and hands both to the noise that it was given. Only an
//! analyst's session knows it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt32Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

/// From a count and its cell key to what an analyst may see; nothing for a count that is too small.
pub type Noise = Arc<dyn Fn(u64, u32) -> Option<u64> + Send + Sync>;

/// The function's name.
pub const NAME: &str = "ck_count";

/// The function, with its noise.
pub fn function(noise: Noise) -> AggregateUDF {
    let signature = Signature::exact(vec![DataType::UInt32], Volatility::Immutable);
    AggregateUDF::new_from_impl(CkCount { signature, noise: Shared(noise) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CkCount {
    signature: Signature,
    noise: Shared,
}

/// Noise is the same where it is the same object.
#[derive(Clone)]
struct Shared(Noise);

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NAME.hash(state);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noise")
    }
}

impl AggregateUDFImpl for CkCount {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        // Each record is counted once as it is: counting different keys would count two records of one key as one.
        if args.is_distinct {
            return exec_err!("ck_count: it does not count distinct keys");
        }
        Ok(Box::new(Sum { count: 0, cell_key: 0, noise: self.noise.clone() }))
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name: &str, kind| Arc::new(Field::new(format!("{NAME}[{name}]"), kind, false));
        Ok(vec![field("count", DataType::UInt64), field("cell_key", DataType::UInt32)])
    }
}

#[derive(Debug)]
struct Sum {
    count: u64,
    cell_key: u32,
    noise: Shared,
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(keys) = values.first().and_then(|keys| keys.as_primitive_opt::<UInt32Type>()) else {
            return exec_err!("ck_count: it takes record keys, whole numbers of 32 bits");
        };
        if keys.null_count() > 0 {
            return exec_err!("ck_count: a record has no key");
        }
        self.count += keys.len() as u64;
        self.cell_key = keys.values().iter().fold(self.cell_key, |sum, key| sum.wrapping_add(*key));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::UInt64((self.noise.0)(self.count, self.cell_key)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::UInt64(Some(self.count)), ScalarValue::UInt32(Some(self.cell_key))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [counts, keys] = states else { return exec_err!("ck_count: two states were expected") };
        let both = (counts.as_primitive_opt::<UInt64Type>(), keys.as_primitive_opt::<UInt32Type>());
        let (Some(counts), Some(keys)) = both else { return exec_err!("ck_count: its states have other types") };
        self.count += counts.values().iter().sum::<u64>();
        self.cell_key = keys.values().iter().fold(self.cell_key, |sum, key| sum.wrapping_add(*key));
        Ok(())
    }
}
