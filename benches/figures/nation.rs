//! A nation and a province as pipelines, and their month as tables.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use chudong::calendar::AsOf;
use chudong::disclosure::{Month, Request};
use chudong::language::Text;
use chudong::personal::PseudonymKey;
use chudong::pipeline::reader::Faults;
use chudong::pipeline::{self, Pipeline, PrivacyPolicy};
use chudong::sql::Engine;
use chudong::tables::{Stored, Table, TableName};

use super::Fallible;

/// The sample agency and its policy, with so many communes and 300 procedure groups, which are those of the data.
pub fn pipeline(communes: usize) -> Fallible<Pipeline> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pipeline = pipeline::read(root, "an-binh", &Faults::default()).ok_or("the sample agency cannot be read")?;
    pipeline.unit.communes = (0..communes)
        .map(|at| {
            let name = Text::new(format!("Xã Thạnh Phước Đông {at}"), format!("Thanh Phuoc Dong commune {at}"));
            pipeline::Commune { code: format!("{:05}", 60_001 + at), name }
        })
        .collect();
    let group = pipeline.procedure_groups.first().ok_or("the sample agency has no procedure group")?.clone();
    pipeline.procedure_groups = (0..300)
        .map(|at| {
            let name = Text::new(format!("Nhóm thủ tục số {at}"), format!("Procedure group number {at}"));
            pipeline::ProcedureGroup { id: format!("group_{at:03}"), name, ..group.clone() }
        })
        .collect();
    Ok(pipeline)
}

/// Its policy for figures.
pub fn policy(pipeline: &Pipeline) -> Fallible<&PrivacyPolicy> {
    Ok(pipeline.privacy.as_ref().ok_or("the sample agency has no policy for figures")?)
}

/// The records of a month, by the selects of a night over staged files.
pub async fn records(folder: &Path) -> Fallible<(Table, Table)> {
    let calendar = pipeline::calendar::LegalCalendar::default();
    let engine = Engine::with_calendar(calendar.known_on(AsOf::today().date()))?;
    let tables: [(&str, &str, Columns<'_>); 3] = [
        (
            "staging",
            "dossiers",
            &[
                ("dossier_id", DataType::Utf8),
                ("subject_id", DataType::Utf8),
                ("commune_code", DataType::Utf8),
                ("procedure_code", DataType::Utf8),
                ("status", DataType::Int64),
                ("due_on", DataType::Date32),
                ("finished_on", DataType::Date32),
                ("channel", DataType::Int64),
            ],
        ),
        ("codes", "procedures", &[("procedure_code", DataType::Utf8), ("procedure_group", DataType::Utf8)]),
        (
            "staging",
            "ratings",
            &[
                ("month", DataType::Utf8),
                ("commune_code", DataType::Utf8),
                ("procedure_group", DataType::Utf8),
                ("level", DataType::Int64),
                ("ratings", DataType::Int64),
                ("question", DataType::Utf8),
                ("scale", DataType::Int64),
                ("is_counted", DataType::Boolean),
            ],
        ),
    ];
    for (schema, name, columns) in tables {
        engine.register_stored(
            &TableName::new(schema, name),
            &stored(&folder.join(format!("{name}.parquet")), columns),
        )?;
    }
    // Nobody asked for a supplement and no progress is known, as where an agency fills neither table.
    let none = |kinds: &[(&str, DataType)]| {
        let fields: Vec<Field> = kinds.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        Table::from_batch(RecordBatch::new_empty(Arc::new(Schema::new(fields))))
    };
    let (text, day) = (DataType::Utf8, DataType::Date32);
    let steps = none(&[("dossier_id", text.clone()), ("status", DataType::Int64), ("happened_on", day.clone())]);
    engine.register(&TableName::new("staging", "dossier_steps"), &steps)?;
    let supplements = none(&[("dossier_id", text), ("requested_on", day.clone()), ("completed_on", day)]);
    engine.register(&TableName::new("staging", "dossier_supplements"), &supplements)?;
    let dossiers = engine.query(include_str!("../../sql/quality/dossiers.sql"), None).await?;
    let ratings = engine.query(include_str!("../../sql/satisfaction/ratings.sql"), None).await?;
    Ok((ratings, dossiers))
}

/// Columns by name and type.
type Columns<'a> = &'a [(&'a str, DataType)];

/// A Parquet file with these columns as a table.
pub fn stored(path: &Path, columns: Columns<'_>) -> Stored {
    let fields: Vec<Field> =
        columns.iter().map(|(column, kind)| Field::new(*column, kind.clone(), *column != "dossier_id")).collect();
    Stored {
        schema: Arc::new(Schema::new(fields)),
        base: vec![path.to_owned()],
        changes: None,
        key: vec!["dossier_id".into()],
        sorted_by: Vec::new(),
        condition: None,
    }
}

/// The month of the data, asked for.
pub fn request(pipeline: &Pipeline, (ratings, dossiers): &(Table, Table)) -> Fallible<Request> {
    let month: Month = "2026-10".parse()?;
    let key = PseudonymKey::new([7; 32]);
    let policy = policy(pipeline)?;
    Ok(Request::new(month, policy, &pipeline.unit, &pipeline.procedure_groups, ratings, dossiers, &key)?)
}
