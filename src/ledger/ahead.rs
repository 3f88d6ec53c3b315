//! Many rows written by part: while one part is written, the next is made on all cores.
//!
//! It must not know what is written: a page is what one entry of the chain needs, and its rows.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{self, Scope, ScopedJoinHandle};

use super::Error;

/// Rows in one commit.
const PER_COMMIT: usize = 50_000;

/// Has pages of `per_page` items made, and gives those of each part, in the order of the items, to be put in one
/// commit. No more than two parts stand in memory.
pub(super) fn written_ahead<'i, I: Sync, P: Send>(
    items: &'i [I],
    per_page: usize,
    make: &(impl Fn(&'i [I]) -> P + Sync),
    mut put: impl FnMut(Vec<P>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut parts = items.chunks(PER_COMMIT);
    thread::scope(|scope| {
        let mut coming = parts.next().map(|part| begun(scope, part, per_page, make));
        while let Some(making) = coming {
            let part: Vec<P> = making.into_iter().flat_map(made).collect();
            coming = parts.next().map(|part| begun(scope, part, per_page, make));
            put(part)?;
        }
        Ok(())
    })
}

/// Has the pages of a part made.
fn begun<'scope, 'i: 'scope, I: Sync, P: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    part: &'i [I],
    per_page: usize,
    make: &'scope (impl Fn(&'i [I]) -> P + Sync),
) -> Vec<ScopedJoinHandle<'scope, Vec<P>>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let per_page = per_page.max(1);
    let pages = part.len().div_ceil(per_page).div_ceil(cores).max(1);
    let make_all = move |items: &'i [I]| items.chunks(per_page).map(make).collect();
    part.chunks(pages.saturating_mul(per_page)).map(|items| scope.spawn(move || make_all(items))).collect()
}

fn made<P>(making: ScopedJoinHandle<'_, Vec<P>>) -> Vec<P> {
    making.join().unwrap_or_else(|panic| resume_unwind(panic))
}
