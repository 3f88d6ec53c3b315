//! Discrete Gaussian noise by OpenDP: the one call to it.

use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;

use super::{Error, budget};

/// The most threads that draw noise at once.
const THREADS_MAX: usize = 64;

/// As many counts as are worth a thread of their own: some milliseconds of drawing.
const COUNTS_PER_THREAD_MIN: usize = 512;

type Integers = VectorDomain<AtomDomain<i64>>;
type Mechanism = Measurement<Integers, L2Distance<i64>, ZeroConcentratedDivergence, Vec<i64>>;

/// The counts of a table, each with its own noise of parameter `sigma`.
///
/// Threads draw separate stretches. That changes nothing in the distribution: the noise in different counts is
/// independent, and OpenDP's random source is the system's, in every thread.
pub(super) fn add(table: &str, counts: &[i64], per_person: u32, sigma: u32) -> Result<Vec<i64>, Error> {
    calibrated(table, per_person, sigma)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let stretch = counts.len().div_ceil(threads).max(COUNTS_PER_THREAD_MIN);
    let results: Vec<Result<Vec<i64>, Error>> = std::thread::scope(|scope| {
        let draw =
            |part: &[i64]| mechanism(table, sigma)?.invoke(&part.to_vec()).map_err(|error| failed(table, &error));
        let handles: Vec<_> = counts.chunks(stretch).map(|part| scope.spawn(move || draw(part))).collect();
        // A panic inside the library ends its thread only, and becomes an error here.
        let crashed = |_| Err(Error::Noise { table: table.to_owned(), what: "OpenDP stopped unexpectedly".into() });
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(crashed)).collect()
    });
    let noisy = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    if noisy.len() == counts.len() {
        return Ok(noisy);
    }
    Err(Error::Noise { table: table.to_owned(), what: "OpenDP gave another number of counts than it took".into() })
}

fn mechanism(table: &str, sigma: u32) -> Result<Mechanism, Error> {
    let domain = Integers::new(AtomDomain::<i64>::default());
    make_gaussian(domain, L2Distance::<i64>::default(), f64::from(sigma), None).map_err(|error| failed(table, &error))
}

/// Asks OpenDP what the mechanism costs, and compares it with what was reserved.
fn calibrated(table: &str, per_person: u32, sigma: u32) -> Result<(), Error> {
    let reserved = budget::as_float(budget::cost(per_person, sigma)?);
    let claimed = mechanism(table, sigma)?.map(&i64::from(per_person)).map_err(|error| failed(table, &error))?;
    // OpenDP rounds its exact answer up to the next floating-point number.
    if claimed <= reserved * (1.0 + 1e-12) {
        return Ok(());
    }
    Err(Error::Calibration { table: table.to_owned(), claimed, reserved })
}

/// Only the kind of the library's error is kept: its text may quote values.
fn failed(table: &str, error: &opendp::error::Error) -> Error {
    Error::Noise { table: table.to_owned(), what: format!("OpenDP reported {:?}", error.variant) }
}
