//! One answer of the rating page, as it is written down and read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calendar;
use crate::personal::Personal;
use crate::pipeline::blind::{Blind, Proof, Question, Scale};
use crate::tables::Table;

/// The most letters that a rater may write.
pub const TEXT_LETTERS_MAX: usize = 700;

/// What somebody answered: a token, the level of each question, and words.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    levels: BTreeMap<String, i64>,
    text: Option<String>,
    token: String,
}

impl Answer {
    /// An answer; of words no more than [`TEXT_LETTERS_MAX`] letters, without what no letter is.
    pub fn new(token: &str, levels: &[(Question, i64)], text: &str) -> Self {
        let is_letter = |letter: &char| !letter.is_control() || *letter == '\n';
        let text: String = text.trim().chars().filter(is_letter).take(TEXT_LETTERS_MAX).collect();
        Answer {
            levels: levels.iter().map(|(question, level)| (question.word().to_owned(), *level)).collect(),
            text: (!text.is_empty()).then_some(text),
            token: token.to_owned(),
        }
    }

    /// As text of exactly so many bytes; none where it is longer.
    pub fn to_text(&self, bytes: usize) -> Option<Personal<String>> {
        let mut text = serde_json::to_string(self).ok()?;
        let more = bytes.checked_sub(text.len())?;
        text.extend(std::iter::repeat_n(' ', more));
        Some(Personal::new(text))
    }

    /// Reads what [`Answer::to_text`] wrote.
    pub fn of_text(text: &Personal<String>) -> Option<Self> {
        serde_json::from_str(text.reveal()).ok()
    }
}

/// How the answers of the page are taken in: by token, all questions of the form, each on this scale.
pub fn blind(scale: Scale) -> Blind {
    Blind {
        proof: Proof::Token { column: "token".into() },
        answered_on: "answered_on".into(),
        questions: Question::WORDS.iter().map(|(word, question)| (*question, (*word).to_owned())).collect(),
        scale,
        answers: BTreeMap::new(),
        counts_as: Vec::new(),
        text: Some("text".into()),
        commune: None,
    }
}

/// Answers as the table that [`blind`] describes; none where it cannot be built, which no answers bring about.
pub fn table(answers: &[(Date, Answer)]) -> Option<Table> {
    let mut fields = vec![
        Field::new("token", DataType::Utf8, true),
        Field::new("answered_on", DataType::Date32, true),
        Field::new("text", DataType::Utf8, true),
    ];
    let texts = |of: fn(&Answer) -> Option<&str>| -> ArrayRef {
        Arc::new(answers.iter().map(|(_, answer)| of(answer)).collect::<StringArray>())
    };
    let days = answers.iter().map(|(day, _)| Some(calendar::to_days(*day)));
    let mut columns = vec![
        texts(|answer| Some(&answer.token)),
        Arc::new(days.collect::<Date32Array>()) as ArrayRef,
        texts(|answer| answer.text.as_deref()),
    ];
    for (word, _) in Question::WORDS {
        fields.push(Field::new(word, DataType::Int64, true));
        let levels = answers.iter().map(|(_, answer)| answer.levels.get(word).copied());
        columns.push(Arc::new(levels.collect::<Int64Array>()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).ok().map(Table::from_batch)
}
