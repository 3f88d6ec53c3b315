//! Tokens of a month are drawn, and what raters wrote is opened.

use super::explain::{Kept, last_night, none_yet};
use super::ledger_of;
use crate::calendar::{AsOf, Span};
use crate::check::Checked;
use crate::fault::{Explain, Fault, Place};
use crate::ledger::tokens::{Token, sealed_texts};
use crate::ledger::{Ledger, Lock};
use crate::personal::Personal;
use crate::satisfaction::finished;
use crate::satisfaction::tokens::{self, Issued};
use crate::sql::engine::Bound;
use crate::tables::TableName;
use crate::world::World;

/// Draws a token for each dossier that was finished in a month, by the tables of a night, and keeps their hashes. What
/// is given back is kept nowhere.
pub async fn issue_tokens(
    world: &World,
    checked: &Checked,
    month: &str,
    night: Option<AsOf>,
) -> Result<Vec<Issued>, Fault> {
    let policy = checked.pipeline.privacy.as_ref().ok_or_else(|| {
        let next = "add [privacy] to the pipeline: it says how many ratings of one person count";
        Fault::new("ratings.no-policy", Place::file(&checked.pipeline.path), "this agency publishes no figures", next)
    })?;
    let span: Span = month.parse().map_err(|_| unknown_month(month))?;
    let name = |first: jiff::civil::Date| format!("{:04}-{:02}", first.year(), first.month());
    if name(span.first_day()) != month || name(span.last_day()) != month {
        return Err(unknown_month(month));
    }
    let _lock = Lock::take(&world.state).map_err(|error| error.fault())?;
    let books = ledger_of(world, checked)?.ok_or_else(|| none_yet(world))?;
    let night = match night {
        Some(night) => night,
        None => last_night(&books)?.ok_or_else(|| none_yet(world))?,
    };
    drop(books);
    if night.date() <= span.last_day() {
        let what = format!("{month} has not ended by the night of {night}");
        let next = "draw its tokens after a night of a later day: a month has one batch";
        return Err(Fault::new("ratings.month-to-come", Place::Thing("the month".into()), what, next));
    }
    let kept = Kept::new(world, checked, night)?;
    let model = checked.library.model(&finished()).ok_or_else(|| {
        let next = "restore the file from the release";
        Fault::new("ratings.no-select", Place::Table(finished().to_string()), "there is no such select", next)
    })?;
    if !kept.stage(&[TableName::new("staging", "dossiers")].into()).await? {
        let what = format!("the dossiers of the night of {night} are not kept");
        return Err(Fault::new(
            "ratings.not-kept",
            Place::file(world.landing()),
            what,
            "name another night, or run one",
        ));
    }
    let bound: Bound = [("$as_of", night.date()), ("$since", span.first_day()), ("$until", span.last_day())].into();
    let finished = kept.engine.build(model, &bound, None).await.map_err(|error| error.fault())?;
    let key = world.pseudonym_key().map_err(|error| error.fault())?;
    let random = || {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok().map(|()| bytes)
    };
    let batch =
        tokens::draw(&finished, month, policy.ratings_per_person, &key, random).map_err(|error| error.fault())?;
    let batch = batch.ok_or_else(|| {
        let next = "mend the system, and draw again: nothing was kept";
        Fault::new("ratings.random", Place::Thing("the system".into()), "it gives no random bytes", next)
    })?;
    let rows: Vec<Token> = batch
        .kept
        .into_iter()
        .map(|(hash, cell)| Token {
            hash,
            month: cell.month,
            commune: cell.commune,
            group: cell.group,
            is_counting: cell.is_counting,
        })
        .collect();
    let mut ledger = Ledger::open(&world.state, &checked.pipeline.id).map_err(|error| error.fault())?;
    let is_first = ledger.issue_tokens("-", month, &rows).map_err(|error| error.fault())?;
    ledger.anchor().map_err(|error| error.fault())?;
    if !is_first {
        let what = format!("the tokens of {month} were drawn before");
        let next = "use the file that was written then: two batches would let a person count twice";
        return Err(Fault::new("ratings.issued", Place::file(ledger.path()), what, next));
    }
    Ok(batch.issued)
}

/// What people wrote beside their ratings of a month, in no order.
pub fn rating_texts(world: &World, checked: &Checked, month: &str) -> Result<Vec<Personal<String>>, Fault> {
    let ledger = ledger_of(world, checked)?.ok_or_else(|| none_yet(world))?;
    let key = world.opening_key().map_err(|error| error.fault())?;
    let mut all = Vec::new();
    for (part, sealed) in ledger.rating_texts(month).map_err(|error| error.fault())? {
        let texts = key.open(&sealed_texts(&part), &sealed);
        let texts =
            texts.and_then(|text| serde_json::from_str::<Vec<String>>(text.reveal()).ok()).ok_or_else(|| {
                let what = "what raters wrote cannot be opened: it was sealed with another key, or changed since";
                let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
                Fault::new("ratings.sealed", Place::file(ledger.path()), what, next)
            })?;
        all.extend(texts.into_iter().map(Personal::new));
    }
    Ok(all)
}

fn unknown_month(month: &str) -> Fault {
    let what = format!("\"{month}\" is no month");
    Fault::new("ratings.month", Place::Thing("the month".into()), what, "write it as 2026-10")
}
