//! What each column of a released table means, in both languages.

use super::Period;
use super::bins::{meaning, names, shares};
use crate::language::Text;
use crate::pipeline::{Bins, Counted, Dimension};

/// A column of a released table, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSheet {
    /// Its name.
    pub name: String,
    /// What kind of value it holds.
    pub kind: ColumnKind,
    /// What it is called above a column.
    pub title: Text,
    /// What it counts in; empty for words and codes.
    pub unit: Text,
    /// What it means.
    pub meaning: Text,
}

/// What kind of value a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// A code of a public list, or the period: what the row is about.
    Dimension,
    /// A number of records; whole, never negative; blank where it is not shown.
    Count,
    /// A noisy count as it was drawn, before any fitting; whole, negative at times, never blank.
    Measurement,
    /// A percentage of a count.
    Share,
    /// The lower end of the 95 % interval of the column it is named after.
    Low,
    /// The upper end.
    High,
    /// A word that says how to read the row: whether it is shown, how exact it is.
    Flag,
    /// The place of a unit among the others, from 1: the intervals of a band lie wholly below those of the band before.
    Band,
    /// Points by a decision's rules.
    Score,
}

/// Which words explain the columns. What is published is frozen with its explanations: new words are for new draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wording {
    /// Bands were said to be of intervals that overlap.
    Earlier,
    /// Bands are said to be chains.
    Chained,
}

/// What a table of noisy counts shows, in words.
pub(super) fn title(of: Counted, by: &[Dimension]) -> Text {
    let of = match of {
        Counted::Ratings => Text::new("Mức độ hài lòng", "Satisfaction"),
        Counted::Dossiers => Text::new("Chất lượng giải quyết hồ sơ", "Service quality"),
    };
    let (vi, en) = match by {
        [] => ("trên toàn địa bàn", "in the whole area"),
        [Dimension::Commune] => ("theo xã, phường", "by commune"),
        [Dimension::ProcedureGroup] => ("theo nhóm thủ tục", "by procedure group"),
        _ => ("theo xã, phường và nhóm thủ tục", "by commune and procedure group"),
    };
    Text::new(format!("{} {vi}", of.vi), format!("{} {en}", of.en))
}

/// The columns of a table of noisy counts, in their order. `is_measured` tables show what was drawn, `ranked` ones
/// put their rows into bands.
pub(super) fn sheets(
    (of, period): (Counted, Period),
    by: &[Dimension],
    bins: Bins,
    is_measured: bool,
    ranked: Option<Wording>,
) -> Vec<ColumnSheet> {
    let records = || match of {
        Counted::Ratings => Text::new("lượt đánh giá", "ratings"),
        Counted::Dossiers => Text::new("hồ sơ", "dossiers"),
    };
    let about = if matches!(period, Period::Year(_)) { YEAR } else { PERIOD };
    let mut sheets = vec![plain("period", ColumnKind::Dimension, ("Kỳ", "Period"), about)];
    for dimension in by {
        let (title, words) = match dimension {
            Dimension::Commune => (("Xã, phường", "Commune"), COMMUNE),
            Dimension::ProcedureGroup => (("Nhóm thủ tục", "Procedure group"), GROUP),
        };
        sheets.push(plain(dimension.column(), ColumnKind::Dimension, title, words));
    }
    sheets.push(plain("status", ColumnKind::Flag, ("Trạng thái", "Status"), STATUS));
    sheets.push(plain("rolled_up_to", ColumnKind::Flag, ("Gộp vào", "Included in"), ROLLED_UP_TO));
    sheets.extend(totals(of, &records()));
    for bin in names(bins) {
        let Text { vi, en } = meaning(bin);
        let words = Text::new(
            format!("{vi}; số đã bảo vệ, nguyên, không âm, cộng lại bằng tổng số"),
            format!("{en}; protected, whole, not negative, adding up to the total"),
        );
        sheets.push(sheet(bin, ColumnKind::Count, Text::new(vi, en), records(), words));
    }
    for share in shares(bins) {
        sheets.extend(share_sheets(share.name, ranked));
    }
    if is_measured {
        for bin in names(bins) {
            let Text { vi, en } = meaning(bin);
            let words = Text::new(
                format!("{vi}; số đo gốc, đã cộng nhiễu một lần, chưa điều chỉnh; có thể âm"),
                format!("{en}; as measured, with its noise, before any adjustment; may be negative"),
            );
            let title = Text::new(format!("{vi} (số đo gốc)"), format!("{en} (as measured)"));
            sheets.push(sheet(&format!("{bin}_measured"), ColumnKind::Measurement, title, records(), words));
        }
    }
    sheets
}

fn totals(of: Counted, records: &Text) -> Vec<ColumnSheet> {
    let each = match of {
        Counted::Ratings => Text::new("lượt đánh giá", "ratings"),
        Counted::Dossiers => Text::new("hồ sơ đến hạn", "dossiers that were due"),
    };
    let total = Text::new(format!("Tổng số {}, đã bảo vệ", each.vi), format!("All {}, protected", each.en));
    let end = |vi: &str, en: &str| {
        Text::new(format!("{vi} khoảng 95 % của tổng số"), format!("{en} end of the 95 % interval of the total"))
    };
    let title = Text::new("Tổng số", "Total");
    vec![
        sheet("count", ColumnKind::Count, title, records.clone(), total),
        sheet("count_low", ColumnKind::Low, LOW.into_text(), records.clone(), end("Đầu dưới", "Lower")),
        sheet("count_high", ColumnKind::High, HIGH.into_text(), records.clone(), end("Đầu trên", "Upper")),
    ]
}

fn share_sheets(share: &str, ranked: Option<Wording>) -> Vec<ColumnSheet> {
    let (vi, en) = share_meaning(share);
    let percent = || Text::new("%", "%");
    let column = |end: &str| format!("{share}_percent{end}");
    let of_total = Text::new(format!("Tỷ lệ {vi}, trên tổng số"), format!("Share of {en}, of the total"));
    let mut sheets = vec![sheet(
        &column(""),
        ColumnKind::Share,
        Text::new(format!("Tỷ lệ {vi}"), format!("Share of {en}")),
        percent(),
        of_total,
    )];
    let ends = [
        ("_low", ColumnKind::Low, LOW, ("Đầu dưới", "Lower")),
        ("_high", ColumnKind::High, HIGH, ("Đầu trên", "Upper")),
    ];
    for (end, kind, title, (end_vi, end_en)) in ends {
        let words = Text::new(
            format!("{end_vi} khoảng 95 % của tỷ lệ {vi}; chỉ tính nhiễu bảo vệ"),
            format!("{end_en} end of the 95 % interval of the share of {en}; for the noise of protection alone"),
        );
        sheets.push(sheet(&column(end), kind, title.into_text(), percent(), words));
    }
    let reliability =
        plain(&format!("{share}_reliability"), ColumnKind::Flag, ("Độ tin cậy", "Reliability"), RELIABILITY);
    sheets.push(reliability);
    if let Some(wording) = ranked {
        let band = if wording == Wording::Earlier { BAND_EARLIER } else { BAND };
        sheets.push(plain(&format!("{share}_band"), ColumnKind::Band, ("Nhóm xếp hạng", "Band"), band));
    }
    sheets
}

type Words = (&'static str, &'static str);

trait IntoText {
    fn into_text(self) -> Text;
}

impl IntoText for Words {
    fn into_text(self) -> Text {
        Text::new(self.0, self.1)
    }
}

const LOW: Words = ("Đầu dưới", "Low");
const HIGH: Words = ("Đầu trên", "High");
const PERIOD: Words = ("Tháng (2026-10) hoặc quý (2026-Q3)", "Month (2026-10) or quarter (2026-Q3)");
const YEAR: Words = ("Năm (2026)", "Year (2026)");
const COMMUNE: Words =
    ("Mã xã, phường, đặc khu tiếp nhận hồ sơ", "Code of the commune, ward or special zone that received the dossier");
const GROUP: Words = ("Nhóm thủ tục hành chính", "Group of administrative procedures");
const STATUS: Words = (
    "\"published\": có số liệu; \"rolled_up\": quá ít để công bố riêng, xem cột rolled_up_to",
    "\"published\": the figures follow; \"rolled_up\": too few to be shown alone, see rolled_up_to",
);
const ROLLED_UP_TO: Words = (
    "Nơi có số liệu gộp: \"quarter\" là bảng cùng tên của cả quý, nếu không thì là tên một bảng rộng hơn của cùng kỳ; \
     để trống khi số liệu có tại đây hoặc không có bảng rộng hơn",
    "Where the figures are included: \"quarter\" is the table of the same name for the whole quarter, anything else the \
     name of a wider table of the same period; blank when the figures are here, or when there is no wider table",
);
const RELIABILITY: Words = (
    "\"good\": khoảng 95 % rộng không quá 5 điểm về mỗi phía; \"fair\": không quá 10 điểm; \"poor\": rộng hơn",
    "\"good\": the 95 % interval reaches at most 5 points to either side; \"fair\": at most 10; \"poor\": further",
);
const BAND: Words = (
    "Xếp theo nhóm, nhóm 1 cao nhất: khoảng 95 % của mọi đơn vị trong một nhóm nằm dưới hẳn khoảng của mọi đơn vị ở nhóm trước; \
     trong một nhóm các khoảng nối tiếp nhau, hai khoảng xa nhau có thể không chồng lên nhau, nên không phân hơn kém",
    "Rank as a band, 1 being the highest: the 95 % intervals of all units of a band lie wholly below those of every unit \
     of the band before; within a band the intervals join each other in a chain, of which two far apart need not overlap, \
     so that nobody in it is put before another",
);
/// What earlier editions say of it.
const BAND_EARLIER: Words = (
    "Xếp theo nhóm, nhóm 1 cao nhất; trong một nhóm các khoảng 95 % chồng lên nhau, nên không phân hơn kém",
    "Rank as a band, 1 being the highest; within a band the 95 % intervals overlap, so that nobody is before another",
);

fn share_meaning(share: &str) -> Words {
    match share {
        "satisfied" => ("hài lòng (mức 4 và 5)", "satisfied ratings (levels 4 and 5)"),
        "on_time" => ("giải quyết đúng hạn", "dossiers handled on time"),
        _ => ("nộp trực tuyến", "dossiers submitted online"),
    }
}

/// A column of words or codes, which counts in nothing.
fn plain(name: &str, kind: ColumnKind, title: Words, meaning: Words) -> ColumnSheet {
    sheet(name, kind, title.into_text(), Text::new("", ""), meaning.into_text())
}

fn sheet(name: &str, kind: ColumnKind, title: Text, unit: Text, meaning: Text) -> ColumnSheet {
    ColumnSheet { name: name.to_owned(), kind, title, unit, meaning }
}
