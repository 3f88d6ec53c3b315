//! The files: obligations, and what the registers know of their people. All of it is made up.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use chudong::calendar::to_days;
use jiff::civil::{Date, date};
use parquet::arrow::ArrowWriter;

use super::Fallible;

/// The night.
pub const NIGHT: Date = date(2026, 11, 21);

const FAMILIES: [&str; 8] = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Vũ", "Đặng"];
const MIDDLES: [&str; 6] = ["Văn", "Thị", "Hữu", "Ngọc", "Minh", "Thanh"];
const GIVEN: [&str; 9] = ["An", "Bình", "Châu", "Dũng", "Hạnh", "Khánh", "Linh", "Phương", "Yến"];
const STREETS: [&str; 5] = ["Lê Lợi", "Trần Hưng Đạo", "Nguyễn Huệ", "Hai Bà Trưng", "Điện Biên Phủ"];
const COMMUNES: [&str; 4] = ["Phường Trung Tâm", "Phường Bến Gỗ", "Xã Long Sơn", "Xã Đảo Yến"];

/// The number of a person.
pub fn subject(number: u64) -> String {
    format!("0970{number:08}")
}

/// The number of a licence.
pub fn licence(number: u64) -> String {
    format!("{:012}", number * 3 + 1)
}

/// The day of issue, which is the period of the obligation.
pub fn period(number: u64) -> String {
    format!("2016-{:02}-{:02}", 1 + number % 12, 1 + number % 28)
}

/// The day of an obligation.
pub fn due_on(number: u64) -> i32 {
    to_days(NIGHT) + i32::try_from(number % 61).unwrap_or(0)
}

fn name(number: u64) -> String {
    let pick = |words: &[&'static str], by: u64| words.get((number / by) as usize % words.len()).copied().unwrap_or("");
    format!("{} {} {}", pick(&FAMILIES, 1), pick(&MIDDLES, 7), pick(&GIVEN, 5))
}

fn residence(number: u64) -> Option<String> {
    let pick = |words: &[&'static str], by: u64| words.get((number / by) as usize % words.len()).copied().unwrap_or("");
    let text = format!("Số {}, đường {}, {}, tỉnh An Bình", number % 300, pick(&STREETS, 1), pick(&COMMUNES, 3));
    (number % 10 != 4).then_some(text)
}

/// Makes the files, unless they are there.
pub fn make(data: &Path, people: u64) -> Fallible<()> {
    if data.join("licence_holders.parquet").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(data)?;
    let texts = |text: &dyn Fn(u64) -> String| in_order(people, false, &|number| Some(text(number)));
    let due = vec![
        ("subject_id", texts(&subject)),
        ("object_id", texts(&licence)),
        ("period", texts(&period)),
        ("due_on", Arc::new(Date32Array::from_iter_values((0..people).map(due_on))) as ArrayRef),
        ("fulfilled_on", Arc::new(Date32Array::new_null(people as usize)) as ArrayRef),
    ];
    write(&data.join("due.parquet"), due)?;
    // The registers have orders of their own.
    let mixed = |text: &dyn Fn(u64) -> Option<String>| in_order(people, true, text);
    let born = |shift: u64| {
        let day = move |number: u64| {
            let is_otherwise = shift > 0 && number.is_multiple_of(97);
            (number % 15_000) as i32 + i32::from(is_otherwise)
        };
        Arc::new(Date32Array::from_iter_values(numbers(people, true).map(day))) as ArrayRef
    };
    let confirmed = Date32Array::from_iter_values(numbers(people, true).map(|number| 17_000 + (number % 3_000) as i32));
    let people_known = vec![
        ("subject_id", mixed(&|number| Some(subject(number)))),
        ("full_name", mixed(&|number| Some(name(number)))),
        ("birth_date", born(0)),
    ];
    write(&data.join("people.parquet"), people_known)?;
    let residents = vec![
        ("subject_id", mixed(&|number| Some(subject(number)))),
        ("sex", mixed(&|number| Some(if number % 2 == 0 { "female" } else { "male" }.to_owned()))),
        ("residence", mixed(&residence)),
        ("residence_confirmed_on", Arc::new(confirmed) as ArrayRef),
    ];
    write(&data.join("residents.parquet"), residents)?;
    let issued = Date32Array::from_iter_values(numbers(people, true).map(|number| 16_800 + (number % 336) as i32));
    let licences = vec![
        ("licence_number", mixed(&|number| Some(licence(number)))),
        ("licence_class", mixed(&|number| Some(if number % 3 == 0 { "B" } else { "C1" }.to_owned()))),
        ("issued_on", Arc::new(issued) as ArrayRef),
    ];
    write(&data.join("driving_licences.parquet"), licences)?;
    let holders = vec![
        ("licence_number", mixed(&|number| Some(licence(number)))),
        ("full_name", mixed(&|number| Some(name(number + u64::from(number.is_multiple_of(31)))))),
        ("birth_date", born(1)),
    ];
    write(&data.join("licence_holders.parquet"), holders)
}

fn numbers(people: u64, is_mixed: bool) -> impl Iterator<Item = u64> {
    // 7 919 is a prime that divides no round number: every person is met once.
    (0..people).map(move |number| if is_mixed { number * 7_919 % people } else { number })
}

fn in_order(people: u64, is_mixed: bool, text: &dyn Fn(u64) -> Option<String>) -> ArrayRef {
    Arc::new(numbers(people, is_mixed).map(text).collect::<StringArray>())
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) -> Fallible<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}
