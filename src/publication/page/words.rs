//! What the page says, in both languages, and how it writes numbers.

use serde::Serialize;

use super::super::sheet::Breakdown;
use super::figures::{Estimate, Indicator, RolledUp};
use crate::language::Language;

/// The words of the templates. A field is a place on the page; both languages must fill it.
#[derive(Serialize)]
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) skip: &'static str,
    pub(super) other_language: &'static str,
    pub(super) contents: &'static str,
    pub(super) overview: &'static str,
    pub(super) overview_of: &'static str,
    pub(super) interval: &'static str,
    pub(super) counted: &'static str,
    pub(super) nothing_yet: &'static str,
    pub(super) exact_lead: &'static str,
    pub(super) not_published: &'static str,
    pub(super) month: &'static str,
    pub(super) period: &'static str,
    pub(super) percent: &'static str,
    pub(super) interval_head: &'static str,
    pub(super) band: &'static str,
    pub(super) bar: &'static str,
    pub(super) no_month: &'static str,
    pub(super) not_published_short: &'static str,
    pub(super) poor: &'static str,
    pub(super) commune: &'static str,
    pub(super) communes: &'static str,
    pub(super) group: &'static str,
    pub(super) groups: &'static str,
    pub(super) groups_lead: &'static str,
    pub(super) band_name: &'static str,
    pub(super) unranked: &'static str,
    pub(super) bands_lead: &'static str,
    pub(super) computed: &'static str,
    pub(super) definition: &'static str,
    pub(super) queries: &'static str,
    pub(super) inputs: &'static str,
    pub(super) inputs_note: &'static str,
    pub(super) protection: &'static str,
    pub(super) not_recorded: &'static str,
    pub(super) preliminary: &'static str,
    pub(super) you_are_here: &'static str,
    pub(super) scores: &'static str,
    pub(super) scores_lead: &'static str,
    pub(super) metric: &'static str,
    pub(super) points: &'static str,
    pub(super) of_counted: &'static str,
    pub(super) withheld: &'static str,
    pub(super) interval_note: &'static str,
    pub(super) data: &'static str,
    pub(super) scroll: &'static str,
    pub(super) method: &'static str,
    pub(super) downloads: &'static str,
    pub(super) downloads_lead: &'static str,
    pub(super) amended: &'static str,
    pub(super) amended_lead: &'static str,
    pub(super) amended_since: &'static str,
    pub(super) day: &'static str,
    pub(super) table: &'static str,
    pub(super) what: &'static str,
    pub(super) reason: &'static str,
    pub(super) codes: &'static str,
    pub(super) contact: &'static str,
    pub(super) licence: &'static str,
}

impl Words {
    /// The words in one language.
    pub(super) fn of(language: Language) -> &'static Words {
        match language {
            Language::Vi => &VI,
            Language::En => &EN,
        }
    }
}

const VI: Words = Words {
    title: "Chất lượng phục\u{a0}vụ người\u{a0}dân",
    skip: "Đến nội dung chính",
    other_language: "English",
    contents: "Mục lục",
    overview: "Tổng quan",
    overview_of: "Toàn địa bàn,",
    interval: "Khoảng tin cậy 95 %:",
    counted: "tính trên khoảng",
    nothing_yet: "Chưa có số liệu nào được công bố.",
    exact_lead: "Số liệu ở đây là số đếm chính xác; nhóm quá nhỏ không được công bố. Mọi bảng đều có ở",
    not_published: "Chưa công bố.",
    month: "Tháng",
    period: "Kỳ",
    percent: "Tỷ lệ",
    interval_head: "Khoảng tin cậy 95 %",
    band: "Đường: tỷ lệ; dải màu: khoảng tin cậy 95 %.",
    bar: "Chấm: tỷ lệ; thanh: khoảng tin cậy 95 %.",
    no_month: "Chưa có tháng nào đủ số liệu để công bố.",
    not_published_short: "chưa công bố",
    poor: "sai số lớn",
    commune: "Xã, phường",
    communes: "Các xã, phường",
    group: "Nhóm thủ tục",
    groups: "Các nhóm thủ tục",
    groups_lead: "Mỗi nhóm thủ tục trên toàn địa bàn; mở một nhóm để xem từng xã, phường.",
    band_name: "Bậc",
    unranked: "Không xếp bậc",
    bands_lead: "Hai nơi ở hai bậc khác nhau khi giữa chúng có khoảng trống mà không khoảng tin cậy nào bắc qua; trong một bậc giữ thứ tự của danh mục, không xếp hơn kém.",
    computed: "Số này được tính thế nào",
    definition: "Định nghĩa",
    queries: "Câu truy vấn (SHA-256)",
    inputs: "Dữ liệu đầu vào",
    inputs_note: "Mã xác thực có khóa của từng phiên bản dữ liệu: cơ quan chứng minh được, người ngoài không dò ngược được.",
    protection: "Bảo vệ",
    not_recorded: "không ghi lại",
    preliminary: "Số sơ bộ: những bản ghi đến muộn chưa được tính.",
    you_are_here: "Vị trí của trang",
    scores: "Điểm theo nhóm chỉ số",
    scores_lead: "Tỷ lệ và điểm của những chỉ số được phép công bố chính xác; ô nhỏ được giữ lại theo quy tắc và không phải là số không.",
    metric: "Chỉ số",
    points: "Điểm",
    of_counted: "Tử số trên mẫu số",
    withheld: "giữ lại để bảo vệ người dân",
    data: "Bảng số",
    interval_note: "Dưới mỗi tỷ lệ là khoảng tin cậy 95 %.",
    scroll: "Bảng, cuộn ngang được:",
    method: "Cách tính và cách bảo vệ",
    downloads: "Tải số liệu",
    downloads_lead: "Mỗi bảng của mỗi kỳ có ba tệp: CSV cho bảng tính, Parquet cho chương trình phân tích, JSON mô tả từng cột, mức nhiễu và mức bảo vệ. Số liệu đã công bố không thay đổi.",
    amended: "Đính chính và rút lại",
    amended_lead: "Số liệu đã công bố không bị viết đè: bản đính chính đặt bên cạnh, kèm từng giá trị cũ và mới; nơi bảng bị rút lại có tệp ghi rõ đó là bảng nào và vì sao.",
    amended_since: "Có bảng đã công bố được đính chính hoặc rút lại sau đó:",
    day: "Ngày",
    table: "Bảng",
    what: "Xử lý",
    reason: "Lý do",
    codes: "Tên ứng với mã xã và mã nhóm thủ tục",
    contact: "Liên hệ:",
    licence: "Số liệu được dùng lại theo giấy phép",
};

const EN: Words = Words {
    title: "How well people are served",
    skip: "Skip to the main content",
    other_language: "Tiếng Việt",
    contents: "Contents",
    overview: "Overview",
    overview_of: "The whole area,",
    interval: "95% interval:",
    counted: "out of about",
    nothing_yet: "No figures have been published yet.",
    exact_lead: "The figures here are exact counts; groups that are too small are withheld. Every table is under",
    not_published: "Not published yet.",
    month: "Month",
    period: "Period",
    percent: "Share",
    interval_head: "95% interval",
    band: "Line: share; coloured band: 95% interval.",
    bar: "Dot: share; bar: 95% interval.",
    no_month: "No month has enough records to be published yet.",
    not_published_short: "not published",
    poor: "wide interval",
    commune: "Commune",
    communes: "Communes",
    group: "Procedure group",
    groups: "Procedure groups",
    groups_lead: "Each procedure group in the whole area; open one to see its communes.",
    band_name: "Band",
    unranked: "In no band",
    bands_lead: "Two places are in different bands where a gap lies between them that no interval bridges; within a band they keep the order of the public list, and none is put before another.",
    computed: "How this was computed",
    definition: "Definition",
    queries: "Queries (SHA-256)",
    inputs: "Inputs",
    inputs_note: "Keyed digests of each generation of the data: the agency can prove them, nobody else can guess from them.",
    protection: "Protection",
    not_recorded: "not recorded",
    preliminary: "Preliminary: late records are not counted yet.",
    you_are_here: "You are here",
    scores: "Score by group of the index",
    scores_lead: "Shares and points of the metrics that may be published exactly; a small cell is withheld by rule and is not zero.",
    metric: "Metric",
    points: "Points",
    of_counted: "Numerator over denominator",
    withheld: "withheld to protect people",
    data: "Table",
    interval_note: "Below each share is its 95% interval.",
    scroll: "Table, scrolls sideways:",
    method: "How figures are computed and protected",
    downloads: "Download the data",
    downloads_lead: "Each table of each period comes as three files: CSV for spreadsheets, Parquet for analysis, and JSON that describes every column, the noise and the protection. Published figures never change.",
    amended: "Corrections and withdrawals",
    amended_lead: "What was published is never rewritten: a correction stands beside it with every old and new value, and where a table was withdrawn a file says what it was and why.",
    amended_since: "Some published tables were corrected or withdrawn afterwards:",
    day: "Date",
    table: "Table",
    what: "What became of it",
    reason: "Reason",
    codes: "Names behind commune codes and procedure groups",
    contact: "Contact:",
    licence: "The data may be reused under",
};

impl Indicator {
    /// The plain reading of a figure, with the error that protection adds.
    pub(super) fn reading(self, estimate: &Estimate, language: Language) -> String {
        let of_100 = decimal(estimate.percent, 0, language);
        let error = decimal(error_points(estimate), 1, language);
        let (start, end) = match (self, language) {
            (Indicator::Satisfied, Language::Vi) => ("Khoảng", "trên 100 lượt đánh giá là hài lòng"),
            (Indicator::OnTime, Language::Vi) => ("Khoảng", "trên 100 hồ sơ đến hạn có kết quả đúng hẹn"),
            (Indicator::Online, Language::Vi) => ("Khoảng", "trên 100 hồ sơ được nộp trực tuyến"),
            (Indicator::Satisfied, Language::En) => ("About", "in 100 ratings are satisfied"),
            (Indicator::OnTime, Language::En) => ("About", "in 100 dossiers due were settled on time"),
            (Indicator::Online, Language::En) => ("About", "in 100 dossiers were submitted online"),
        };
        match language {
            Language::Vi => format!("{start} {of_100} {end}; sai số do bảo vệ ±{error} điểm."),
            Language::En => format!("{start} {of_100} {end}; protection adds an error of ±{error} points."),
        }
    }

    /// What is counted, after a number.
    pub(super) fn counted(self, language: Language) -> &'static str {
        match (self, language) {
            (Indicator::Satisfied, Language::Vi) => "lượt đánh giá",
            (Indicator::Satisfied, Language::En) => "ratings",
            (_, Language::Vi) => "hồ sơ",
            (_, Language::En) => "dossiers",
        }
    }

    /// What is counted, as the head of a column.
    pub(super) fn count(self, language: Language) -> &'static str {
        match (self, language) {
            (Indicator::Satisfied, Language::Vi) => "Số lượt đánh giá",
            (Indicator::Satisfied, Language::En) => "Ratings",
            (_, Language::Vi) => "Số hồ sơ",
            (_, Language::En) => "Dossiers",
        }
    }
}

/// That a cell was rolled up, and where its records are counted.
pub(super) fn rolled_up(to: Option<RolledUp>, language: Language) -> String {
    let (vi, en) = match to {
        Some(RolledUp::Quarter) => (": tính gộp vào số của quý", ": counted in the quarter's figure"),
        Some(RolledUp::Wider(Breakdown::Unit)) => {
            (": tính gộp vào số của toàn địa bàn", ": counted in the figure for the whole area")
        }
        Some(RolledUp::Wider(Breakdown::Group)) => {
            (": tính gộp vào số của nhóm thủ tục", ": counted in the procedure group's figure")
        }
        Some(RolledUp::Wider(_)) => (": tính gộp vào số của xã, phường", ": counted in the commune's figure"),
        Some(RolledUp::Nowhere) | None => ("", ""),
    };
    match language {
        Language::Vi => format!("Quá ít để công bố riêng{vi}."),
        Language::En => format!("Too few to publish alone{en}."),
    }
}

/// The same, short enough for a chart.
pub(super) fn rolled_up_short(to: Option<RolledUp>, language: Language) -> &'static str {
    match (to, language) {
        (Some(RolledUp::Quarter), Language::Vi) => "gộp vào quý",
        (Some(RolledUp::Quarter), Language::En) => "in the quarter",
        (Some(RolledUp::Wider(Breakdown::Unit)), Language::Vi) => "gộp vào toàn địa bàn",
        (Some(RolledUp::Wider(Breakdown::Unit)), Language::En) => "in the whole area",
        (Some(RolledUp::Wider(_)), Language::Vi) => "gộp vào bảng rộng hơn",
        (Some(RolledUp::Wider(_)), Language::En) => "in a wider table",
        (_, Language::Vi) => "quá ít để công bố",
        (_, Language::En) => "too few to publish",
    }
}

/// How many of a group's points are published exactly, where these are not all.
pub(super) fn part_of_points(published: f64, whole: i64, language: Language) -> String {
    let part = decimal(published, 0, language);
    match (language, published > 0.0) {
        (Language::Vi, true) => format!("công bố chính xác {part} trong {whole} điểm"),
        (Language::Vi, false) => format!("không điểm nào trong {whole} điểm được công bố chính xác"),
        (Language::En, true) => format!("{part} of {whole} points are published exactly"),
        (Language::En, false) => format!("none of {whole} points is published exactly"),
    }
}

/// What was reached of the points of an index that are published exactly.
pub(super) fn points_reached(reached: f64, published: f64, whole: i64, language: Language) -> String {
    let (reached, published) = (decimal(reached, 2, language), decimal(published, 0, language));
    match language {
        Language::Vi => format!(
            "Trong {whole} điểm của bộ chỉ số, {published} điểm được công bố chính xác; toàn địa bàn đạt {reached} điểm trong số đó."
        ),
        Language::En => format!(
            "Of the {whole} points of the index, {published} are published exactly; of these the whole area reached {reached}."
        ),
    }
}

/// A percentage with one decimal and its sign.
pub(super) fn percent(value: f64, language: Language) -> String {
    match language {
        Language::Vi => format!("{}\u{a0}%", decimal(value, 1, language)),
        Language::En => format!("{}%", decimal(value, 1, language)),
    }
}

/// The 95 % interval of an estimate, "84,9–89,3 %".
pub(super) fn interval(estimate: &Estimate, language: Language) -> String {
    format!("{}–{}", decimal(estimate.low, 1, language), percent(estimate.high, language))
}

/// The larger half of the interval, in percentage points: clamping at 0 or 100 may have cut the other.
pub(super) fn error_points(estimate: &Estimate) -> f64 {
    (estimate.percent - estimate.low).max(estimate.high - estimate.percent)
}

/// A number with a fixed number of decimals, `,` in Vietnamese and `.` in English.
pub(super) fn decimal(value: f64, places: usize, language: Language) -> String {
    let text = format!("{value:.places$}");
    match language {
        Language::Vi => text.replace('.', ","),
        Language::En => text,
    }
}

/// A whole number in groups of three digits, `.` in Vietnamese and `,` in English.
pub(super) fn whole(value: i64, language: Language) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "−" } else { "" };
    let mark = match language {
        Language::Vi => '.',
        Language::En => ',',
    };
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(digit);
    }
    out
}

/// With a capital at the beginning.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
