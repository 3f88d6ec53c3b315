//! In whatever order rows come, the same rows land as the same bytes: whether they
//! are encoded as they come, or sorted in runs, or the one after the other.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use chudong::landing::{self, Landed, Store};
use chudong::pipeline::{SourceKind, SourceTable, Type};

use super::landing::{column, night, source, table};

/// So many that several row groups are full: a row holds 3 KB, and a row group 10 MB.
const ROWS: i64 = 4_000;

struct Row {
    id: i64,
    text: String,
}

/// A row with a text that is a function of its number.
fn row(id: i64) -> Row {
    let word = (id.unsigned_abs() + 1).wrapping_mul(6_364_136_223_846_793_005);
    let note = format!("{word:016x}").repeat(187);
    Row { id, text: format!("{id},{},{note}\n", id % 7) }
}

fn rows() -> Vec<Row> {
    (0..ROWS).map(row).collect()
}

fn notes(key: &[&str]) -> SourceTable {
    let columns = vec![column("id", Type::Int), column("fee", Type::Int), column("note", Type::Text)];
    let mut notes = table("notes.csv", columns);
    notes.key = key.iter().map(|name| (*name).to_owned()).collect();
    notes
}

fn land(rows: &[Row], table: SourceTable) -> Landed {
    land_within(rows, table, landing::MEMORY_BYTES)
}

fn land_within(rows: &[Row], table: SourceTable, memory_bytes: usize) -> Landed {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "id,fee,note\n".to_owned();
    rows.iter().for_each(|row| text.push_str(&row.text));
    std::fs::write(folder.path().join("notes.csv"), text).unwrap();
    let kind = SourceKind::Csv { path: folder.path().into(), delimiter: b',' };
    let source = source(kind, vec![table]);
    let mut pulled = landing::pull_within(&source, crate::root(), night(), &Store::Nowhere, memory_bytes).unwrap();
    assert!(pulled.failed.is_empty(), "{:?}", pulled.failed);
    pulled.tables.remove(0)
}

/// The name of the file, which is made of its bytes.
fn bytes(landed: &Landed) -> String {
    landed.stored.base[0].file_name().unwrap().to_string_lossy().into_owned()
}

fn set_aside(landed: &Landed) -> Vec<u64> {
    let path = &landed.generation.as_ref().unwrap().quarantine;
    let reasons = landing::read_generation(path).unwrap().to_batch().unwrap();
    let numbers = arrow::array::AsArray::as_primitive::<arrow::datatypes::UInt64Type>(reasons.column(0)).clone();
    numbers.values().to_vec()
}

#[test]
fn the_same_rows_are_the_same_bytes_in_whatever_order_they_come() {
    let in_order = land(&rows(), notes(&["id"]));
    assert_eq!(in_order.rows_landed, ROWS as u64);
    let ids = in_order.table().unwrap().ints("id").unwrap();
    assert!(ids.iter().flatten().copied().eq(0..ROWS));

    let mut mixed = rows();
    mixed.sort_by_key(|row| row.id * 7_919 % ROWS);
    assert_eq!(bytes(&land(&mixed, notes(&["id"]))), bytes(&in_order), "in no order");
    // What was encoded already is read back.
    let mut late = rows();
    let first = late.remove(17);
    late.push(first);
    assert_eq!(bytes(&land(&late, notes(&["id"]))), bytes(&in_order), "out of order at the end");
}

#[test]
fn rows_by_a_second_column_are_the_same_bytes_too() {
    let by_fee = land(&rows(), notes(&["fee", "id"]));
    let mut mixed = rows();
    mixed.sort_by_key(|row| row.id * 7_919 % ROWS);
    assert_eq!(bytes(&land(&mixed, notes(&["fee", "id"]))), bytes(&by_fee), "in no order");
    mixed.sort_by_key(|row| (row.id % 7, row.id));
    assert_eq!(bytes(&land(&mixed, notes(&["fee", "id"]))), bytes(&by_fee), "in order");
}

#[test]
fn a_key_that_comes_again_at_the_end_is_found_among_what_was_encoded() {
    let mut again = rows();
    again.push(row(11));
    let landed = land(&again, notes(&["id"]));
    assert_eq!(set_aside(&landed), vec![12, ROWS as u64 + 1]);
    let mut without = rows();
    without.remove(11);
    assert_eq!(bytes(&landed), bytes(&land(&without, notes(&["id"]))));
}

#[test]
fn rows_set_aside_leave_the_others_in_order_and_are_known_by_their_numbers() {
    let mut faulty = rows();
    for at in [3_usize, 4, 3_998] {
        faulty[at].text = format!("{at},no number,\n");
    }
    faulty[40].text = ",1,\n".to_owned();
    let landed = land(&faulty, notes(&["id"]));
    assert_eq!(set_aside(&landed), vec![4, 5, 41, 3_999]);
    let without: Vec<Row> = rows().into_iter().filter(|row| ![3, 4, 40, 3_998].contains(&row.id)).collect();
    let bytes_without = bytes(&land(&without, notes(&["id"])));
    assert_eq!(bytes(&landed), bytes_without);

    // A key of a row that was set aside comes again, with no fault; and one of a row that was encoded long ago.
    faulty.push(row(4));
    faulty.push(row(60));
    let landed = land(&faulty, notes(&["id"]));
    assert_eq!(set_aside(&landed), vec![4, 5, 5, 41, 61, 3_999, ROWS as u64 + 1, ROWS as u64 + 2]);
    let without: Vec<Row> = without.into_iter().filter(|row| row.id != 60).collect();
    assert_eq!(bytes(&landed), bytes(&land(&without, notes(&["id"]))));
}

#[test]
fn keys_that_begin_alike_are_the_same_bytes_too() {
    // The leading bytes divide none of them, and together they are too many for one bucket.
    const ALIKE: i64 = 9_500;
    let notes = || {
        let columns = vec![column("code", Type::Text), column("fee", Type::Int), column("note", Type::Text)];
        let mut notes = table("notes.csv", columns);
        notes.key = vec!["code".into()];
        notes
    };
    let land = |rows: &[Row]| {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "code,fee,note\n".to_owned();
        rows.iter().for_each(|row| text.push_str(&row.text));
        std::fs::write(folder.path().join("notes.csv"), text).unwrap();
        let kind = SourceKind::Csv { path: folder.path().into(), delimiter: b',' };
        let pulled = landing::pull(&source(kind, vec![notes()]), crate::root(), night(), &Store::Nowhere);
        pulled.unwrap().tables.remove(0)
    };
    let alike = |id: i64| {
        let Row { text, .. } = row(id);
        Row { id, text: format!("thu-tuc-hanh-chinh-{id:08}{}", &text[id.to_string().len()..]) }
    };
    let in_order: Vec<Row> = (0..ALIKE).map(alike).collect();
    let landed = land(&in_order);
    assert_eq!(landed.rows_landed, ALIKE as u64);
    let mut mixed = in_order;
    mixed.sort_by_key(|row| row.id * 7_919 % ALIKE);
    assert_eq!(bytes(&land(&mixed)), bytes(&landed));
}

#[test]
fn rows_that_do_not_fit_in_memory_are_spilled_and_land_as_the_same_bytes() {
    const MEMORY_BYTES: usize = 1 << 20;
    let mut mixed = rows();
    mixed.sort_by_key(|row| row.id * 7_919 % ROWS);
    mixed.push(row(11));
    let held = land(&mixed, notes(&["fee", "id"]));
    assert_eq!(held.spilled_bytes, 0);
    assert_eq!(held.rows_landed, ROWS as u64 - 1);
    let all_bytes: usize = mixed.iter().map(|row| row.text.len()).sum();
    for memory_bytes in [MEMORY_BYTES, 0] {
        let spilled = land_within(&mixed, notes(&["fee", "id"]), memory_bytes);
        let least = (all_bytes / 10 * 9 - memory_bytes) as u64;
        assert!(spilled.spilled_bytes > least, "{} of {least}", spilled.spilled_bytes);
        assert_eq!(bytes(&spilled), bytes(&held));
        assert_eq!(set_aside(&spilled), set_aside(&held));
        assert_eq!(spilled.rows_landed, held.rows_landed);
    }
}

#[test]
fn what_was_encoded_in_order_and_is_read_back_may_be_spilled_too() {
    // Those that are larger than a bucket may be are cut again, out of what was spilled.
    let mut late: Vec<Row> = (0..ROWS * 5 / 2).map(row).collect();
    let first = late.remove(17);
    late.push(first);
    let (held, spilled) = (land(&late, notes(&["id"])), land_within(&late, notes(&["id"]), 0));
    assert_eq!(held.spilled_bytes, 0);
    assert!(spilled.spilled_bytes > 0);
    assert_eq!(bytes(&spilled), bytes(&held));
}
