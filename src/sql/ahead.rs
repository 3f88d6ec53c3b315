//! Tables that are made while other work goes on.
//!
//! One select seldom keeps every core busy from its first to its last moment: it is planned, it waits for its last
//! piece, it is put together. Several at once fill these gaps. They share the memory of the session, so that few run
//! at a time, and one for which there was not enough runs again when it is alone.

use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use tokio::sync::Semaphore;

use super::engine::Bound;
use super::{Engine, Error, Model};
use crate::tables::{Contract, Table};

/// So many selects run at once.
const AT_ONCE: u32 = 4;

/// A model that is to be made, with what [`Engine::build`] is given for it.
#[derive(Debug, Clone)]
pub struct Job {
    /// The model; it reads no table of another job.
    pub model: Model,
    /// The dates that its select may name.
    pub bound: Bound,
    /// What its readers expect of it.
    pub contract: Option<Contract>,
}

/// A table that is being made. Dropped, it is not made.
#[derive(Debug)]
pub struct Ahead(SpawnedTask<Result<Table, Error>>);

impl Ahead {
    /// Waits for the table; it is readable from here on.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::build`].
    pub async fn made(self) -> Result<Table, Error> {
        let ended = self.0.join().await;
        ended.map_err(|error| Error::Engine { error: Box::new(DataFusionError::ExecutionJoin(Box::new(error))) })?
    }
}

impl Engine {
    /// Begins to make these tables, a few at once, the first ones first. It must be called within a runtime.
    ///
    /// # Errors
    ///
    /// None of theirs: only that they could not begin.
    pub fn build_ahead(&self, jobs: Vec<Job>) -> Result<Vec<Ahead>, Error> {
        // Two that make the same schema at once would lose the table of one.
        for job in &jobs {
            self.schema(&job.model.name.schema).map_err(|error| Error::Engine { error: Box::new(error) })?;
        }
        let seats = Arc::new(Semaphore::new(AT_ONCE as usize));
        let begin = |job| Ahead(SpawnedTask::spawn(at_a_seat(self.clone(), job, Arc::clone(&seats))));
        Ok(jobs.into_iter().map(begin).collect())
    }
}

async fn at_a_seat(engine: Engine, job: Job, seats: Arc<Semaphore>) -> Result<Table, Error> {
    let Job { model, bound, contract } = job;
    let mut made = {
        // Nobody closes it: without a seat there would only be no limit.
        let _seat = seats.acquire().await.ok();
        engine.run_query(&model.query, &bound, None).await
    };
    if made.as_ref().is_err_and(|error| matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))) {
        let _all_seats = seats.acquire_many(AT_ONCE).await.ok();
        made = engine.run_query(&model.query, &bound, None).await;
    }
    engine.finish(&model, contract.as_ref(), made)
}
