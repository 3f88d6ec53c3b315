//! Arguments that are columns or single values, for functions that must not care which.
//!
//! A null gives a null. A single value is looked at once and not once a row; what a null row
//! holds beside its null is never computed with, so that it can raise no error.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::ColumnarValue;

/// Applies a function of one value.
pub fn map_one<A, O>(values: &[ColumnarValue], apply: impl Fn(A::Native) -> Result<O::Native>) -> Result<ColumnarValue>
where
    A: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let [value] = values else { return exec_err!("a function of one value was given {}", values.len()) };
    match one::<A>(value)? {
        One::Column(column) => Ok(ColumnarValue::Array(Arc::new(column.try_unary::<_, O, _>(apply)?))),
        One::Value(value) => scalar::<O>(value.map(apply).transpose()?),
    }
}

/// Applies a function of two values.
pub fn map_two<A, B, O>(
    values: &[ColumnarValue],
    apply: impl Fn(A::Native, B::Native) -> Result<O::Native>,
) -> Result<ColumnarValue>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let [first, second, ..] = values else { return exec_err!("a function of two values was given {}", values.len()) };
    let column: PrimitiveArray<O> = match (one::<A>(first)?, one::<B>(second)?) {
        (One::Value(a), One::Value(b)) => {
            return scalar::<O>(a.zip(b).map(|(a, b)| apply(a, b)).transpose()?);
        }
        (One::Column(a), One::Value(Some(b))) => a.try_unary::<_, O, _>(|a| apply(a, b))?,
        (One::Value(Some(a)), One::Column(b)) => b.try_unary::<_, O, _>(|b| apply(a, b))?,
        (One::Column(a), One::Value(None)) => PrimitiveArray::new_null(a.len()),
        (One::Value(None), One::Column(b)) => PrimitiveArray::new_null(b.len()),
        (One::Column(a), One::Column(b)) => pairs(&a, &b, apply)?,
    };
    Ok(ColumnarValue::Array(Arc::new(column)))
}

fn pairs<A, B, O>(
    a: &PrimitiveArray<A>,
    b: &PrimitiveArray<B>,
    apply: impl Fn(A::Native, B::Native) -> Result<O::Native>,
) -> Result<PrimitiveArray<O>>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let rows = a.values().iter().zip(b.values().iter());
    let values: Vec<O::Native> = match &nulls {
        None => rows.map(|(a, b)| apply(*a, *b)).collect::<Result<_>>()?,
        Some(nulls) => rows
            .zip(nulls.iter())
            .map(|((a, b), is_there)| if is_there { apply(*a, *b) } else { Ok(O::Native::default()) })
            .collect::<Result<_>>()?,
    };
    Ok(PrimitiveArray::try_new(values.into(), nulls)?)
}

/// An argument: a column, or a single value that may be null.
pub enum One<T: ArrowPrimitiveType> {
    /// A column.
    Column(PrimitiveArray<T>),
    /// One value for every row.
    Value(Option<T::Native>),
}

/// An argument as numbers of a type.
pub fn one<T: ArrowPrimitiveType>(value: &ColumnarValue) -> Result<One<T>> {
    match value {
        ColumnarValue::Array(array) => Ok(One::Column(numbers(array)?)),
        ColumnarValue::Scalar(value) => {
            let single: PrimitiveArray<T> = numbers(&value.to_array()?)?;
            Ok(One::Value(single.iter().next().flatten()))
        }
    }
}

fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<PrimitiveArray<T>> {
    match array.as_primitive_opt::<T>() {
        Some(numbers) => Ok(numbers.clone()),
        None => Ok(cast(array, &T::DATA_TYPE)?.as_primitive::<T>().clone()),
    }
}

fn scalar<O: ArrowPrimitiveType>(value: Option<O::Native>) -> Result<ColumnarValue> {
    Ok(ColumnarValue::Scalar(ScalarValue::new_primitive::<O>(value, &O::DATA_TYPE)?))
}
