//! What a rating means, and how answers become counts that know no rater.
//!
//! Decree 224/2026/NĐ-CP Art. 10(3)(b) lets people rate the service and has the secrecy and privacy of those who do
//! protected. Here an answer exists in memory alone, for one night (one that is given on the rating page waits for it
//! sealed, with its day and no time): [`intake`] joins it with a finished dossier, by the
//! dossier's number (portals of today export it) or by a one-time token (`tokens`), bounds how often a person counts,
//! adds it to the [`counts`] of its cell, and forgets it. Counts of a closed month are what is kept, sealed. They leave
//! this program only through `disclosure`. This module must not know how they are protected, kept or published.
//!
//! # Who could join a rating with a person, and with what
//!
//! What is kept after a night: for each closed month one sealed text of counts by cell (commune × procedure group ×
//! question × level), one sealed text of what people wrote, without cell or order, and keyed hashes of tokens with their
//! cell and whether they were spent. The sealing key and the pseudonym key lie in `keys/`, outside the data.
//!
//! - **An outsider**, with all that is published: only `disclosure`'s counts, with noise.
//! - **The counter official** knows who came on which day. No day of a rating is kept, months are taken in whole and
//!   never from night to night, so that neither times, nor the order of rows or files, nor the difference of two nights
//!   says who answered what.
//! - **The agency's DBA** has landed tables, ledger, logs, reports, and their backups, without `keys/`: no rating is in
//!   them. Hashes of tokens are no way to a dossier: tokens of a month are issued at once, shuffled, and the list of who
//!   has which goes to whoever delivers it and is kept nowhere. That a token was spent shows that somebody in its cell
//!   rated, not who or how.
//!
//! Not protected: **who holds `keys/` and the ledger** reads exact counts, and of a cell with one rater the answer; the
//! machine's root can read a night's memory. **The source system** of a portal that stores ratings by dossier number has
//! the whole join itself: tokens exist to end that. **Whoever keeps the list of a batch** and can also watch tokens being
//! spent, or sees the answers' own file while it lies there, joins them: a blind signature on the citizen's own device
//! (RFC 9474) would close that and cannot be had without one. **Zalo**, and whoever reads the official account there, knows
//! the number of who rated in Zalo, and the stars: who wants none of that sends the address of the page. A cell in which one dossier was finished hides nobody.

pub mod answer;
pub mod counts;
pub mod intake;
pub mod tokens;

use crate::language::Text;
use crate::pipeline::blind::{Question, Scale};
use crate::tables::TableName;

/// The lowest and the highest level of a rating.
pub const LEVELS: std::ops::RangeInclusive<i64> = 1..=5;

/// From this level on, a person is satisfied: "satisfied" and "very satisfied".
pub const SATISFIED_FROM: i64 = 4;

/// The counts of ratings, `satisfaction.ratings`: `month` (in which the dossier was finished, `2026-10`),
/// `commune_code`, `procedure_group`, `level`, `ratings`. No person adds more than the policy's bound to a month.
pub fn table() -> TableName {
    TableName::new("satisfaction", "ratings")
}

/// The dossiers that were finished in months that are taken in tonight, `satisfaction.finished_dossiers`: `dossier_id`,
/// `subject_id`, `month`, `commune_code`, `procedure_group`. Each names a person; it is in memory alone.
pub fn finished() -> TableName {
    TableName::new("satisfaction", "finished_dossiers")
}

/// Where the counts of taken months stand for SQL: the standard table `staging.ratings`, which no agency fills itself.
pub fn standard_table() -> TableName {
    TableName::new("staging", "ratings")
}

/// What a question of the form asks.
pub fn question_text(question: Question) -> Text {
    let (vi, en) = match question {
        Question::Overall => (
            "Nhìn chung, ông/bà hài lòng thế nào về việc giải quyết hồ sơ?",
            "Overall, how satisfied are you with how your dossier was settled?",
        ),
        Question::Convenience => ("Mức độ thuận tiện và được trả lời nhanh chóng", "Convenience, and quick answers"),
        Question::OnTime => ("Giải quyết và trả kết quả đúng hẹn", "Settled and returned on time"),
        Question::Attitude => ("Thái độ của cán bộ, công chức", "How staff behaved"),
        Question::SettlementTime => {
            ("Thời gian giải quyết so với quy định", "The time it took, against what the rules give")
        }
        Question::StepTime => ("Thời gian của từng bước so với quy định", "The time of each step, against the rules"),
        Question::Contacts => ("Số lần phải đi lại để hoàn thiện hồ sơ", "How often you had to come to complete it"),
        Question::Agencies => ("Số cơ quan phải liên hệ", "How many agencies you had to contact"),
        Question::OneStop => {
            ("Việc tiếp nhận, trả kết quả tại bộ phận một cửa", "Reception and return at the one-stop office")
        }
        Question::Publicity => ("Việc công khai thủ tục hành chính", "How procedures are made public"),
        Question::Petitions => {
            ("Việc tiếp thu, giải trình phản ánh, kiến nghị", "How petitions are heard and answered")
        }
        Question::Online => ("Tiến độ và chất lượng dịch vụ trực tuyến", "Progress and quality of online services"),
    };
    Text::new(vi, en)
}

/// What a level of a scale is called on the form; none for a number that is not a level of it.
pub fn level_of(scale: Scale, level: i64) -> Option<Text> {
    let (vi, en) = match (scale, level) {
        (Scale::Five, _) => return level_name(level),
        (Scale::Three, 1) => ("không hài lòng", "dissatisfied"),
        (Scale::Three, 2) => ("hài lòng", "satisfied"),
        (Scale::Three, 3) => ("rất hài lòng", "very satisfied"),
        _ => return None,
    };
    Some(Text::new(vi, en))
}

/// What a level is called on the form; none for a number that is not a level.
pub fn level_name(level: i64) -> Option<Text> {
    let (vi, en) = match level {
        1 => ("rất không hài lòng", "very dissatisfied"),
        2 => ("không hài lòng", "dissatisfied"),
        3 => ("bình thường", "neither satisfied nor dissatisfied"),
        4 => ("hài lòng", "satisfied"),
        5 => ("rất hài lòng", "very satisfied"),
        _ => return None,
    };
    Some(Text::new(vi, en))
}
