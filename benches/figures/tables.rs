//! Exact counts of ten thousand cells, protected; and the pages of one province.

use std::path::Path;
use std::time::Instant;

use chudong::disclosure;
use chudong::disclosure::attack::attack;
use chudong::disclosure::cells::{Cube, Layout, Tree};
use chudong::disclosure::suppress::{Rules, protect};
use chudong::publication::{self, Labels};

use super::release::Step;
use super::{Fallible, nation, say};

/// Ten districts of ten communes each, by nine fields of nine procedure groups each, and all totals.
const DISTRICTS: u64 = 10;
const FIELDS: u64 = 9;

/// How much is small in a table.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    /// One cell in ten or so.
    Large,
    /// Most cells.
    Small,
}

/// Protects the table and attacks what would be published; how many cells it has.
pub fn suppress(size: Size) -> Fallible<u64> {
    let mut step = Step(Instant::now());
    let (mut communes, mut groups) = (Vec::new(), Vec::new());
    let named = |kind: &str, of: u64, each: u64, codes: &mut Vec<(String, Option<String>)>| {
        for parent in 0..of {
            codes.push((format!("{kind}{parent}"), None));
            codes.extend((0..each).map(|at| (format!("{kind}{parent}.{at}"), Some(format!("{kind}{parent}")))));
        }
    };
    named("d", DISTRICTS, 10, &mut communes);
    named("f", FIELDS, 9, &mut groups);
    let tree = |name, codes: &[(String, Option<String>)]| {
        Tree::new(name, "all", codes.iter().map(|(code, parent)| (code.as_str(), parent.as_deref())))
    };
    let mut cube = Cube::new(vec![tree("commune", &communes)?, tree("group", &groups)?])?;
    let leaves = |codes: &[(String, Option<String>)]| -> Vec<String> {
        codes.iter().filter(|(_, parent)| parent.is_some()).map(|(code, _)| code.clone()).collect()
    };
    for (row, commune) in leaves(&communes).iter().enumerate() {
        for (column, group) in leaves(&groups).iter().enumerate() {
            cube.add(&[commune, group], count(row as u64, column as u64, size))?;
        }
    }
    let layouts = [Layout::by("dossiers", &["commune", "group"])];
    let rules = Rules { sensitive: vec![("group".into(), "all".into())], ..Rules::default() };
    let cells = protect(&cube, &layouts, &[], &rules)?;
    step.done(&format!("{} of {} cells withheld", cells.suppressed(), cells.len()))?;
    let report = attack(&cells, rules.interval_min);
    step.done("attacked")?;
    if !report.is_safe() {
        return Err("the attacker found what was withheld".into());
    }
    Ok(cells.len() as u64)
}

/// A count that is the same in every run.
fn count(row: u64, column: u64, size: Size) -> u64 {
    let mixed = (row * 6364 + column * 1442 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    match size {
        Size::Large => mixed % 50 * (1 + row % 7),
        Size::Small => (mixed % 16) * (mixed / 16 % 5) / 4,
    }
}

/// Draws a month of a province and writes its pages; the bytes of its larger first page, and how long all pages took.
pub async fn page(data: &Path, out: &Path) -> Fallible<(u64, f64)> {
    // A nation's communes by its provinces.
    const COMMUNES: usize = 98;
    let pipeline = nation::pipeline(COMMUNES)?;
    let (policy, labels) = (nation::policy(&pipeline)?, Labels::from(&pipeline));
    let draws = nation::request(&pipeline, &nation::records(data).await?)?.draw()?;
    let released = disclosure::release(&[draws], policy, &pipeline.unit, &pipeline.procedure_groups)?;
    let begun = Instant::now();
    let written = publication::page(out, &released, &labels)?;
    let seconds = begun.elapsed().as_secs_f64();
    let first = |name: &str| written.files.iter().find(|file| file.path == Path::new(name)).map(|file| file.bytes);
    let largest = first("index.html").max(first("index.en.html")).ok_or("there is no first page")?;
    let any = written.files.iter().map(|file| file.bytes).max().unwrap_or_default();
    say(&format!(
        "    {} pages in {seconds:.2} s, the first of {largest} bytes, the largest of {any}",
        written.files.len()
    ))?;
    Ok((largest, seconds))
}
