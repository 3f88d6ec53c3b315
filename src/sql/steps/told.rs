//! The text in which a query says how a value came about. No select can name the function that writes it.
//!
//! A node is `{"of":…,"value":…,"parts":[…]}`: what the value is of, the value as text or null, and
//! the nodes that it was computed from. `of` is a word and what it names:
//!
//! | `of` | the value |
//! |---|---|
//! | `column staging.people.birth_date` | stands in a table |
//! | `law law_versions.passport_term.value` | stands in the law; parts: `column` nodes of its key and its version |
//! | `chosen` | the first part, a `law` node, of the row that the other parts chose |
//! | `call add_months` | of a function; parts: its arguments, in order |
//! | `choice 2/3 a > b` | one of several written in the select: the second of three, on this condition; parts: what decided |
//! | `branch 3/3 else` | of the first part, one of several: the last, as no condition held; parts after it: what decided |
//! | `named ends.expires_on` | of its part, under the name that the select has for it |
//! | `another staging.people.birth_date` | stands in a table, in another row than the obligation's |
//! | `given` | written in the select, or a date of the night |
//! | `latest`, `earliest` | of the first part: the greatest or the least of several rows |
//! | `untold sum` | of something that is not followed further |

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

/// The node of a value.
pub(super) fn node(of: &str, value: Expr, parts: Vec<Expr>) -> Expr {
    let mut args = vec![lit(of), value];
    args.extend(parts);
    ScalarUDF::new_from_impl(Told { signature: Signature::variadic_any(Volatility::Immutable) }).call(args)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Told {
    signature: Signature,
}

impl ScalarUDFImpl for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut columns =
            args.args.iter().map(|arg| text(arg, args.number_rows)).collect::<Result<Vec<_>>>()?.into_iter();
        let (Some(of), Some(value)) = (columns.next(), columns.next()) else {
            return exec_err!("told: nothing to tell");
        };
        let parts: Vec<Texts> = columns.collect();
        let mut told = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let mut text = String::from("{\"of\":");
            quote(&mut text, of.at(row));
            text.push_str(",\"value\":");
            quote(&mut text, value.at(row));
            text.push_str(",\"parts\":[");
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                // A row that an outer join did not find has no node.
                text.push_str(part.at(row).unwrap_or("null"));
            }
            text.push_str("]}");
            told.push(text);
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(told))))
    }
}

/// An argument as text: a column, or one value for every row.
enum Texts {
    Column(StringArray),
    One(Option<String>),
}

impl Texts {
    fn at(&self, row: usize) -> Option<&str> {
        match self {
            Texts::Column(texts) => (row < texts.len() && texts.is_valid(row)).then(|| texts.value(row)),
            Texts::One(text) => text.as_deref(),
        }
    }
}

fn text(arg: &ColumnarValue, rows: usize) -> Result<Texts> {
    let texts =
        |array: &ArrayRef| -> Result<StringArray> { Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()) };
    match arg {
        ColumnarValue::Array(array) if array.len() == rows => Ok(Texts::Column(texts(array)?)),
        ColumnarValue::Array(_) => exec_err!("told: its columns differ in length"),
        ColumnarValue::Scalar(value) => {
            let one = texts(&value.to_array()?)?;
            Ok(Texts::One(one.iter().next().flatten().map(str::to_owned)))
        }
    }
}

/// A text of JSON, or null.
fn quote(to: &mut String, text: Option<&str>) {
    let Some(text) = text else { return to.push_str("null") };
    to.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => to.extend(['\\', c]),
            c if u32::from(c) < 0x20 => drop(write!(to, "\\u{:04x}", u32::from(c))),
            c => to.push(c),
        }
    }
    to.push('"');
}
