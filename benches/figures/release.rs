//! One month of a nation, from staged files to published ones, and what its noise costs by itself.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use chudong::disclosure::{self, Draws};
use chudong::publication::{self, Labels, gates};
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;

use super::{Fallible, nation, say};

/// Communes of the nation.
pub const COMMUNES: usize = 3321;

/// Reads, bounds, counts, draws, fits, examines and publishes; how many counts got noise.
pub async fn release(data: &Path, out: &Path) -> Fallible<u64> {
    let mut step = Step(Instant::now());
    let pipeline = nation::pipeline(COMMUNES)?;
    let (policy, labels) = (nation::policy(&pipeline)?, Labels::from(&pipeline));
    let records = nation::records(data).await?;
    step.done("records read")?;
    let request = nation::request(&pipeline, &records)?;
    drop(records);
    let tables = policy.measures.iter().filter_map(|measure| request.exact_counts(&measure.table));
    let counts: usize = tables.map(|counts| counts.reveal().len()).sum();
    step.done("bounded and counted")?;
    let draws = request.draw()?;
    step.done("drawn")?;
    // As the ledger keeps them before anybody looks.
    let draws = Draws::from_bytes(&draws.to_bytes()?)?;
    step.done("kept and read again")?;
    let released = disclosure::release(&[draws], policy, &pipeline.unit, &pipeline.procedure_groups)?;
    step.done("fitted")?;
    gates::examine(&released)?;
    step.done("examined")?;
    publication::publish(out, &released, &labels)?;
    step.done("published")?;
    Ok(counts as u64)
}

/// The noise of as many counts with the same deviations, on all cores; how many.
pub fn noise() -> Fallible<u64> {
    const PIECE: usize = 1024;
    let pipeline = nation::pipeline(COMMUNES)?;
    let mut all = 0;
    for measure in &nation::policy(&pipeline)?.measures {
        let cells = measure.by.iter().map(|dimension| match dimension {
            chudong::pipeline::Dimension::Commune => pipeline.unit.communes.len(),
            chudong::pipeline::Dimension::ProcedureGroup => pipeline.procedure_groups.len(),
        });
        let bins = match measure.bins {
            chudong::pipeline::Bins::Level => 5,
            chudong::pipeline::Bins::Satisfied => 2,
            chudong::pipeline::Bins::TimelinessAndChannel => 4,
        };
        let counts: usize = cells.product::<usize>() * bins;
        let next = AtomicUsize::new(0);
        let draw = || -> Result<usize, String> {
            let domain = VectorDomain::new(AtomDomain::<i64>::default());
            let sigma = f64::from(measure.sigma);
            let mechanism =
                make_gaussian::<_, _, ZeroConcentratedDivergence>(domain, L2Distance::<i64>::default(), sigma, None)
                    .map_err(|error| format!("{error}"))?;
            let mut drawn = 0;
            loop {
                let from = next.fetch_add(PIECE, Ordering::Relaxed);
                if from >= counts {
                    return Ok(drawn);
                }
                let piece = vec![0; PIECE.min(counts - from)];
                drawn += mechanism.invoke(&piece).map_err(|error| format!("{error}"))?.len();
            }
        };
        let threads = std::thread::available_parallelism()?.get();
        let drawn: Result<usize, String> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(draw)).collect();
            workers.into_iter().map(|worker| worker.join().map_err(|_| "OpenDP stopped")?).sum()
        });
        all += drawn?;
    }
    Ok(all as u64)
}

/// Tells how long each step took.
pub struct Step(pub Instant);

impl Step {
    /// Something is done.
    pub fn done(&mut self, what: &str) -> Fallible<()> {
        say(&format!("    {what}: {:.2} s", self.0.elapsed().as_secs_f64()))?;
        self.0 = Instant::now();
        Ok(())
    }
}
