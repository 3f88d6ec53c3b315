//! What each column of a released table means, in both languages.

use super::bins::{meaning, names, shares};
use crate::language::Text;
use crate::pipeline::{Bins, Counted, Dimension};

/// A column of a released table, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSheet {
    /// Its name.
    pub name: String,
    /// What it counts in; empty for words and codes.
    pub unit: Text,
    /// What it means.
    pub meaning: Text,
}

/// The columns of a table, in their order.
pub(super) fn sheets(of: Counted, by: &[Dimension], bins: Bins) -> Vec<ColumnSheet> {
    let (records, each) = match of {
        Counted::Ratings => (Text::new("lượt đánh giá", "ratings"), Text::new("lượt đánh giá", "ratings")),
        Counted::Dossiers => (Text::new("hồ sơ", "dossiers"), Text::new("hồ sơ đến hạn", "dossiers that were due")),
    };
    let none = || Text::new("", "");
    let mut sheets = vec![sheet("period", none(), PERIOD)];
    for dimension in by {
        let words = match dimension {
            Dimension::Commune => COMMUNE,
            Dimension::ProcedureGroup => GROUP,
        };
        sheets.push(sheet(dimension.column(), none(), words));
    }
    sheets.push(sheet("status", none(), STATUS));
    sheets.push(sheet("rolled_up_to", none(), ROLLED_UP_TO));

    let total = (format!("Tổng số {}, đã cộng nhiễu", each.vi), format!("All {}, with noise", each.en));
    let bound = |vi: &str, en: &str| {
        (format!("{vi} khoảng 95 % của tổng số"), format!("{en} end of the 95 % interval of the total"))
    };
    for (name, (vi, en)) in
        [("count", total), ("count_low", bound("Đầu dưới", "Lower")), ("count_high", bound("Đầu trên", "Upper"))]
    {
        sheets.push(ColumnSheet { name: name.into(), unit: records.clone(), meaning: Text::new(vi, en) });
    }
    for bin in names(bins) {
        let Text { vi, en } = meaning(bin);
        let meaning = Text::new(
            format!("{vi}, đã cộng nhiễu; số âm do nhiễu được ghi là 0"),
            format!("{en}, with noise; a number that noise made negative is written as 0"),
        );
        sheets.push(ColumnSheet { name: (*bin).into(), unit: records.clone(), meaning });
    }
    for share in shares(bins) {
        let (vi, en) = share_meaning(share.name);
        let percent = || Text::new("%", "%");
        let column = |end: &str, vi: String, en: String| ColumnSheet {
            name: format!("{}_percent{end}", share.name),
            unit: percent(),
            meaning: Text::new(vi, en),
        };
        sheets.push(column("", format!("Tỷ lệ {vi}, trên tổng số"), format!("Share of {en}, of the total")));
        let ends = [("_low", "Đầu dưới", "Lower"), ("_high", "Đầu trên", "Upper")];
        for (end, end_vi, end_en) in ends {
            let vi = format!("{end_vi} khoảng 95 % của tỷ lệ {vi}; chỉ tính nhiễu bảo vệ");
            let en =
                format!("{end_en} end of the 95 % interval of the share of {en}; for the noise of protection alone");
            sheets.push(column(end, vi, en));
        }
    }
    sheets
}

type Words = (&'static str, &'static str);

const PERIOD: Words = ("Tháng (2026-10) hoặc quý (2026-Q3)", "Month (2026-10) or quarter (2026-Q3)");
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

fn share_meaning(share: &str) -> Words {
    match share {
        "satisfied" => ("hài lòng (mức 4 và 5)", "satisfied ratings (levels 4 and 5)"),
        "on_time" => ("giải quyết đúng hạn", "dossiers handled on time"),
        _ => ("nộp trực tuyến", "dossiers submitted online"),
    }
}

fn sheet(name: &str, unit: Text, (vi, en): Words) -> ColumnSheet {
    ColumnSheet { name: name.to_owned(), unit, meaning: Text::new(vi, en) }
}
