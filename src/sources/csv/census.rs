//! Counts the records of a CSV file, and finds their ends, without parsing it.
//!
//! It jumps from quotation mark to line end to quotation mark, and knows of
//! fields only where a quotation mark stands at the start of one. It shares
//! nothing with the parser, whose count it proves.

use super::super::blocks::{Boundaries, Ends};

/// Where in a record the bytes seen until now end.
#[derive(Debug)]
pub(super) struct Census {
    delimiter: u8,
    state: State,
    /// Lines begun, counting from 1.
    line: usize,
    /// The line of the last quotation mark that opened a field.
    quote_line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing of a record yet.
    Start,
    /// At the start of a field that is not the first.
    Field,
    /// Inside a field without quotes, or behind its closing one.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote inside quotes: the end of the field, or half of a doubled one.
    Quote,
}

impl Census {
    pub(super) fn new(delimiter: u8) -> Self {
        Census { delimiter, state: State::Start, line: 1, quote_line: 1 }
    }

    /// The line of the quotation mark inside which the bytes end, if they do.
    pub(super) fn open_quote(&self) -> Option<usize> {
        (self.state == State::Quoted).then_some(self.quote_line)
    }

    /// The state before `next`, when the bytes between were neither quotes nor line ends.
    fn after(&self, between: &[u8]) -> State {
        match between.last() {
            None => self.state,
            Some(last) if *last == self.delimiter => State::Field,
            Some(_) => State::Plain,
        }
    }
}

impl Boundaries for Census {
    fn see(&mut self, bytes: &[u8]) -> Ends {
        let mut ends = Ends::default();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.state == State::Quoted {
                let found = memchr::memchr(b'"', rest);
                let inside = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
                self.line += memchr::memchr_iter(b'\n', inside).count();
                at += inside.len() + usize::from(found.is_some());
                if found.is_some() {
                    self.state = State::Quote;
                }
                continue;
            }
            let found = memchr::memchr3(b'"', b'\n', b'\r', rest);
            let before = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
            let state = self.after(before);
            at += before.len() + usize::from(found.is_some());
            self.state = match found.and_then(|found| rest.get(found)) {
                None => state,
                Some(b'"') if matches!(state, State::Start | State::Field) => {
                    self.quote_line = self.line;
                    State::Quoted
                }
                Some(b'"') if state == State::Quote => State::Quoted,
                Some(b'"') => State::Plain,
                Some(end) => {
                    self.line += usize::from(*end == b'\n');
                    // A line without anything is no record.
                    ends.records += u64::from(state != State::Start);
                    ends.first = ends.first.or((state != State::Start).then_some(at));
                    ends.last = Some(at);
                    State::Start
                }
            };
        }
        ends
    }

    fn is_within(&self) -> bool {
        self.state != State::Start
    }
}
