//! The connections of a mail server at work: each takes the next message that nobody has begun, until none waits.
//!
//! Messages are given while those before them are on their way, and what became of each is fetched when somebody asks:
//! no connection waits for the slowest one of its group. It must not know how a connection is made, what is said on
//! it, or who wants to know how a message ended.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};

use super::connect::Settings;
use super::talk::{After, Line, Parcel};
use crate::delivery::permit::RECALLED;
use crate::delivery::{Code, Envelope, Error, Outcome, Permit};

/// A message for a connection: whichever is free takes it.
struct Job<K> {
    /// Its place among all that were ever given.
    number: u64,
    key: K,
    letter: Envelope,
}

/// A message that a lane has taken, in the words of the protocol.
struct Begun<K> {
    job: Job<K>,
    parcel: Parcel,
}

impl<K> Begun<K> {
    fn of(job: Job<K>) -> Self {
        Begun { parcel: Parcel::of(&job.letter), job }
    }
}

/// The connections, each a lane that rests or is at work. `K` is whatever the giver knows a message by.
pub(super) struct Lanes<K> {
    settings: Arc<Settings>,
    work: Arc<Work<K>>,
    /// How many there are.
    number: usize,
    /// Those at work; dropped with them unfinished, they break off.
    tasks: JoinSet<()>,
}

/// What the lanes share.
struct Work<K> {
    state: Mutex<State<K>>,
    /// Told when no more messages are open than somebody waits for.
    has_ended: Notify,
}

struct State<K> {
    /// Messages that nobody has begun.
    waiting: VecDeque<Job<K>>,
    /// How many were ever given.
    given: u64,
    /// How many were given and have not ended.
    open: usize,
    /// How many may be open for somebody not to wait any longer.
    awaited: usize,
    ended: Vec<(u64, K, Outcome)>,
    /// How many lanes are at work.
    at_work: usize,
    /// The connections of those that rest, as far as they have one.
    resting: Vec<Line>,
    /// The first connection that could not be made since all rested.
    trouble: Option<Error>,
    /// The first failure for which messages were given up.
    told: Option<Error>,
}

impl<K: Send + 'static> Lanes<K> {
    /// So many lanes, of which one has its connection.
    pub(super) fn new(settings: Arc<Settings>, first: Line, number: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            given: 0,
            open: 0,
            awaited: 0,
            ended: Vec::new(),
            at_work: 0,
            resting: vec![first],
            trouble: None,
            told: None,
        };
        let work = Arc::new(Work { state: Mutex::new(state), has_ended: Notify::new() });
        Lanes { settings, work, number: number.max(1), tasks: JoinSet::new() }
    }

    /// Gives messages to the lanes. Each leaves while the permit holds; what is left ends as [`RECALLED`].
    pub(super) fn give(&mut self, messages: impl IntoIterator<Item = (K, Envelope)>, permit: &Arc<Permit>) {
        while let Some(finished) = self.tasks.try_join_next() {
            survived(finished);
        }
        let mut state = self.work.held();
        for (key, letter) in messages {
            let number = state.given;
            state.given = number.saturating_add(1);
            state.open = state.open.saturating_add(1);
            state.waiting.push_back(Job { number, key, letter });
        }
        // Each in a task of its own, so that they share the cores. One without a connection makes it when it is needed.
        for _ in 0..state.waiting.len().min(self.number.saturating_sub(state.at_work)) {
            state.at_work = state.at_work.saturating_add(1);
            let (line, lanes) = (state.resting.pop(), self.number);
            let (settings, work, permit) = (Arc::clone(&self.settings), Arc::clone(&self.work), Arc::clone(permit));
            self.tasks.spawn(async move { work_off(&settings, line, &work, &permit, lanes).await });
        }
    }

    /// How many messages were given and have not ended.
    pub(super) fn under_way(&self) -> usize {
        self.work.held().open
    }

    /// Waits until at most so many are open, and gives what became of the others since this was last asked, in the
    /// order in which they were given.
    pub(super) async fn ended(&mut self, left: usize) -> Vec<(K, Outcome)> {
        loop {
            {
                let mut state = self.work.held();
                // Where none is at work nothing ends any more.
                if state.open <= left || self.tasks.is_empty() {
                    state.awaited = 0;
                    let mut ended = std::mem::take(&mut state.ended);
                    drop(state);
                    ended.sort_unstable_by_key(|(number, ..)| *number);
                    return ended.into_iter().map(|(_, key, outcome)| (key, outcome)).collect();
                }
                state.awaited = left;
            }
            tokio::select! {
                () = self.work.has_ended.notified() => {}
                Some(finished) = self.tasks.join_next() => survived(finished),
            }
        }
    }

    /// The first failure to make a connection for which messages were given up, since this was last asked.
    pub(super) fn trouble(&mut self) -> Option<Error> {
        self.work.held().told.take()
    }

    /// Waits until all rest, and gives their connections. What nobody has begun is forgotten.
    pub(super) async fn rest(mut self) -> Vec<Line> {
        self.work.held().waiting.clear();
        while let Some(finished) = self.tasks.join_next().await {
            survived(finished);
        }
        std::mem::take(&mut self.work.held().resting)
    }
}

/// A panic of a lane is that of whoever gave it messages.
fn survived(finished: Result<(), JoinError>) {
    if let Err(error) = finished
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
}

impl<K> Work<K> {
    fn held(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message that nobody has begun; without one the lane rests.
    fn next(&self, line: &mut Option<Line>) -> Option<Job<K>> {
        let mut state = self.held();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.at_work = state.at_work.saturating_sub(1);
            state.resting.extend(line.take());
            if state.at_work == 0 {
                // Others took what it could not: a server that allows fewer connections is no trouble.
                state.trouble = None;
            }
        }
        next
    }

    /// A message to be announced behind another one, while more than so many wait: the last ones are left to whoever is
    /// free.
    fn ahead(&self, left: usize) -> Option<Job<K>> {
        let mut state = self.held();
        if state.waiting.len() > left { state.waiting.pop_front() } else { None }
    }

    fn ends(&self, Job { number, key, .. }: Job<K>, outcome: Outcome) {
        let mut state = self.held();
        state.ended.push((number, key, outcome));
        state.open = state.open.saturating_sub(1);
        let is_awaited = state.open <= state.awaited;
        drop(state);
        if is_awaited {
            self.has_ended.notify_one();
        }
    }

    /// Takes messages back of which nothing has left, because no connection could be made: another one takes them. The
    /// last lane at work goes on with a connection that rests, and says so; where there is none, all is given up.
    fn gives_back(&self, jobs: impl DoubleEndedIterator<Item = Job<K>>, error: Error) -> Option<Line> {
        let mut state = self.held();
        jobs.rev().for_each(|job| state.waiting.push_front(job));
        state.trouble.get_or_insert(error);
        if state.at_work == 1 {
            if let Some(line) = state.resting.pop() {
                return Some(line);
            }
            for Job { number, key, .. } in std::mem::take(&mut state.waiting) {
                state.open = state.open.saturating_sub(1);
                state.ended.push((number, key, Outcome::Deferred { code: Code::NotConnected }));
            }
            let trouble = state.trouble.take();
            state.told = state.told.take().or(trouble);
        }
        state.at_work = state.at_work.saturating_sub(1);
        drop(state);
        self.has_ended.notify_one();
        None
    }
}

/// One lane takes messages until none waits, or until its connection cannot be made again.
async fn work_off<K>(settings: &Settings, mut line: Option<Line>, work: &Work<K>, permit: &Permit, lanes: usize) {
    let mut ahead: Option<Begun<K>> = None;
    while let Some(begun) = ahead.take().or_else(|| work.next(&mut line).map(Begun::of)) {
        // Taken already, so that it can be announced behind this one.
        let is_ahead = line.as_ref().is_some_and(Line::pipelines) && permit.holds();
        let next = if is_ahead { work.ahead(lanes).map(Begun::of) } else { None };
        let announced = next.as_ref().map(|next| &next.parcel);
        match deliver(settings, &mut line, &begun.parcel, announced, permit).await {
            Ok(outcome) => {
                work.ends(begun.job, outcome);
                ahead = next;
            }
            Err(error) => {
                // The messages have not begun to leave: another connection may take them.
                let jobs = [Some(begun), next].into_iter().flatten().map(|begun| begun.job);
                let Some(other) = work.gives_back(jobs, error) else { return };
                line = Some(other);
            }
        }
    }
}

/// One message, on the connection of this lane or on a new one, and the announcement of the next behind it. Servers
/// close idle connections without a word, so a message that met such a one is tried once more on a fresh one.
async fn deliver(
    settings: &Settings,
    lane: &mut Option<Line>,
    parcel: &Parcel,
    next: Option<&Parcel>,
    permit: &Permit,
) -> Result<Outcome, Error> {
    // What was announced is on the wire already.
    if !permit.holds() && !lane.as_ref().is_some_and(Line::has_announced) {
        return Ok(RECALLED);
    }
    if let Some(line) = lane {
        let (outcome, after) = line.talk(parcel, next, &settings.timeouts).await;
        if after == After::Ready {
            return Ok(outcome);
        }
        *lane = None;
        if after == After::Broken {
            return Ok(outcome);
        }
    }
    let mut line = settings.connect().await?;
    // Making a connection may take as long as the other side likes.
    if !permit.holds() {
        *lane = Some(line);
        return Ok(RECALLED);
    }
    let (outcome, after) = line.talk(parcel, next, &settings.timeouts).await;
    if after == After::Ready {
        *lane = Some(line);
    }
    Ok(outcome)
}
