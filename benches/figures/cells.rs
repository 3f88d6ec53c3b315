//! What a contender has counted, read from the file that it wrote: so that all have counted the same.

use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Fallible;

const TEXTS: [&str; 2] = ["commune_code", "procedure_group"];
const COUNTS: [&str; 5] = ["dossiers", "on_time", "online", "rated", "satisfied"];

/// All cells of a file, whatever their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cells {
    rows: u64,
    /// Of each count.
    sums: [i64; COUNTS.len()],
    /// The hashes of all cells, added.
    mixed: u64,
}

impl Cells {
    /// Reads a file.
    pub fn read(path: &Path) -> Fallible<Self> {
        let mut cells = Cells::default();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
            cells.add(&batch?)?;
        }
        Ok(cells)
    }

    fn add(&mut self, batch: &RecordBatch) -> Fallible<()> {
        let column = |name: &str, kind: &DataType| -> Fallible<ArrayRef> {
            let column = batch.column_by_name(name).ok_or_else(|| format!("there is no {name}"))?;
            let column = cast(column, kind)?;
            if column.null_count() == 0 { Ok(column) } else { Err(format!("{name} is blank somewhere").into()) }
        };
        let [communes, groups] = TEXTS.map(|name| column(name, &DataType::Utf8));
        let (communes, groups, months) = (communes?, groups?, column("month", &DataType::Date32)?);
        let (communes, groups) = (communes.as_string::<i32>(), groups.as_string::<i32>());
        let counts = COUNTS.iter().map(|name| column(name, &DataType::Int64)).collect::<Fallible<Vec<_>>>()?;
        let counts: Vec<_> = counts.iter().map(|counts| counts.as_primitive::<Int64Type>().values()).collect();
        for (row, month) in months.as_primitive::<Date32Type>().values().iter().enumerate() {
            let mut hasher = DefaultHasher::new();
            (communes.value(row), groups.value(row), month).hash(&mut hasher);
            for (sum, counts) in self.sums.iter_mut().zip(&counts) {
                let count = counts.get(row).ok_or("a column is too short")?;
                *sum += count;
                count.hash(&mut hasher);
            }
            self.mixed = self.mixed.wrapping_add(hasher.finish());
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }
}

impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cells", self.rows)?;
        COUNTS.iter().zip(self.sums).try_for_each(|(name, sum)| write!(f, ", {sum} {name}"))?;
        write!(f, ", all together {:016x}", self.mixed)
    }
}
