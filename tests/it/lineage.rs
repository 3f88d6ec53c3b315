//! Which column reaches which, who may use it for what, and how it is told.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod granted;
mod random;
mod selects;
mod told;

use chudong::sql::engine::Bound;
use chudong::sql::lineage::Flow;
use chudong::sql::{Engine, Lineage, Model, library};
use chudong::tables::TableName;

/// A model of this select.
fn model(select: &str) -> Model {
    let query = library::parse_select(select).unwrap_or_else(|(what, _)| panic!("{what}: {select}"));
    Model {
        name: TableName::new("quality", "probe"),
        path: "sql/quality/probe.sql".into(),
        head: library::Head::default(),
        reads: [].into(),
        query,
    }
}

/// The lineage of a select over the tables of an engine.
async fn lineage(engine: &Engine, select: &str) -> Lineage {
    let found = engine.lineage(&model(select), &Bound::new()).await;
    found.unwrap_or_else(|error| panic!("{error}: {select}"))
}

/// A flow in one line: `s.t.a FILTER JOIN, s.t.b IDENTITY`.
fn shown(flow: &Flow) -> String {
    let column = |(name, ways): (&_, &std::collections::BTreeSet<chudong::sql::lineage::Way>)| {
        let name: &chudong::sql::lineage::ColumnName = name;
        let words: Vec<&str> = ways.iter().map(|way| way.words().1).collect();
        format!("{name} {}", words.join(" "))
    };
    flow.iter().map(column).collect::<Vec<_>>().join(", ")
}
