//! Lineage as events of OpenLineage, spec 2-0-2: <https://openlineage.io/spec/2-0-2/OpenLineage.json>.
//!
//! A run of ours is a run of theirs for each model, under one parent for the night. Whole
//! rows, and so what decides which rows there are, go into `dataset` of the facet
//! `columnLineage`; what takes part in one column goes into `fields`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{class_word, purpose_words};
use crate::calendar::AsOf;
use crate::check::Checked;
use crate::check::grants;
use crate::pipeline::Pipeline;
use crate::sql::lineage::{Flow, Lineage};
use crate::tables::TableName;

/// The schema of the events.
pub const SCHEMA_URL: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// The job that is the parent of all others.
const NIGHT: &str = "night";

/// What a run of a job has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It began.
    Start,
    /// It was done.
    Complete,
    /// It was left out: a table that it reads is blocked or held.
    Abort,
    /// It failed.
    Fail,
    /// Nothing was run: the lineage as the files say it.
    Design,
}

impl Ending {
    fn word(self) -> &'static str {
        match self {
            Ending::Start => "START",
            Ending::Complete => "COMPLETE",
            Ending::Abort => "ABORT",
            Ending::Fail => "FAIL",
            Ending::Design => "OTHER",
        }
    }
}

/// What is run.
#[derive(Debug, Clone, Copy)]
pub enum Job<'a> {
    /// The whole night.
    Night,
    /// One model, with the tables that its own select names.
    Model(&'a TableName),
    /// One model, down to the tables that no model makes.
    Reach(&'a TableName),
}

/// Of which run, and when.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The run in the ledger; empty where nothing is run.
    pub run: &'a str,
    /// The civil date that the run speaks for, where there is one.
    pub as_of: Option<AsOf>,
    /// When it came to this.
    pub at: Timestamp,
    /// What it came to.
    pub ending: Ending,
}

/// One RunEvent.
pub fn event(checked: &Checked, job: Job<'_>, told: Told<'_>) -> Value {
    let pipeline = &checked.pipeline;
    let namespace = namespace(pipeline);
    let (name, kind, about, lineage) = match job {
        Job::Night => (NIGHT.to_owned(), "JOB", None, None),
        Job::Model(model) => (model.to_string(), "MODEL", about(checked, model), checked.graph.written(model)),
        Job::Reach(model) => {
            let reach = checked.graph.reach(model).map(|reach| &reach.lineage);
            (model.to_string(), "MODEL", about(checked, model), reach)
        }
    };
    let mut run_facets = Map::new();
    if let Some(as_of) = told.as_of {
        let morning = json!({ "nominalStartTime": as_of.morning().to_string() });
        run_facets.insert("nominalTime".into(), facet("1-0-1", "NominalTimeRunFacet", morning));
    }
    if !matches!(job, Job::Night) && !told.run.is_empty() {
        let parent = json!({
            "run": { "runId": run_id(&namespace, told.run, NIGHT) },
            "job": { "namespace": namespace, "name": NIGHT },
        });
        run_facets.insert("parent".into(), facet("1-1-0", "ParentRunFacet", parent));
    }
    let job_type = json!({ "processingType": "BATCH", "integration": "CHUDONG", "jobType": kind });
    let mut job_facets = Map::new();
    job_facets.insert("jobType".into(), facet("2-0-3", "JobTypeJobFacet", job_type));
    if let Some(about) = about {
        let about = json!({ "description": about });
        job_facets.insert("documentation".into(), facet("1-1-0", "DocumentationJobFacet", about));
    }
    // A START says that it began; what it takes and gives is said when it has ended.
    let lineage = lineage.filter(|_| told.ending != Ending::Start);
    let outputs: Vec<Value> = match (job, lineage) {
        (Job::Model(model) | Job::Reach(model), Some(lineage)) => vec![output(checked, model, lineage)],
        _ => Vec::new(),
    };
    let inputs: Vec<Value> =
        lineage.into_iter().flat_map(|lineage| &lineage.tables).map(|table| input(pipeline, table)).collect();
    json!({
        "eventType": told.ending.word(),
        "eventTime": told.at.to_string(),
        "producer": producer(),
        "schemaURL": SCHEMA_URL,
        "run": { "runId": run_id(&namespace, told.run, &name), "facets": run_facets },
        "job": { "namespace": namespace, "name": name, "facets": job_facets },
        "inputs": inputs,
        "outputs": outputs,
    })
}

fn namespace(pipeline: &Pipeline) -> String {
    format!("chudong://{}", pipeline.id)
}

fn producer() -> String {
    format!("tag:chudong.example,2026:chudong/{}", env!("CARGO_PKG_VERSION"))
}

fn about(checked: &Checked, model: &TableName) -> Option<String> {
    checked.library.model(model).map(|model| model.head.about.clone()).filter(|about| !about.is_empty())
}

/// The same run and job have the same number wherever they are told: RFC 9562, version 8.
fn run_id(namespace: &str, run: &str, job: &str) -> String {
    let mut digest = Sha256::new();
    for part in [namespace, run, job] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut bits = [0; 16];
    bits.iter_mut().zip(digest.finalize()).for_each(|(bit, byte)| *bit = byte);
    let number = u128::from_be_bytes(bits);
    let number = number & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
    let text = format!("{number:032x}");
    let part = |from, to| text.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn facet(version: &str, name: &str, mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        let url = format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}");
        fields.insert("_producer".into(), producer().into());
        fields.insert("_schemaURL".into(), url.into());
    }
    body
}

/// Tags of columns: class, and purposes where they are fewer than the source's.
fn tags(tags: Vec<(String, &str, String)>) -> Value {
    let tags = tags.into_iter().map(|(field, key, value)| json!({ "key": key, "value": value, "field": field }));
    facet("1-0-0", "TagsDatasetFacet", json!({ "tags": tags.collect::<Vec<_>>() }))
}

fn schema(fields: Vec<Value>) -> Value {
    facet("1-1-1", "SchemaDatasetFacet", json!({ "fields": fields }))
}

fn input(pipeline: &Pipeline, table: &TableName) -> Value {
    let mut facets = Map::new();
    let landed = pipeline.source(&table.schema).and_then(|source| {
        let landed = source.tables.iter().find(|known| known.name == table.table)?;
        Some((source, landed))
    });
    if let Some((source, landed)) = landed {
        let grant = &source.authorisation;
        let fields = landed.columns.iter().map(|column| field(&column.name, &column.kind.arrow().to_string()));
        let mut told = Vec::new();
        for column in &landed.columns {
            told.push((column.name.clone(), "class", class_word(column.class).to_owned()));
            let narrowed = column.purposes.as_deref().map(purpose_words);
            told.extend(narrowed.map(|words| (column.name.clone(), "purposes", words)));
        }
        let about = format!(
            "{}. Legal ground: {}. Purposes: {}. Term: {} to {}.",
            source.title.en,
            grant.legal_ground.en,
            purpose_words(&grant.purposes),
            grant.from,
            grant.to
        );
        let owners = json!({ "owners": [{ "name": grant.owner.en, "type": "OWNER" }] });
        facets.insert("schema".into(), schema(fields.collect()));
        facets.insert("ownership".into(), facet("1-0-1", "OwnershipDatasetFacet", owners));
        facets.insert("tags".into(), tags(told));
        let about = facet("1-0-1", "DocumentationDatasetFacet", json!({ "description": about }));
        facets.insert("documentation".into(), about);
    }
    json!({ "namespace": namespace(pipeline), "name": table.to_string(), "facets": facets })
}

fn field(name: &str, kind: &str) -> Value {
    json!({ "name": name, "type": kind })
}

fn output(checked: &Checked, model: &TableName, lineage: &Lineage) -> Value {
    let pipeline = &checked.pipeline;
    // The class follows from the columns of the sources, also where only the nearest tables are told.
    let reach = checked.graph.reach(model).map(|reach| &reach.lineage);
    let class = |name: &str| reach.and_then(|reach| reach.column(name)).map(|flow| grants::class(pipeline, flow));
    let told =
        lineage.columns.iter().filter_map(|(name, _)| Some((name.clone(), "class", class_word(class(name)?).into())));
    let owners = json!({ "owners": [{ "name": pipeline.agency.name.en, "type": "OWNER" }] });
    let fields: Map<String, Value> = lineage
        .columns
        .iter()
        .map(|(name, flow)| (name.clone(), json!({ "inputFields": input_fields(pipeline, flow) })))
        .collect();
    let columns = json!({ "fields": fields, "dataset": input_fields(pipeline, &lineage.rows) });
    let named = lineage.columns.iter().map(|(name, _)| json!({ "name": name }));
    json!({
        "namespace": namespace(pipeline),
        "name": model.to_string(),
        "facets": {
            "schema": schema(named.collect()),
            "ownership": facet("1-0-1", "OwnershipDatasetFacet", owners),
            "tags": tags(told.collect()),
            "columnLineage": facet("1-2-0", "ColumnLineageDatasetFacet", columns),
        },
    })
}

fn input_fields(pipeline: &Pipeline, flow: &Flow) -> Vec<Value> {
    let namespace = namespace(pipeline);
    let mut fields = Vec::new();
    for (column, ways) in flow.iter() {
        let words = ways.iter().map(|way| way.words());
        let steps = words.map(|(kind, subtype)| json!({ "type": kind, "subtype": subtype, "masking": false }));
        fields.push(json!({
            "namespace": namespace,
            "name": column.table.to_string(),
            "field": column.column,
            "transformations": steps.collect::<Vec<_>>(),
        }));
    }
    fields
}
