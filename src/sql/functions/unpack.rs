//! Intervals as queries see them, out of the bytes that files have. No select can name it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::tables::intervals;

/// The column, unpacked.
pub fn unpacked(column: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::new_from_impl(Unpack { signature }).call(vec![column])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Unpack {
    signature: Signature,
}

impl ScalarUDFImpl for Unpack {
    fn name(&self) -> &'static str {
        "unpack_interval"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds.first().and_then(intervals::unpacked_kind) {
            Some(kind) => Ok(kind),
            None => exec_err!("unpack_interval: the column holds no packed intervals"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(ColumnarValue::Array(packed)) => Ok(ColumnarValue::Array(intervals::unpack(&packed)?)),
            Some(ColumnarValue::Scalar(packed)) => {
                let unpacked = intervals::unpack(&packed.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&unpacked, 0)?))
            }
            None => exec_err!("unpack_interval: no column was given"),
        }
    }
}
