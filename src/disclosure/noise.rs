//! Discrete Gaussian noise by OpenDP: the one call to it.

use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;

use super::{Error, budget};
use crate::pipeline::Rho;

/// The most threads that draw noise at once.
const THREADS_MAX: usize = 64;

/// How many counts a thread takes at a time: some milliseconds of drawing, so that all threads end at about the same time.
const STRETCH: usize = 1024;

/// Into how many steps a parameter that is no whole number is divided.
const STEPS: f64 = 1024.0;

/// Stretches of noisy counts, each with its place.
type Stretches = Vec<(usize, Vec<i64>)>;

type Integers = VectorDomain<AtomDomain<i64>>;
type Mechanism = Measurement<Integers, L2Distance<i64>, ZeroConcentratedDivergence, Vec<i64>>;

/// The counts of a table, each with its own noise of the variance `sigma_squared`.
///
/// Threads draw separate stretches. That changes nothing in the distribution: the noise in different counts is
/// independent, and OpenDP's random source is the system's, in every thread.
pub(super) fn add(table: &str, counts: &[i64], per_person: u32, sigma_squared: Rho) -> Result<Vec<i64>, Error> {
    let sigma = root(sigma_squared);
    calibrated(table, per_person, sigma_squared, sigma)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let threads = threads.min(counts.len().div_ceil(STRETCH)).max(1);
    let stretches: Vec<&[i64]> = counts.chunks(STRETCH).collect();
    let draw = |first: usize| -> Result<Stretches, Error> {
        let mechanism = mechanism(table, sigma)?;
        let own = stretches.iter().enumerate().skip(first).step_by(threads);
        let one = |(place, part): (usize, &&[i64])| {
            Ok((place, mechanism.invoke(&part.to_vec()).map_err(|error| failed(table, &error))?))
        };
        own.map(one).collect()
    };
    let results: Vec<Result<Stretches, Error>> = std::thread::scope(|scope| {
        let draw = &draw;
        let handles: Vec<_> = (0..threads).map(|first| scope.spawn(move || draw(first))).collect();
        // A panic inside the library ends its thread only, and becomes an error here.
        let crashed = |_| Err(Error::Noise { table: table.to_owned(), what: "OpenDP stopped unexpectedly".into() });
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(crashed)).collect()
    });
    let mut parts = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    parts.sort_unstable_by_key(|(place, _)| *place);
    let noisy: Vec<i64> = parts.into_iter().flat_map(|(_, part)| part).collect();
    if noisy.len() == counts.len() {
        return Ok(noisy);
    }
    Err(Error::Noise { table: table.to_owned(), what: "OpenDP gave another number of counts than it took".into() })
}

/// The root of a fraction, and where it is no whole number the next multiple of 1/1024 above it: more noise than promised
/// costs nothing, less would, and the exact arithmetic of the sampler is quick with short fractions alone.
fn root(square: Rho) -> f64 {
    let nearest = budget::as_float(square).sqrt();
    let is_exact =
        square.is_integer() && nearest.fract() == 0.0 && (nearest as i64).checked_pow(2) == Some(*square.numer());
    if is_exact {
        return nearest;
    }
    // Division and root are each off by half a unit in the last place at most, together by less than two units.
    (nearest.next_up().next_up() * STEPS).ceil() / STEPS
}

fn mechanism(table: &str, sigma: f64) -> Result<Mechanism, Error> {
    let domain = Integers::new(AtomDomain::<i64>::default());
    make_gaussian(domain, L2Distance::<i64>::default(), sigma, None).map_err(|error| failed(table, &error))
}

/// Asks OpenDP what the mechanism costs, and compares it with what was reserved.
fn calibrated(table: &str, per_person: u32, sigma_squared: Rho, sigma: f64) -> Result<(), Error> {
    let reserved = budget::as_float(budget::cost_of(per_person, sigma_squared)?);
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
