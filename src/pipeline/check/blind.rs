//! `blind` of a source table: what proves the service, which column is which question, and what its words stand for.

use std::collections::BTreeMap;

use super::super::authorisation::Purpose;
use super::super::blind::{Blind, Proof, Question, Scale};
use super::super::reader::Node;
use super::super::{Column, Load, Source, Type};

/// The words of `scale`.
const SCALES: [(&str, Scale); 2] = [("three", Scale::Three), ("five", Scale::Five)];

/// `blind = { proof = "dossier", by = "dossier_number", answered_on = "rated_on", scale = "five", questions = { overall = "level" } }`.
pub(super) fn blind(table: &Node<'_>, columns: &[Column]) -> Option<Blind> {
    let node = table.table_or_none("blind")?;
    let known = |key: &str, name: String, kinds: &[Type]| -> Option<String> {
        let kind = columns.iter().find(|column| column.name == name).map(|column| column.kind);
        if kind.is_some_and(|kind| kinds.contains(&kind)) {
            return Some(name);
        }
        let words: Vec<String> = kinds.iter().map(|kind| kind.word()).collect();
        let what = format!("{key} = \"{name}\" is no granted column of {}", words.join(" or "));
        node.fault(key, "pipeline.blind-column", what, "name a granted column of this table");
        None
    };
    let by = |proof: fn(String) -> Proof| known("by", node.text("by")?, &[Type::Text]).map(proof);
    let proof = match node.text("proof")?.as_str() {
        "dossier" => by(|column| Proof::Dossier { column }),
        "token" => by(|column| Proof::Token { column }),
        "none" => Some(Proof::Nothing),
        other => {
            let what = format!("proof = \"{other}\" proves no use of the service");
            node.fault("proof", "pipeline.blind-proof", what, "write \"dossier\", \"token\" or \"none\"");
            None
        }
    };
    let answered_on = known("answered_on", node.text("answered_on")?, &[Type::Date, Type::Timestamp, Type::Instant]);
    let scale = node.word("scale", &SCALES)?;
    let answers = answers(&node, scale);
    let questions = questions(&node, |key, name| {
        let kinds: &[Type] = if answers.is_empty() { &[Type::Int] } else { &[Type::Text] };
        known(key, name, kinds)
    });
    let counts_as = if node.has("counts_as") { node.ints("counts_as")? } else { Vec::new() };
    let is_rising = counts_as.windows(2).all(|pair| pair.first() < pair.last());
    let is_of_five = counts_as.len() == 3 && counts_as.iter().all(|level| (1..=5).contains(level)) && is_rising;
    if !counts_as.is_empty() && (scale != Scale::Three || !is_of_five) {
        let what = "counts_as gives no rising level of five for each of three";
        let next =
            "write counts_as = [2, 4, 5] beside scale = \"three\", or leave it out: three levels are counted apart";
        node.fault("counts_as", "pipeline.blind-scale", what, next);
    }
    let text = node.text_or_none("text").map(|name| known("text", name, &[Type::Text]));
    let commune = node.text_or_none("commune").map(|name| known("commune", name, &[Type::Text]));
    node.done();
    Some(Blind {
        proof: proof?,
        answered_on: answered_on?,
        questions: questions?,
        scale,
        answers,
        counts_as,
        text: text.map_or(Some(None), |text| text.map(Some))?,
        commune: commune.map_or(Some(None), |commune| commune.map(Some))?,
    })
}

fn answers(node: &Node<'_>, scale: Scale) -> BTreeMap<String, i64> {
    let Some(words) = node.table_or_none("answers") else { return BTreeMap::new() };
    let mut answers = BTreeMap::new();
    for word in words.keys() {
        let Some(level) = words.int(&word) else { continue };
        if !(1..=scale.levels()).contains(&level) {
            let what = format!("\"{word}\" stands for the level {level}, of {}", scale.levels());
            words.fault(&word, "pipeline.blind-level", what, "give each word of the form its level, 1 the lowest");
        }
        answers.insert(word, level);
    }
    words.done();
    answers
}

fn questions(node: &Node<'_>, known: impl Fn(&str, String) -> Option<String>) -> Option<Vec<(Question, String)>> {
    let questions = node.table("questions")?;
    let mut all = Vec::new();
    for word in questions.keys() {
        let column = questions.text(&word);
        let Some(question) = Question::of(&word) else {
            let words: Vec<&str> = Question::WORDS.iter().map(|(word, _)| *word).collect();
            let what = format!("\"{word}\" is no question of the form");
            questions.fault(&word, "pipeline.blind-question", what, format!("name one of {}", words.join(", ")));
            continue;
        };
        all.extend(column.and_then(|column| known("questions", column)).map(|column| (question, column)));
    }
    questions.done();
    all.sort_unstable();
    if !all.iter().any(|(question, _)| *question == Question::Overall) {
        let what = "the form does not say which column is the overall answer";
        node.fault("questions", "pipeline.blind-question", what, "add overall = \"…\" to questions");
        return None;
    }
    Some(all)
}

/// What must hold of all blind tables together: their sources are granted for it, they are read whole, and only one
/// kind of proof counts. Whoever rates by number and by token would count twice, and nobody could see it.
pub(super) fn check(node: &Node<'_>, sources: &[Source]) {
    let mut proofs = Vec::new();
    for source in sources {
        for table in &source.tables {
            let Some(blind) = &table.blind else { continue };
            let name = format!("{}.{}", source.name, table.name);
            if !source.authorisation.purposes.contains(&Purpose::ServiceQuality) {
                let what = format!("answers are taken in from {name}, which is not granted for service quality");
                let next = "have it granted, and add \"service_quality\" to the purposes of its authorisation";
                node.fault("sources", "pipeline.blind-purpose", what, next);
            }
            if table.load != Load::Snapshot {
                let what = format!("{name} is blind and asks for an increment: nothing of it is kept to add to");
                node.fault("sources", "pipeline.blind-increment", what, "leave increment out");
            }
            if blind.proof != Proof::Nothing && !proofs.contains(&blind.proof.word()) {
                proofs.push(blind.proof.word());
            }
        }
    }
    if proofs.len() > 1 {
        let what = "answers are proved by dossier numbers and by tokens: one person would count under both";
        let next = "keep one kind of proof; declare the other forms with proof = \"none\"";
        node.fault("sources", "pipeline.blind-proofs", what, next);
    }
}
