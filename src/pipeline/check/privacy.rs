//! How figures are protected: the table `[privacy]`.

use super::super::reader::Node;
use super::super::{Bins, Counted, Dimension, Editions, Measure, PrivacyPolicy, Rho, Weekly};
use super::{done, in_range, is_word};

pub(super) fn privacy(node: &Node<'_>) -> Option<PrivacyPolicy> {
    let policy = node.text("policy");
    let rho_cap = node.text("rho_cap").and_then(|text| {
        let rho = text.parse::<Rho>().ok().filter(|rho| *rho > Rho::from_integer(0));
        if rho.is_none() {
            node.fault(
                "rho_cap",
                "pipeline.rho",
                "rho_cap is not a fraction over zero",
                "write it like \"3/16\": budgets are exact",
            );
        }
        rho
    });
    let delta = node.text("delta").and_then(|text| {
        let delta = text.parse::<f64>().ok().filter(|delta| *delta > 0.0 && *delta < 0.001);
        if delta.is_none() {
            node.fault("delta", "pipeline.delta", "delta is not a small probability", "write it like \"1e-9\"");
        }
        delta
    });
    let first_month = node.date("first_month");
    if first_month.is_some_and(|date| date.day() != 1) {
        node.fault(
            "first_month",
            "pipeline.first-month",
            "first_month is not the first day of a month",
            "write it like 2026-01-01",
        );
    }
    let close_after_days = in_range(node, "close_after_days", node.int_or("close_after_days", 10), 0, 365);
    let ratings_per_person = in_range(node, "ratings_per_person", node.int_or("ratings_per_person", 1), 1, 100);
    let dossiers_per_person = in_range(node, "dossiers_per_person", node.int_or("dossiers_per_person", 2), 1, 100);
    let two = node.table_or_none("editions").map(|two| done(&two, |two| editions(two, close_after_days)));
    let mut measures: Vec<Measure> = Vec::new();
    for measure_node in node.array("measures") {
        if let Some(measure) = done(&measure_node, measure) {
            if measures.iter().any(|other| other.table == measure.table) {
                let what = format!("the table {} is measured twice", measure.table);
                measure_node.fault("table", "pipeline.twice", what, "remove one");
            }
            measures.push(measure);
        }
    }
    let weeks = node.table_or_none("weekly").map(|weeks| done(&weeks, |weeks| weekly(weeks, &measures)));
    if measures.is_empty() {
        node.fault("measures", "toml.empty", "the privacy policy measures nothing", "add [[privacy.measures]]");
    }
    Some(PrivacyPolicy {
        policy: policy?,
        rho_cap: rho_cap?,
        delta: delta?,
        first_month: first_month?,
        close_after_days: u16::try_from(close_after_days?).ok()?,
        ratings_per_person: u32::try_from(ratings_per_person?).ok()?,
        dossiers_per_person: u32::try_from(dossiers_per_person?).ok()?,
        editions: match two {
            None => None,
            Some(two) => Some(two?),
        },
        measures,
        weekly: match weeks {
            None => None,
            Some(weeks) => Some(weeks?),
        },
    })
}

/// Weekly increments: of dossiers alone, since no day of a rating is ever kept.
fn weekly(node: &Node<'_>, monthly: &[Measure]) -> Option<Weekly> {
    let after_days = in_range(node, "after_days", node.int_or("after_days", 3), 0, 60);
    let mut measures: Vec<Measure> = Vec::new();
    for measure_node in node.array("measures") {
        let Some(measure) = done(&measure_node, measure) else { continue };
        if monthly.iter().chain(&measures).any(|other| other.table == measure.table) {
            let what = format!("the table {} is measured twice", measure.table);
            measure_node.fault("table", "pipeline.twice", what, "rename one: weeks and months are tables of their own");
        }
        if measure.of == Counted::Ratings {
            let what = "ratings are taken in by whole months, and no day of theirs is known";
            measure_node.fault("of", "pipeline.weekly-ratings", what, "measure dossiers by week, and ratings by month");
        }
        measures.push(measure);
    }
    if measures.is_empty() {
        let what = "nothing is measured by week";
        node.fault("measures", "toml.empty", what, "add [[privacy.weekly.measures]], or take [privacy.weekly] out");
    }
    Some(Weekly { after_days: u16::try_from(after_days?).ok()?, measures })
}

/// Two editions: how much of the budget the first takes, and when the second is due.
fn editions(node: &Node<'_>, close_after_days: Option<i64>) -> Option<Editions> {
    let first_percent = in_range(node, "first_percent", node.int_or("first_percent", 30), 1, 99);
    let second_after_days = in_range(node, "second_after_days", node.int("second_after_days")?, 1, 730)?;
    if close_after_days.is_some_and(|first| second_after_days <= first) {
        node.fault(
            "second_after_days",
            "pipeline.editions",
            "the second edition is not due after the first",
            "write more days than close_after_days, or leave [privacy.editions] out",
        );
    }
    Some(Editions {
        first_percent: u8::try_from(first_percent?).ok()?,
        second_after_days: u16::try_from(second_after_days).ok()?,
    })
}

fn measure(node: &Node<'_>) -> Option<Measure> {
    let table = node.text("table");
    if table.as_deref().is_some_and(|table| !is_word(table)) {
        node.fault(
            "table",
            "pipeline.bad-name",
            "this cannot be the name of a table",
            "use lower-case letters, digits and _",
        );
    }
    let of = node.word("of", &[("ratings", Counted::Ratings), ("dossiers", Counted::Dossiers)]);
    let dimensions = [("commune", Dimension::Commune), ("procedure_group", Dimension::ProcedureGroup)];
    let mut by = Vec::new();
    for word in node.texts("by").unwrap_or_default() {
        match dimensions.iter().find(|(known, _)| *known == word) {
            Some((_, dimension)) if !by.contains(dimension) => by.push(*dimension),
            Some(_) => node.fault("by", "pipeline.twice", format!("{word} is named twice"), "remove one"),
            None => {
                let what = format!("\"{word}\" is not a dimension");
                node.fault("by", "toml.unknown-word", what, "write commune or procedure_group");
            }
        }
    }
    by.sort();
    let bins = node.word(
        "bins",
        &[
            ("level", Bins::Level),
            ("satisfied", Bins::Satisfied),
            ("timeliness_and_channel", Bins::TimelinessAndChannel),
        ],
    );
    if let (Some(of), Some(bins)) = (of, bins)
        && (of == Counted::Dossiers) != (bins == Bins::TimelinessAndChannel)
    {
        let what = "these bins do not belong to what is counted";
        node.fault(
            "bins",
            "pipeline.bins",
            what,
            "ratings have level or satisfied, dossiers have timeliness_and_channel",
        );
    }
    let sigma = in_range(node, "sigma", node.int("sigma")?, 1, 1000);
    let min_count = in_range(node, "min_count", node.int("min_count")?, 1, 1_000_000);
    Some(Measure {
        table: table?,
        of: of?,
        by,
        bins: bins?,
        sigma: u32::try_from(sigma?).ok()?,
        min_count: u32::try_from(min_count?).ok()?,
    })
}
