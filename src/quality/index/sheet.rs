//! The sheet itself: every metric with what was divided, its points, and their sums.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use super::exact::Decimal;
use crate::language::{Language, Text};

/// What a decision makes of a unit's period. Its counts are exact: it is for the agency itself, not for publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sheet {
    /// Name of the decision.
    pub decision: String,
    /// What it is called.
    pub title: Text,
    /// The version that was in force: `decision_766@2022-06-23`.
    pub version: String,
    /// The article.
    pub reference: Text,
    /// How well the source of the formulas is known: A or B.
    pub confidence: String,
    /// The unit.
    pub unit: String,
    /// The procedure; none means all.
    pub procedure: Option<String>,
    /// The period: `2026-10`, `2026-Q4`, `2026`.
    pub period: String,
    /// The sum of the groups; none where nothing is scored.
    pub total: Option<Decimal>,
    /// The most that could be reached.
    pub maximum: Option<i64>,
    /// The most that could be reached by the metrics of which something is known: the others lack their tables.
    pub known_maximum: Option<i64>,
    /// The class of the total; none where nothing is scored, or some metrics are absent or not known.
    pub class: Option<Text>,
    /// The groups.
    pub groups: Vec<GroupScore>,
    /// Dossiers that have neither an appointed day nor a time by law: they are not in time.
    pub without_term: u64,
    /// The first month of which ratings are known, where the period begins before it and something is counted of them.
    pub ratings_from: Option<String>,
    /// The smallest number of ratings of which anything is said of a unit, where it has fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few_ratings: Option<u32>,
}

/// The metrics of a group, and their sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupScore {
    /// Its code.
    pub code: String,
    /// Its name.
    pub title: Text,
    /// The sum of the rounded scores, in which none counts as 0.
    pub score: Option<Decimal>,
    /// The most that could be reached.
    pub maximum: Option<i64>,
    /// The metrics.
    pub metrics: Vec<Score>,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Its code.
    pub code: String,
    /// Its name.
    pub title: Text,
    /// What was counted; none where nothing is divided.
    pub numerator: Option<Decimal>,
    /// Of how many.
    pub denominator: Option<Decimal>,
    /// The ratio in percent, two decimals; a share over 100 is shown as it is and scored as the maximum.
    pub percent: Option<Decimal>,
    /// A mean or a number of working days.
    pub value: Option<Decimal>,
    /// Points; none where none are given.
    pub score: Option<Decimal>,
    /// The most that could be reached; none for what is only shown.
    pub maximum: Option<i64>,
    /// Standard tables that are not filled, without which nothing is known of it. Such a metric has no number at
    /// all: not known is not 0, and no petitions on record are not no petitions.
    pub lacks: Vec<String>,
}

impl Sheet {
    /// The metric of this code.
    pub fn metric(&self, code: &str) -> Option<&Score> {
        self.groups.iter().flat_map(|group| &group.metrics).find(|metric| metric.code == code)
    }

    /// The group of this code.
    pub fn group(&self, code: &str) -> Option<&GroupScore> {
        self.groups.iter().find(|group| group.code == code)
    }

    /// Its lines by column, as a case expects them: the total, the groups and the metrics, by `code`. What is
    /// not there is left out.
    pub fn rows(&self) -> Vec<BTreeMap<String, String>> {
        let whole = |points: Option<i64>| points.map(|points| points.to_string());
        let decimal = |number: Option<Decimal>| number.map(|number| number.to_string());
        let class = self.class.as_ref().map(|class| class.en.clone());
        let mut rows =
            vec![named("TOTAL", [("score", decimal(self.total)), ("maximum", whole(self.maximum)), ("class", class)])];
        for group in &self.groups {
            rows.push(named(&group.code, [("score", decimal(group.score)), ("maximum", whole(group.maximum))]));
            rows.extend(group.metrics.iter().map(|metric| {
                let cells = [
                    ("numerator", decimal(metric.numerator)),
                    ("denominator", decimal(metric.denominator)),
                    ("percent", decimal(metric.percent)),
                    ("value", decimal(metric.value)),
                    ("score", decimal(metric.score)),
                    ("maximum", whole(metric.maximum)),
                ];
                named(&metric.code, cells)
            }));
        }
        rows
    }

    /// The sheet in one language, in aligned columns.
    pub fn text(&self, language: Language) -> String {
        let words = Words::of(language);
        let mut text = String::new();
        let mut line = |parts: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _: std::fmt::Result = text.write_fmt(parts);
        };
        line(format_args!("{}\n", self.title.get(language)));
        line(format_args!("{}: {} ({})\n", words.by, self.reference.get(language), self.version));
        let procedure = self.procedure.as_ref().map(|code| format!(", {} {code}", words.procedure));
        let procedure = procedure.unwrap_or_default();
        line(format_args!("{} {}{procedure}, {}\n", words.unit, self.unit, self.period));
        line(format_args!("{}\n\n", words.private));
        let header =
            ["", words.numerator, words.denominator, words.percent, words.score, words.maximum].map(str::to_owned);
        let mut rows = vec![header];
        for group in &self.groups {
            let points = [group.title.get(language), "", "", ""].map(str::to_owned);
            let [title, a, b, c] = points;
            rows.push([title, a, b, c, shown(group.score), shown(group.maximum)]);
            for metric in &group.metrics {
                let cells = [
                    format!("  {}", metric.title.get(language)),
                    shown(metric.numerator),
                    shown(metric.denominator),
                    shown(metric.percent.or(metric.value)),
                    if metric.lacks.is_empty() { shown(metric.score) } else { "?".to_owned() },
                    shown(metric.maximum),
                ];
                rows.push(cells);
            }
        }
        let name_width = rows.iter().map(|[name, ..]| name.chars().count()).max().unwrap_or(0);
        rows.iter().for_each(|cells| line(format_args!("{}", row(cells, name_width))));
        if let Some(total) = self.total {
            let class = self.class.as_ref().map(|class| format!(": {}", class.get(language))).unwrap_or_default();
            line(format_args!("\n{} {total} / {}{class}\n", words.total, shown(self.maximum)));
            if let Some(known) = self.known_maximum.filter(|known| Some(*known) != self.maximum) {
                line(format_args!("{}: {known}\n", words.known));
            }
        }
        let lacking: BTreeSet<&str> = self
            .groups
            .iter()
            .flat_map(|group| &group.metrics)
            .flat_map(|metric| &metric.lacks)
            .map(String::as_str)
            .filter(|table| self.few_ratings.is_none() || *table != "ratings")
            .collect();
        if let Some(least) = self.few_ratings {
            line(format_args!("{} {least}\n", words.few_ratings));
        }
        if !lacking.is_empty() {
            let tables: Vec<&str> = lacking.into_iter().collect();
            line(format_args!("{}: {}\n", words.lacking, tables.join(", ")));
        }
        if self.without_term > 0 {
            line(format_args!("{}: {}\n", words.without_term, self.without_term));
        }
        if let Some(month) = &self.ratings_from {
            line(format_args!("{} {month}\n", words.ratings_from));
        }
        text
    }
}

fn named<const N: usize>(code: &str, cells: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    let filled = cells.into_iter().filter_map(|(column, value)| Some((column.to_owned(), value?)));
    std::iter::once(("code".to_owned(), code.to_owned())).chain(filled).collect()
}

/// What is not there is a dash, and points of which nothing is known are a question mark: blank is never zero.
fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

fn row([name, cells @ ..]: &[String; 6], name_width: usize) -> String {
    let mut row = format!("{name:<name_width$}");
    for cell in cells {
        row.push_str(&format!(" {cell:>10}"));
    }
    let mut row = row.trim_end().to_owned();
    row.push('\n');
    row
}

struct Words {
    by: &'static str,
    unit: &'static str,
    procedure: &'static str,
    private: &'static str,
    numerator: &'static str,
    denominator: &'static str,
    percent: &'static str,
    score: &'static str,
    maximum: &'static str,
    total: &'static str,
    known: &'static str,
    lacking: &'static str,
    without_term: &'static str,
    ratings_from: &'static str,
    few_ratings: &'static str,
}

impl Words {
    fn of(language: Language) -> Self {
        match language {
            Language::Vi => Words {
                by: "Theo",
                unit: "Đơn vị",
                procedure: "thủ tục",
                private: "Số liệu chính xác, chỉ dùng nội bộ cơ quan; việc công bố phải qua kiểm soát tiết lộ.",
                numerator: "tử số",
                denominator: "mẫu số",
                percent: "%, ngày",
                score: "điểm",
                maximum: "tối đa",
                total: "Tổng điểm",
                known: "Điểm tối đa của các chỉ số có dữ liệu",
                lacking: "? là chưa có dữ liệu; các bảng còn thiếu",
                without_term: "Hồ sơ không có ngày hẹn trả và thời hạn theo luật, tính là không đúng hạn",
                few_ratings: "? là chưa thể cho biết mức độ hài lòng: số đánh giá ít hơn",
                ratings_from: "Đánh giá của các tháng trước không được tính; có số liệu từ tháng",
            },
            Language::En => Words {
                by: "By",
                unit: "Unit",
                procedure: "procedure",
                private: "Exact counts, for the agency itself; what is published goes through disclosure control.",
                numerator: "count",
                denominator: "of",
                percent: "%, days",
                score: "points",
                maximum: "maximum",
                total: "Total",
                known: "The most that the metrics give of which something is known",
                lacking: "? is not known; tables that are not filled",
                without_term: "Dossiers with neither an appointed day nor a time by law, which count as not in time",
                few_ratings: "? of satisfaction: nothing is said of fewer ratings than",
                ratings_from: "No ratings of earlier months are counted; they are known from",
            },
        }
    }
}
