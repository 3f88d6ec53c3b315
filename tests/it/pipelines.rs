//! Pipelines as written become pipelines as checked, with every fault at its line.

use chudong::pipeline::{self, reader::Faults};

#[test]
fn the_sample_agency_has_no_fault() {
    let faults = Faults::default();
    let pipeline = pipeline::read(crate::root(), "an-binh", &faults);
    let said: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    assert_eq!(pipeline.map(|p| p.items.len()), Some(5));
}
