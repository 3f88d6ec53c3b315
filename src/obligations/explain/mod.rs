//! Why somebody must do something by a day, in words: the rule, the fields, the arithmetic.
//!
//! The account of a due date comes from the very query that computed it ([`Node`]); here it is put
//! in Vietnamese and English. What is said can be done again by hand: every step names its
//! arguments and its result, every day that was jumped over and why, every version of the
//! rule and why it held or not. This module is pure. It must not know how an account is made, nor where
//! an explanation is kept.

mod account;
mod arithmetic;
mod arms;
mod fulfilled;
mod rule;
mod words;

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use serde_json::{Value, json};

use crate::fault::{Explain, Place};
use crate::language::{Language, Text, date as day};
use crate::pipeline::Item;
use crate::pipeline::calendar::LegalCalendar;
use crate::pipeline::law::{BETWEEN_VERSIONS, Law};

pub use account::{Arm, Node, Of};
pub use arithmetic::Step;
pub use fulfilled::Fulfilled;
pub use rule::Applied;

use words::{day_and_weekday, value};

/// A column of a source that a field comes from, and on what ground it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceField {
    /// `gplx.licences.ngay_cap`.
    pub column: String,
    /// The name of the source for people.
    pub source: Text,
    /// Who owns it.
    pub owner: Text,
    /// The articles that it is read on.
    pub legal_ground: Text,
    /// The last day of the permission.
    pub authorised_to: Date,
    /// When it was pulled, in Vietnam; none where nobody wrote it down.
    pub pulled_at: Option<DateTime>,
}

/// Where the columns of standard tables come from: by `staging.<table>.<column>`.
pub type Provenance = BTreeMap<String, Vec<SourceField>>;

/// What a night knows that explains its obligations.
#[derive(Debug, Clone, Copy)]
pub struct Night<'a> {
    /// The date that it speaks for.
    pub as_of: Date,
    /// What was decided after this date is not known.
    pub known_on: Date,
    /// The rules.
    pub law: &'a Law,
    /// The days of rest.
    pub calendar: &'a LegalCalendar,
}

/// A field with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// `staging.people.birth_date`.
    pub column: String,
    /// Its value, as text.
    pub value: Option<String>,
    /// Where it comes from.
    pub sources: Vec<SourceField>,
}

/// Why an obligation is due on its day. It holds personal dates, so `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The obligation's key.
    pub key: String,
    /// The item.
    pub item: String,
    /// What the item is called.
    pub title: Text,
    /// The last day on which it may be done.
    pub due_on: Date,
    /// The due day that was written down on that night, where it is another: its law was edited since in place.
    pub recorded_due_on: Option<Date>,
    /// The night that says so.
    pub as_of: Date,
    /// The day whose knowledge of the law it used.
    pub known_on: Date,
    /// The rules that the date rests on, that of the obligation first.
    pub rules: Vec<Applied>,
    /// The fields that the date was computed from.
    pub fields: Vec<Field>,
    /// The arithmetic.
    pub steps: Vec<Step>,
    /// When it was done, and by what that is known; none where no field says so.
    pub fulfilled: Option<Fulfilled>,
    /// The year whose days of rest are not decreed yet, where the due date rests on them and may still move.
    pub assumed_year: Option<i16>,
    account: Node,
}

impl std::fmt::Debug for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Explanation({})", self.key)
    }
}

/// An obligation that cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The account is not one, or ends elsewhere than at the due date.
    #[error("how the due date of an obligation of {item} came about cannot be told")]
    Account {
        /// The item.
        item: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        "explain.account"
    }

    fn place(&self) -> Place {
        let Error::Account { item } = self;
        Place::Table(format!("obligations.{item}"))
    }

    fn next(&self) -> String {
        "report this: a select was followed wrongly".into()
    }
}

/// What is known of an obligation that is to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Due<'a> {
    /// Its key.
    pub key: &'a str,
    /// The last day on which it may be done.
    pub on: Date,
    /// The version of the rule that says so.
    pub rule_version: &'a str,
    /// The day on which it was done, with the account of that day; none where it is to be done.
    pub fulfilled: Option<(Date, &'a str)>,
}

/// Explains an obligation of an item from the account of its due date.
pub fn explain(
    item: &Item,
    due: Due<'_>,
    told: &str,
    night: Night<'_>,
    provenance: &Provenance,
) -> Result<Explanation, Error> {
    let failed = || Error::Account { item: item.id.clone() };
    let account = Node::parse(told).ok_or_else(failed)?;
    if account.date() != Some(due.on) {
        return Err(failed());
    }
    let given = arithmetic::Given { calendar: night.calendar, known_on: night.known_on };
    let fulfilled = match due.fulfilled {
        Some((on, told)) => {
            let done = Node::parse(told).filter(|done| done.date() == Some(on)).ok_or_else(failed)?;
            let (fields, steps) = (fields(&done, provenance), arithmetic::found(&done, &given));
            Some(Fulfilled { on, fields, steps })
        }
        None => None,
    };
    Ok(Explanation {
        key: due.key.to_owned(),
        item: item.id.clone(),
        title: item.title.clone(),
        due_on: due.on,
        recorded_due_on: None,
        as_of: night.as_of,
        known_on: night.known_on,
        rules: rules(&account, due.rule_version, night),
        fields: fields(&account, provenance),
        steps: arithmetic::steps(&account, &given),
        fulfilled,
        assumed_year: arithmetic::assumed_year(&account, &given),
        account,
    })
}

/// The year whose decree an account waits for, without the words of an explanation; none where its days of rest are
/// decreed, or it is no account.
pub fn assumed_year(told: &str, calendar: &LegalCalendar, known_on: Date) -> Option<i16> {
    // Most dates count no working days: their accounts are not read at all.
    let node = told.contains("working_day").then(|| Node::parse(told)).flatten()?;
    arithmetic::assumed_year(&node, &arithmetic::Given { calendar, known_on })
}

/// The rules of an account, that of the obligation first, each with the numbers that were used.
fn rules(account: &Node, rule_version: &str, night: Night<'_>) -> Vec<Applied> {
    let named = rule_version.split(BETWEEN_VERSIONS).map(|name| (name.to_owned(), Vec::new()));
    let mut used: Vec<(String, Vec<Text>)> = named.collect();
    visit_law(account, &[], &mut |cell, by| {
        let Some(version) = cell.part(1).and_then(|part| part.value.clone()) else { return };
        let at = used.iter().position(|(known, _)| *known == version);
        let at = at.unwrap_or_else(|| {
            used.push((version.clone(), Vec::new()));
            used.len() - 1
        });
        let Some((_, values)) = used.get_mut(at) else { return };
        let rule = night.law.version(&version).map(|(rule, _)| rule);
        let key = cell.part(0).and_then(|part| part.value.as_deref());
        // The key itself is said with the number.
        let Of::Law(_, "value") = cell.kind() else { return };
        let said = rule::number(rule, key, cell.value.as_deref(), by);
        if !values.contains(&said) {
            values.push(said);
        }
    });
    let found = used.into_iter().filter_map(|(name, values)| {
        let (rule, version) = night.law.version(&name)?;
        Some(rule::applied(rule, version, values, night.known_on))
    });
    found.collect()
}

/// Shows every number of the law, with what chose it.
fn visit_law<'a>(node: &'a Node, by: &[Text], visit: &mut dyn FnMut(&'a Node, &[Text])) {
    match node.kind() {
        Of::Law(..) => visit(node, by),
        Of::Chosen => {
            let mut chosen_by: Vec<Text> = Vec::new();
            for part in node.found().skip(1) {
                for said in deciding(part) {
                    if !chosen_by.contains(&said) {
                        chosen_by.push(said);
                    }
                }
                visit_law(part, &[], visit);
            }
            if let Some(cell) = node.part(0) {
                visit_law(cell, &chosen_by, visit);
            }
        }
        _ => node.found().for_each(|part| visit_law(part, &[], visit)),
    }
}

/// What decided, in words: fields with their values.
fn deciding(node: &Node) -> Vec<Text> {
    let said = |name: &str| {
        let value = value(node.value.as_deref());
        Text::new(format!("{name} = {}", value.vi), format!("{name} = {}", value.en))
    };
    match node.kind() {
        Of::Column(table, column) | Of::Another(table, column) => vec![said(&short(table, column))],
        Of::Choice(_) | Of::Branch(_) | Of::Named(_) => node.found().flat_map(deciding).collect(),
        Of::Law(..) | Of::Given | Of::Chosen => Vec::new(),
        Of::Call(_) if node.date().is_some() => {
            let value = value(node.value.as_deref());
            vec![Text::new(format!("ngày {}", value.vi), value.en)]
        }
        Of::Call(_) => node.found().flat_map(deciding).collect(),
        _ => Vec::new(),
    }
}

/// A column without the schema that all standard tables are in.
fn short(table: &str, column: &str) -> String {
    format!("{}.{column}", table.strip_prefix("staging.").unwrap_or(table))
}

/// The columns of tables that an account rests on, each value once.
fn fields(account: &Node, provenance: &Provenance) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    account.each(&mut |node| {
        let (Of::Column(table, column) | Of::Another(table, column)) = node.kind() else { return };
        if table.starts_with("law") {
            return;
        }
        let name = format!("{table}.{column}");
        let sources = provenance.get(&name).cloned().unwrap_or_default();
        let field = Field { column: name, value: node.value.clone(), sources };
        if !fields.contains(&field) {
            fields.push(field);
        }
    });
    fields
}

impl Explanation {
    /// In one language, as it is printed and stored.
    pub fn text(&self, language: Language) -> String {
        let mut lines: Vec<String> = Vec::new();
        let mut put = |vi: String, en: String| lines.push(Text { vi, en }.get(language).to_owned());
        let (due, as_of, known) = (day_and_weekday(self.due_on), day(self.as_of), day(self.known_on));
        put(format!("{}: hạn {}", self.title.vi, due.vi), format!("{}: due on {}", self.title.en, due.en));
        put(
            format!(
                "Nghĩa vụ {}, theo dữ liệu của đêm {} và pháp luật được biết đến ngày {}",
                self.key, as_of.vi, known.vi
            ),
            format!(
                "Obligation {}, by the data of the night of {}, and the law as known on {}",
                self.key, as_of.en, known.en
            ),
        );
        if let Some(recorded) = self.recorded_due_on.map(day_and_weekday) {
            put(
                format!(
                    "Chú ý: sổ ghi của đêm đó có hạn {}; từ đó quy định, truy vấn hoặc lịch đã bị sửa tại chỗ",
                    recorded.vi
                ),
                format!(
                    "Note: the ledger of that night has it due on {}; a rule, the select or the calendar was edited in \
                     place since",
                    recorded.en
                ),
            );
        }
        if let Some(year) = self.assumed_year {
            put(
                format!(
                    "Chú ý: hạn này là tạm tính và còn có thể thay đổi: chưa có thông báo chính thức về ngày nghỉ lễ, \
                     tết năm {year}"
                ),
                format!(
                    "Note: this date is provisional and may still move: the public holidays of {year} are not decreed \
                     yet"
                ),
            );
        }
        self.tell_rules(&mut put);
        put("\nTừ dữ liệu:".into(), "\nFrom:".into());
        for field in &self.fields {
            field.tell(&mut put);
        }
        put("\nCách tính:".into(), "\nArithmetic:".into());
        for (at, step) in self.steps.iter().enumerate() {
            put(format!("{}. {}", at + 1, step.words.vi), format!("{}. {}", at + 1, step.words.en));
        }
        match &self.fulfilled {
            Some(fulfilled) => fulfilled.tell(self.due_on, &mut put),
            None => put(
                "\nĐã thực hiện: chưa có dữ liệu nào cho thấy việc này đã được làm.".into(),
                "\nDone: nothing in the data says so.".into(),
            ),
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn tell_rules(&self, put: &mut dyn FnMut(String, String)) {
        put("\nCăn cứ:".into(), "\nBecause of:".into());
        for rule in &self.rules {
            put(
                format!(
                    "- {}: {} [{}, độ tin cậy {}]",
                    rule.title.vi, rule.reference.vi, rule.rule_version, rule.confidence
                ),
                format!(
                    "- {}: {} [{}, confidence {}]",
                    rule.title.en, rule.reference.en, rule.rule_version, rule.confidence
                ),
            );
            for value in &rule.values {
                put(format!("  Giá trị: {}", value.vi), format!("  Value: {}", value.en));
            }
            for said in &rule.history {
                put(format!("  {}", said.vi), format!("  {}", said.en));
            }
        }
    }

    /// In both languages, with the account itself, for a program.
    pub fn json(&self) -> Value {
        let field = |field: &Field| {
            let sources: Vec<&str> = field.sources.iter().map(|source| source.column.as_str()).collect();
            json!({ "column": field.column, "value": field.value, "sources": sources })
        };
        json!({
            "key": self.key, "item": self.item, "due_on": self.due_on.to_string(), "as_of": self.as_of.to_string(),
            "assumed_year": self.assumed_year, "recorded_due_on": self.recorded_due_on.map(|on| on.to_string()),
            "known_on": self.known_on.to_string(), "rules": self.rules, "steps": self.steps, "account": self.account,
            "fields": self.fields.iter().map(field).collect::<Vec<_>>(),
            "fulfilled": self.fulfilled.as_ref().map(|fulfilled| json!({
                "on": fulfilled.on.to_string(), "steps": fulfilled.steps,
                "fields": fulfilled.fields.iter().map(field).collect::<Vec<_>>(),
            })),
            "text": { "vi": self.text(Language::Vi), "en": self.text(Language::En) },
        })
    }
}

impl Field {
    fn tell(&self, put: &mut dyn FnMut(String, String)) {
        let name = self.column.strip_prefix("staging.").unwrap_or(&self.column);
        let shown = value(self.value.as_deref());
        let (vi, en) = match self.column.split_once('.') {
            Some(("calendar", _)) => (" (kỳ theo lịch)", " (a period of the calendar)"),
            _ => ("", ""),
        };
        put(format!("- {name} = {}{vi}", shown.vi), format!("- {name} = {}{en}", shown.en));
        for source in &self.sources {
            let pulled = match &source.pulled_at {
                Some(at) => {
                    let (day, hour, minute) = (day(at.date()), at.hour(), at.minute());
                    Text::new(
                        format!("lấy lúc {hour:02}:{minute:02} ngày {}", day.vi),
                        format!("pulled at {hour:02}:{minute:02} on {}", day.en),
                    )
                }
                None => Text::new("không rõ lúc lấy", "it is not known when it was pulled"),
            };
            let to = day(source.authorised_to);
            put(
                format!(
                    "  {} của {} ({}), {}, theo {}, được phép đến {}",
                    source.column, source.source.vi, source.owner.vi, pulled.vi, source.legal_ground.vi, to.vi
                ),
                format!(
                    "  {} of {} ({}), {}, under {}, authorised until {}",
                    source.column, source.source.en, source.owner.en, pulled.en, source.legal_ground.en, to.en
                ),
            );
        }
    }
}
